"""A GGUF file made into a Hugging Face folder: weights dequantised to fp16, tokenizer and chat template kept.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_scripts.errors import LoraScriptsError, ModelError, UsageError
from lora_scripts.messages import text
from lora_scripts.models.text import load_model, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Vocabularies whose digits are split off one by one before GPT-2's own split (llama.cpp, src/llama-vocab.cpp);
# transformers' reader leaves that out, which changes the ids of two spaces before a number.
DIGITS_ALONE = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
PLAIN_SPLIT = frozenset({"", "default", "gpt-2", "gpt2"})
PROBES = (
    "The capital of France is Paris; it's 1 of  27 capitals.",
    "根据《劳动合同法》第三十九条，用人单位可以解除劳动合同。",
    "a  b\n\n  c\t1,234.50 😀",
)
PROMPT = "The capital of France is"
FULL_PRECISION_BYTES = 4 << 30  # above this the trial sentence is generated in fp16, to stay within memory


@dataclass(frozen=True, slots=True)
class UnpackReport:
    """What came out: ``sentence`` is what the folder, loaded back, says; ``notes`` is what the user should know."""

    folder: Path
    architecture: str
    parameters: int
    vocabulary: int
    chat_template: bool
    sentence: str
    notes: tuple[str, ...] = ()


def unpack(gguf: Path, out: Path) -> UnpackReport:
    """Make the folder ``out`` of the file ``gguf``; it appears only when it was loaded back and spoke.

    Raises:
        UsageError: ``out`` is there already or cannot be written.
        ModelError: The file is no GGUF, is damaged, split, or of an architecture that cannot be read; the disk
            is full. Nothing is left in any of these cases.
    """
    architecture, pre = _read_metadata(gguf)
    if out.exists() or out.is_symlink():
        raise UsageError("models.exists", where=out)
    with staging(out, megabytes=gguf.stat().st_size * 4 >> 20) as staged:
        tokenizer, notes = _read_tokenizer(gguf, architecture, pre)
        parameters = _write_weights(gguf, architecture, staged)
        tokenizer.save_pretrained(staged)
        _name_the_portable_class(staged)
        _share(staged)
        sentence = _prove(staged, tokenizer, half=gguf.stat().st_size > FULL_PRECISION_BYTES)
    template = tokenizer.chat_template is not None
    if not template:
        notes.append(text("models.no_template_note"))
    return UnpackReport(out, architecture, parameters, len(tokenizer), template, sentence, tuple(notes))


@contextlib.contextmanager
def staging(out: Path, *, megabytes: int) -> Iterator[Path]:
    """A folder beside ``out`` that becomes ``out`` if the block ends well, and vanishes if it does not."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as holder:
            staged = Path(holder) / out.name
            staged.mkdir()
            yield staged
            staged.rename(out)
    except OSError as error:
        raise disk_error(error, out, megabytes) from error


def disk_error(error: OSError, out: Path, megabytes: int) -> LoraScriptsError:
    """What a failed write means for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelError("models.disk_full", where=out, megabytes=megabytes)
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
        return UsageError("models.exists", where=out)
    return UsageError("models.not_writable", where=out, reason=error.strerror or error)


def _read_metadata(gguf: Path) -> tuple[str, str]:
    """(architecture, name of the pre-tokenizer) of a file that is whole."""
    if not gguf.is_file():
        raise ModelError("models.gguf_missing", where=gguf)
    with gguf.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise ModelError("models.gguf_garbage", where=gguf)
    from gguf import GGUFReader

    try:
        reader = GGUFReader(gguf)
        fields = {key: reader.fields[key].contents() for key in _WANTED if key in reader.fields}
    except Exception as error:  # the reader walks raw bytes: a damaged file can make it raise anything
        raise ModelError("models.gguf_broken", where=gguf, reason=_reason(error)) from error
    if (count := int(fields.get("split.count") or 1)) > 1:
        raise ModelError("models.gguf_split", where=gguf, count=count)
    pre = str(fields.get("tokenizer.ggml.pre") or "") if fields.get("tokenizer.ggml.model") == "gpt2" else ""
    return str(fields.get("general.architecture", "?")), pre


_WANTED = ("general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre", "split.count")


def _read_tokenizer(gguf: Path, architecture: str, pre: str) -> tuple[PreTrainedTokenizerBase, list[str]]:
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(gguf.parent), gguf_file=gguf.name, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever it raises, this file has no tokenizer that can be read
        raise _unreadable(gguf, architecture, error) from error
    if pre in DIGITS_ALONE:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        return tokenizer, []
    known = pre in PLAIN_SPLIT or pre in _splits_of_transformers()
    return tokenizer, [] if known else [text("models.unknown_pre_note", pre=pre)]


def _splits_of_transformers() -> frozenset[str]:
    """The pre-tokenizers that the installed transformers rebuilds; the table moved between versions."""
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:
        return frozenset()
    return frozenset(GGUF_PRE_TOKENIZER_SPLITS)


def _write_weights(gguf: Path, architecture: str, staged: Path) -> int:
    """Read, dequantise, save as fp16; the number of parameters.

    A model read from GGUF counts as quantised and refuses to be saved as it is, so its weights move into an empty
    model of the same config.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with _quiet():
        try:
            read, report = AutoModelForCausalLM.from_pretrained(
                str(gguf.parent),
                gguf_file=gguf.name,
                dtype=torch.float16,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:  # whatever it raises, this file holds no model that can be read
            raise _unreadable(gguf, architecture, error) from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError("models.weights_missing", where=gguf, count=len(missing), names=", ".join(missing[:5]))
    weights = {name: tensor.to(torch.float16) for name, tensor in read.state_dict().items()}
    if odd := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise ModelError("models.gguf_not_finite", where=gguf, names=", ".join(odd[:5]))
    model = _empty_like(read)
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    with _quiet():
        model.save_pretrained(staged)
    return sum(parameter.numel() for parameter in model.parameters())


def _empty_like(model: PreTrainedModel) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.float16
    with torch.device("meta"):
        empty: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float16)
    return empty


def _name_the_portable_class(staged: Path) -> None:
    """transformers 5 writes a class name that transformers 4 (vLLM and others still) does not know."""
    file = staged / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    for stray in ("is_local", "local_files_only"):  # how this call read it, not what the tokenizer is
        config.pop(stray, None)
    file.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _share(staged: Path) -> None:
    """Weights are written for their owner alone; give them the mode of the other files."""
    mode = (staged / "config.json").stat().st_mode
    for file in staged.glob("*.safetensors"):
        file.chmod(mode)


def _prove(staged: Path, tokenizer: PreTrainedTokenizerBase, *, half: bool) -> str:
    """Load the folder back: the same ids as from the GGUF, finite logits, and the sentence that it says."""
    import torch

    loaded = load_tokenizer(staged)
    for probe in PROBES:
        if (got := loaded(probe).input_ids) != (want := tokenizer(probe).input_ids):
            raise ModelError("models.gguf_proof", where=staged.name, reason=f"{probe!r}: {got} != {want}")
    if loaded.chat_template != tokenizer.chat_template:
        raise ModelError("models.gguf_proof", where=staged.name, reason="chat_template")
    model = load_model(staged, dtype=torch.float16 if half else torch.float32, device="cpu")
    inputs = loaded(PROMPT, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        if not torch.isfinite(model(**inputs).logits).all():
            raise ModelError("models.gguf_proof", where=staged.name, reason="logits: inf, nan")
        said = model.generate(**inputs, max_new_tokens=16, do_sample=False, pad_token_id=loaded.pad_token_id)
    return str(loaded.decode(said[0], skip_special_tokens=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars, which it draws straight with tqdm for GGUF."""
    import os

    from transformers.utils import logging as hf_logging

    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        try:
            yield
        finally:
            hf_logging.set_verbosity(level)


def _unreadable(gguf: Path, architecture: str, error: Exception) -> ModelError:
    return ModelError("models.gguf_unreadable", where=gguf, architecture=architecture, reason=_reason(error))


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def free_megabytes(folder: Path) -> int:
    """Free space where ``folder`` is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free >> 20
