"""A tokenizer as GGUF metadata, and the same read back.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Two kinds are written: ``gpt2``, byte-level BPE
with its merges, and ``llama``, BPE on characters with a score for each token, as sentencepiece has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_scripts.errors import ModelError
from lora_scripts.export.source import Source
from lora_scripts.export.stock import stock_tokenizer
from lora_scripts.messages import text

if TYPE_CHECKING:
    from gguf import GGUFWriter

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS: dict[str, tuple[str, ...]] = {
    "gpt-2": (_WORDS,),
    "smollm": (r"\p{N}", _WORDS),
    "qwen2": (_QWEN,),
    "llama-bpe": (_QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|"),),
    "deepseek-coder": (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"),
    "superbpe": (r"\p{N}+", r"(?=(\d{3})+(?!\d))"),
    "seed-coder": (_QWEN.replace(r"[^\s\p{L}\p{N}]+[\r\n]*", r"[^\s\p{L}\p{N}\r\n]+"),),
}
"""Text splitters that llama.cpp knows by name (its src/llama-vocab.cpp), each one applied to what the last one left."""
PROBES = (
    "The capital of France is Paris; it's 1 of  27 capitals, isn't it? I'LL SAY.",
    "根据《劳动合同法》第三十九条，用人单位可以解除劳动合同。",
    "请问：2023年12月31日签的合同，违约金10,000元（大写壹万元整）合法吗？",
    "a  b\n\n  c\t1,234.50 😀\r\n",
    "1. 第一项\n2. 第二项\n\n- 说明：见附件（一）》。\n",
    "def f(x):\n    return x**2  # 平方\n",
    "２０２４年，ＡＢＣ公司——“加班费”…… 50%！？",
    "Les élèves naïfs; Straße, Ελλάδα, Россия, 日本語テキスト, 한국어 문장, हिन्दी",
    " leading and trailing ",
    "用户：你好\n律师：您好",
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a GGUF says of a tokenizer. ``merges`` belong to ``gpt2``, ``scores`` and ``space_prefix`` to ``llama``."""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    scores: list[float]
    space_prefix: bool
    notes: list[str]


def vocabulary_of(source: Source, rows: int) -> Vocabulary:
    """The tokenizer of ``source`` for a model with ``rows`` embeddings.

    Raises:
        ModelError: It is neither byte-level nor sentencepiece BPE, or has more tokens than rows.
    """
    tokenizer: Any = source.tokenizer
    if not tokenizer.is_fast:
        raise ModelError("export.gguf_tokenizer", where=source.base, kind=type(tokenizer).__name__)
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    model = content["model"]
    byte_level = "ByteLevel" in json.dumps([content["pre_tokenizer"], content["decoder"]])
    if model["type"] != "BPE" or not (byte_level or model.get("byte_fallback")):
        raise ModelError("export.gguf_tokenizer", where=source.base, kind=model["type"])
    added = {entry["id"]: entry for entry in content["added_tokens"]}
    words = {index: token for token, index in model["vocab"].items()} | {i: t["content"] for i, t in added.items()}
    if max(words) >= rows:
        reason = text("export.tokenizer_longer", tokens=max(words) + 1, rows=rows)
        raise ModelError("export.gguf_tokenizer", where=source.base, kind=reason)
    types = [_type(i, words.get(i), added, tokenizer.unk_token, byte_level) for i in range(rows)]
    tokens = [words.get(i, f"[PAD{i}]") for i in range(rows)]
    pairs = [pair.split(" ", 1) if isinstance(pair, str) else pair for pair in model["merges"]]
    if byte_level:
        pre, notes = _splitter(source)
        return Vocabulary("gpt2", pre, tokens, types, [" ".join(pair) for pair in pairs], [], False, notes)
    spaced = [t.replace("▁", " ") if kind == USER_DEFINED else t for t, kind in zip(tokens, types, strict=True)]
    prefix = tokenizer.backend_tokenizer.encode("a", add_special_tokens=False).tokens[0].startswith("▁")
    return Vocabulary("llama", "default", spaced, types, [], _scores(tokens, pairs), prefix, [])


def _type(index: int, word: str | None, added: Mapping[int, Mapping[str, Any]], unknown: str, byte_level: bool) -> int:
    if word is None:
        return UNUSED
    if not byte_level and word == unknown:
        return UNKNOWN
    if index in added:
        return CONTROL if added[index]["special"] else USER_DEFINED
    return BYTE if not byte_level and re.fullmatch(r"<0x[0-9A-F]{2}>", word) else NORMAL


def _scores(tokens: Sequence[str], pairs: Sequence[Sequence[str]]) -> list[float]:
    """llama.cpp joins the pair whose token has the highest score; a merge that comes earlier is the higher one."""
    first: dict[str, int] = {}
    for rank, (left, right) in enumerate(pairs):
        first.setdefault(left + right, rank)
    return [-float(first.get(token, len(pairs))) for token in tokens]


def _splitter(source: Source) -> tuple[str, list[str]]:
    """The name of llama.cpp's splitter that gives the tokenizer's own ids most often, and what to say about it."""
    tokenizer: Any = source.tokenizer
    trials = [*(source.spelled(question) for question in source.questions), *PROBES]
    wanted = [_ids(tokenizer.backend_tokenizer, trial) for trial in trials]
    best, least = "", len(trials) + 1
    for pre in SPLITS:
        split = with_splitter(tokenizer.backend_tokenizer, pre)
        wrong = sum(_ids(split, trial) != ids for trial, ids in zip(trials, wanted, strict=True))
        if wrong < least:
            best, least = pre, wrong
    if not least:
        return best, []
    return best, [text("export.split_differs", pre=best, count=least, total=len(trials))]


def with_splitter(backend: Any, pre: str) -> Any:
    """A copy of a byte-level tokenizer that splits text as llama.cpp does under the name ``pre``."""
    from tokenizers import Regex, Tokenizer, pre_tokenizers

    copy = Tokenizer.from_str(backend.to_str())
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLITS[pre]]
    copy.pre_tokenizer = pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return copy


def _ids(backend: Any, words: str) -> list[int]:
    return list(backend.encode(words, add_special_tokens=False).ids)


def add_vocabulary(writer: GGUFWriter, source: Source, vocabulary: Vocabulary) -> None:
    """Write ``vocabulary``, the special ids and the trained chat template into a GGUF that is being made."""
    tokenizer: Any = source.tokenizer
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.model == "llama":
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.space_prefix)
    end = source.form.end_id
    eos = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else end
    ids = {"bos": tokenizer.bos_token_id, "eos": eos, "unk": tokenizer.unk_token_id, "pad": tokenizer.pad_token_id}
    for name, index in ids.items():
        if index is not None:
            getattr(writer, f"add_{name}_token_id")(index)
    if end != eos:
        writer.add_eot_token_id(end)
    writer.add_add_bos_token(source.adds_bos())
    writer.add_add_eos_token(False)
    writer.add_chat_template(source.form.template)


def other_ids(source: Source, file: Path, vocabulary: Vocabulary) -> int:
    """How many sample questions get other ids from the tokenizer that ``file`` holds than they had in training."""
    backend = stock_tokenizer(file.parent, gguf_file=file.name).backend_tokenizer
    if vocabulary.model == "gpt2":
        backend = with_splitter(backend, vocabulary.pre)
    pairs = zip(source.questions, source.prompts, strict=True)
    asked = [(q, ids) for q, ids in pairs if not source.form.reserved.search(q)]
    return sum(_ids(backend, source.spelled(question)) != list(ids) for question, ids in asked)
