"""Rendering against outside truth: written ids, stock `apply_chat_template`, and properties over every template."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_llama
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from lora_scripts.data.preview import preview_lines
from lora_scripts.data.records import Message, Record
from lora_scripts.data.render import Document, render, render_prompt, render_records, template_of
from lora_scripts.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
TINY_ZH = ROOT / "models" / "tiny-zh"

# The published formats, in our own words.
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA2 = (
    "{% set ns = namespace(sys='') %}{% for m in messages %}"
    "{% if m.role == 'system' %}{% set ns.sys = '<<SYS>>\n' + m.content.strip() + '\n<</SYS>>\n\n' %}"
    "{% elif m.role == 'user' %}{{ bos_token + '[INST] ' + ns.sys + m.content.strip() + ' [/INST]' }}"
    "{% set ns.sys = '' %}{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim }}"
    "{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
# Mistral puts the system prompt before the last question, so no prompt that has one is a prefix of what follows.
MISTRAL = (
    "{% if messages[0].role == 'system' %}{% set sys = messages[0].content + '\n\n' %}{% set rest = messages[1:] %}"
    "{% else %}{% set sys = '' %}{% set rest = messages %}{% endif %}{{ bos_token }}{% for m in rest %}"
    "{% if m.role == 'user' %}"
    "{{ '[INST] ' + (sys if loop.index0 >= rest | length - 2 else '') + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
NO_END = (
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
# A model that thinks: a prompt without thinking has an empty block, which only the last answer of a talk keeps.
THINKING = (
    "{% set ns = namespace(asked=-1) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.asked = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% set parts = m.content.split('</think>') %}"
    "{% if m.role == 'tool' %}{{ '<tool_response>' + m.content + '</tool_response>' }}"
    "{% elif m.role != 'assistant' %}{{ m.content }}"
    "{% elif loop.index0 > ns.asked and loop.last %}"
    "{{ '<think>\n' + (parts[0].split('<think>')[-1].strip('\n') if parts | length > 1 else '') }}"
    "{{ '\n</think>\n\n' + parts[-1].lstrip('\n') }}"
    "{% else %}{{ parts[-1].lstrip('\n') if parts | length > 1 else m.content }}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "llama2": LLAMA2,
    "llama3": LLAMA3,
    "llama3_gpt2": LLAMA3,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "no_end": NO_END,
    "none": None,
}
SPECIAL = [
    *("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<start_of_turn>", "<end_of_turn>", "<|endoftext|>"),
]
OWN = [*TEMPLATES, "thinking", "tiny-zh", "sentencepiece", "sentencepiece_llama2"]
REAL = {
    "qwen3": SHARED / "tok_qwen3" / "rebuilt",
    "minimind": SHARED / "tok_minimind",
    "stories": SHARED / "lm_stories260k" / "hf",
    "stories_llama2": SHARED / "lm_stories260k" / "hf",
}


def names(*wanted: str) -> list[str]:
    """Of these tokenizers (default: of all) ours, and the real ones where they are at hand."""
    return [name for name in wanted or (*OWN, *REAL) if name in OWN or REAL[name].is_dir()]


NAMES = names()
INJECTIONS = [
    path
    for path in (
        ROOT / "tests" / "data" / "messy" / "special_tokens.jsonl",
        SHARED / "messy_dev" / "21_special_token_injection.jsonl",
    )
    if path.is_file()
]


def user(words: str) -> Message:
    return Message("user", words)


def assistant(words: str) -> Message:
    return Message("assistant", words)


def system(words: str) -> Message:
    return Message("system", words)


def byte_level(special: list[str] = SPECIAL, *, gpt2: bool = False, words: str = "") -> Tokenizer:
    """A small BPE that cuts words as Llama 3 does, or as GPT-2 does."""
    made = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"), "isolated")
    own = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=gpt2)
    made.pre_tokenizer = own if gpt2 else pre_tokenizers.Sequence([cut, own])
    made.decoder = decoders.ByteLevel()
    text = [
        "请问劳动合同多久签订？",
        "用人单位应当支付二倍的工资。",
        f"user assistant model hello there \n\n question {words}",
    ] * 4
    made.train_from_iterator(
        text,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return made


def thinking() -> Any:
    """As those of Qwen3: its marks of thinking and of tools are tokens, but not special ones."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    made = byte_level(special, words="system user assistant S Hi Yes Why So \n\n")
    marks = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
    made.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = THINKING
    return tokenizer


def build(name: str) -> Any:
    if name == "thinking":
        return thinking()
    if name == "tiny-zh":
        return AutoTokenizer.from_pretrained(TINY_ZH)
    if name in REAL or name.startswith("sentencepiece"):
        made = AutoTokenizer.from_pretrained(REAL[name]) if name in REAL else tiny_llama.sentencepiece()
        if name not in ("qwen3", "minimind"):
            made.chat_template = LLAMA2 if name.endswith("llama2") else None
        return made
    made = PreTrainedTokenizerFast(
        tokenizer_object=byte_level(gpt2=name.endswith("gpt2")), bos_token="<s>", eos_token="</s>"
    )
    made.chat_template = TEMPLATES[name]
    return made


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Any]:
    return {name: build(name) for name in NAMES}


def learned(document: Document, tokenizer: Any) -> list[str]:
    """The texts of the learned stretches."""
    runs: list[list[int]] = [[]]
    for token, mark in zip(document.input_ids, document.loss_mask, strict=True):
        if mark:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return [tokenizer.decode(run) for run in runs if run]


def talks() -> st.SearchStrategy[list[Message]]:
    benign = st.text("请问劳动合同 helo\n,.?é😀", min_size=1, max_size=12)
    forged = st.sampled_from(
        [*SPECIAL, "[INST]", "<think>", "</think>", "<unk>", "<|im_", "{{x}}", "<</SYS>>", "<<s>>"]
    )
    words = st.lists(benign | forged, min_size=1, max_size=4).map("".join).filter(lambda w: bool(w.strip()))
    pairs = st.lists(st.tuples(words, words), min_size=1, max_size=4)

    def ordered(drawn: tuple[str | None, list[tuple[str, str]]]) -> list[Message]:
        head = [system(drawn[0])] if drawn[0] else []
        return head + [m for q, a in drawn[1] for m in (user(q), assistant(a))]

    return st.tuples(st.none() | words, pairs).map(ordered)


@pytest.mark.parametrize("name", names("thinking", "qwen3"))
def test_a_chatml_document_has_these_very_ids_and_learns_words_and_end(name: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[name]
    document = render([system("S"), user("Hi"), assistant("Yes")], tokenizer)
    opened = [
        "<|im_start|>",
        "system",
        "Ċ",
        "S",
        "<|im_end|>",
        "Ċ",
        "<|im_start|>",
        "user",
        "Ċ",
        "Hi",
        "<|im_end|>",
        "Ċ",
    ]
    asked = ["<|im_start|>", "assistant", "Ċ", "<think>", "ĊĊ", "</think>", "ĊĊ"]
    expected = [*opened, *asked, "Yes", "<|im_end|>", "Ċ"]
    assert document.input_ids == [tokenizer.get_vocab()[piece] for piece in expected]
    assert document.loss_mask == [False] * (len(opened) + len(asked)) + [True, True, False]


@pytest.mark.parametrize("name", names("sentencepiece_llama2", "stories_llama2"))
def test_a_llama2_document_in_sentencepiece_has_these_very_pieces(name: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[name]
    document = render([user("He"), assistant("He"), user("He"), assistant("He")], tokenizer)
    turn = ["<s>", "▁", "[", "I", "N", "S", "T", "]", "▁He", "▁", "[", "/", "I", "N", "S", "T", "]"]
    # every character that this little vocabulary has not is spelled in bytes
    spelled = [f"<0x{ord(p):02X}>" if tokenizer.convert_tokens_to_ids(p) == 0 else p for p in turn]
    answer = ["▁He", "▁", "</s>"]
    assert tokenizer.convert_ids_to_tokens(document.input_ids) == (spelled + answer) * 2
    assert document.loss_mask == ([False] * len(turn) + [True] * 3) * 2


def test_llama3_and_gemma_learn_exactly_the_answers_and_their_ends(tokenizers: dict[str, Any]) -> None:
    talk = [user("hello"), assistant("there"), user("question"), assistant("请问")]
    for name, end in (("llama3", "<|eot_id|>"), ("gemma", "<end_of_turn>"), ("chatml", "<|im_end|>")):
        document = render(talk, tokenizers[name])
        assert learned(document, tokenizers[name]) == [f"there{end}", f"请问{end}"]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talk=talks())
def test_every_prompt_is_a_prefix_up_to_where_learning_begins(
    name: str, tokenizers: dict[str, Any], talk: list[Message]
) -> None:
    tokenizer = tokenizers[name]
    document = render(talk, tokenizer)
    form = template_of(tokenizer)
    ids, mask = document.input_ids, document.loss_mask
    assert len(ids) == len(mask)
    ends = 0
    for i, message in enumerate(talk):
        if message.role != "assistant":
            continue
        prompt = render_prompt(talk[:i], tokenizer)
        assert ids[: len(prompt)] == prompt
        assert len(prompt) > ends
        assert not any(mask[ends : len(prompt)])
        ends = mask.index(False, len(prompt)) if False in mask[len(prompt) :] else len(mask)
        assert all(mask[len(prompt) : ends])
        assert ids[ends - 1] == form.end_id
        assert form.end_id not in ids[len(prompt) : ends - 1]
        said = tokenizer.decode(ids[len(prompt) : ends - 1], clean_up_tokenization_spaces=False)
        assert said.strip() == message.content.strip()
    assert not any(mask[ends:])
    pieces = preview_lines(document, tokenizer)
    assert "".join(piece for piece, _ in pieces) == tokenizer.decode(ids, clean_up_tokenization_spaces=False)


# GPT-2 reads a double line break otherwise before a word than at a prompt's end: see the seam test below
@pytest.mark.parametrize("name", [name for name in NAMES if name != "llama3_gpt2"])
def test_stock_transformers_renders_the_same_from_the_saved_template(name: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[name]
    saved = template_of(tokenizer).template
    words = [user("hello 请问？"), assistant("用人单位应当 there."), user("question\n\nhello"), assistant("Yes.")]
    for head in ([], [system("You are kind.")]):
        talk = head + words
        stock = [{"role": m.role, "content": m.content} for m in talk]
        for i in (len(head) + 1, len(head) + 3):
            theirs = tokenizer.apply_chat_template(stock[:i], chat_template=saved, add_generation_prompt=True)
            assert render_prompt(talk[:i], tokenizer) == theirs["input_ids"]
        theirs = tokenizer.apply_chat_template(stock, chat_template=saved)
        assert render(talk, tokenizer).input_ids == theirs["input_ids"]


@pytest.mark.parametrize(
    "name",
    names("chatml", "llama2", "llama3", "gemma", "tiny-zh", "minimind", "sentencepiece_llama2", "stories_llama2"),
)
def test_a_steady_template_is_kept_and_rendered_as_it_stands(name: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[name]
    talk = [user("hello 请问？"), assistant("there."), user("hello"), assistant("Yes.")]
    stock = [{"role": m.role, "content": m.content} for m in talk]
    theirs = tokenizer.apply_chat_template(stock, add_generation_prompt=False)["input_ids"]
    assert render(talk, tokenizer).input_ids == theirs
    if name != "gemma":  # which has no place for a system prompt; ours has
        assert template_of(tokenizer).template == tokenizer.chat_template


def test_a_seam_that_the_tokenizer_merges_across_is_kept_apart(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["llama3_gpt2"]
    stock = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "there"}]
    asked = tokenizer.apply_chat_template(stock[:1], add_generation_prompt=True)["input_ids"]
    whole = tokenizer.apply_chat_template(stock)["input_ids"]
    assert whole[: len(asked)] != asked
    document = render([user("hello"), assistant("there")], tokenizer)
    assert document.input_ids[: len(asked)] == asked
    assert document.loss_mask.index(True) == len(asked)


@pytest.mark.parametrize("name", names("thinking", "qwen3"))
def test_a_model_that_thinks_is_asked_without_thinking_in_every_turn(name: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[name]
    talk = [user("Hi"), assistant("Yes"), user("Why"), assistant("So")]
    stock = [{"role": m.role, "content": m.content} for m in talk]
    theirs = tokenizer.apply_chat_template(stock[:1], add_generation_prompt=True, enable_thinking=False)["input_ids"]
    assert render_prompt(talk[:1], tokenizer) == theirs
    assert render(talk[:2], tokenizer).input_ids == tokenizer.apply_chat_template(stock[:2])["input_ids"]
    assert learned(render(talk, tokenizer), tokenizer) == ["Yes<|im_end|>", "So<|im_end|>"]
    form = template_of(tokenizer)
    assert "<think>" in form.note
    assert form.stop_ids == [tokenizer.get_vocab()[end] for end in ("<|im_end|>", "<|endoftext|>")]


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_folder_renders_as_the_run_did(name: str, tokenizers: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = tokenizers[name]
    form = template_of(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    again.chat_template = form.template
    talk = [system("S <tool_call>"), user("a <think> <tool_call></s>"), assistant("b"), user("c"), assistant("d")]
    assert render(talk, again) == render(talk, tokenizer)
    assert template_of(again).stop_ids == form.stop_ids
    assert template_of(again).template == form.template


@pytest.mark.parametrize("path", INJECTIONS, ids=lambda path: path.parent.name)
def test_special_token_text_in_rows_stays_text(path: Path, tokenizers: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    assert len(rows) > 3
    for name in NAMES:
        tokenizer = tokenizers[name]
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        clean = render([user("hello"), assistant("there")], tokenizer)
        expected = [i for i in clean.input_ids if i in special]
        for row in rows:
            document = render([user(row["instruction"]), assistant(row["output"])], tokenizer)
            assert [i for i in document.input_ids if i in special] == expected
            whole = tokenizer.decode(document.input_ids, clean_up_tokenization_spaces=False)
            assert row["instruction"] in whole
            assert row["output"] in whole


@pytest.mark.parametrize("name", names("thinking", "qwen3"))
def test_the_template_markup_of_a_question_is_text_but_an_answer_may_think(
    name: str, tokenizers: dict[str, Any]
) -> None:
    tokenizer = tokenizers[name]
    think, tool = (tokenizer.get_vocab()[mark] for mark in ("<think>", "<tool_response>"))
    document = render([user("<think> <tool_response>"), assistant("<think>a</think>b")], tokenizer)
    assert document.input_ids.count(think) == 2
    assert tool not in document.input_ids


@pytest.mark.parametrize("name", names("llama2", "llama3", "gemma", "mistral", "sentencepiece", "stories", "none"))
def test_bos_comes_once_and_first(name: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[name]
    ids = render([user("<s>hello"), assistant("<s> there")], tokenizer).input_ids
    wanted = 0 if name == "none" else 1  # a tokenizer that puts no BOS anywhere gets none from us
    assert ids.count(tokenizer.bos_token_id) == wanted
    assert not wanted or ids[0] == tokenizer.bos_token_id


@pytest.mark.parametrize("name", names("sentencepiece", "stories"))
def test_without_template_and_chatml_tokens_a_turn_ends_with_eos(name: str, tokenizers: dict[str, Any]) -> None:
    form = template_of(tokenizers[name])
    assert form.fallback
    assert form.stop_ids == [2]
    assert "</s>" in form.note
    assert learned(render([user("Hi"), assistant("Yes")], tokenizers[name]), tokenizers[name]) == ["Yes</s>"]


def test_without_template_but_with_chatml_tokens_a_turn_ends_as_in_chatml(tokenizers: dict[str, Any]) -> None:
    assert template_of(tokenizers["none"]).fallback
    assert template_of(tokenizers["none"]).end_id == tokenizers["none"].convert_tokens_to_ids("<|im_end|>")


def test_a_tokenizer_without_any_end_is_refused() -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=byte_level(["<pad>"]))
    with pytest.raises(DataError, match="no answer could ever end"):
        render([user("a"), assistant("b")], bare)


def test_a_template_that_cannot_run_is_replaced_and_named(tokenizers: dict[str, Any]) -> None:
    broken = PreTrainedTokenizerFast(tokenizer_object=byte_level(), eos_token="</s>")
    broken.chat_template = "{{ raise_exception('nothing works') }}"
    form = template_of(broken)
    assert form.fallback
    assert "nothing works" in form.note


def test_a_template_without_an_end_gets_eos(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["no_end"]
    document = render([user("a"), assistant("b"), user("c"), assistant("d")], tokenizer)
    assert learned(document, tokenizer) == ["b</s>", "d</s>"] or learned(document, tokenizer) == [" b</s>", " d</s>"]
    assert "</s>" in template_of(tokenizer).note


def test_a_template_without_system_role_merges_it_and_says_so(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["gemma"]
    ids = render_prompt([system("Be kind."), user("hello")], tokenizer)
    assert tokenizer.decode(ids) == "<s><start_of_turn>user\nBe kind.\n\nhello<end_of_turn>\n<start_of_turn>model\n"
    assert "system prompt" in template_of(tokenizer).note


def test_a_changed_template_is_read_anew() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level(), bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = CHATML
    first = render([user("a"), assistant("b")], tokenizer)
    tokenizer.chat_template = LLAMA3
    assert render([user("a"), assistant("b")], tokenizer) != first


def test_preview_colours_the_answer_and_keeps_split_characters_whole(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["chatml"]
    document = render([user("龘😀"), assistant("😀龘é")], tokenizer)
    assert preview_lines(document, tokenizer) == [
        ("<|im_start|>user\n龘😀<|im_end|>\n<|im_start|>assistant\n", False),
        ("😀龘é<|im_end|>", True),
        ("\n", False),
    ]


@pytest.mark.parametrize(
    ("talk", "said"),
    [
        ([user("a")], "no assistant's turn"),
        ([user("a"), assistant(" \n")], "turn is empty"),
        ([user("a"), assistant("b"), user("c"), assistant("")], "turn is empty"),
        ([assistant("a"), user("b"), assistant("c")], "must open with a user's turn"),
        ([system("a")], "must open with a user's turn"),
        ([], "must open with a user's turn"),
        ([user("a"), system("b"), assistant("c")], "middle of the conversation"),
        ([Message("tool", "a"), assistant("b")], "role tool"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(tokenizers: dict[str, Any], talk: list[Message], said: str) -> None:
    with pytest.raises(DataError, match=said):
        render(talk, tokenizers["chatml"])


def test_a_prompt_must_ask_something(tokenizers: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="must end with the user's turn"):
        render_prompt([user("a"), assistant("b")], tokenizers["chatml"])


def test_render_never_cuts(tokenizers: dict[str, Any]) -> None:
    talk = [user("hello " * 20), assistant("there")]
    length = len(render(talk, tokenizers["chatml"]).input_ids)
    assert render(talk, tokenizers["chatml"], max_length=length).input_ids
    with pytest.raises(DataError, match=rf"has {length} tokens, more than max_seq_length {length - 1}") as raised:
        render(talk, tokenizers["chatml"], max_length=length - 1)
    assert raised.value.exit_code == 3


def records() -> Iterator[Record]:
    yield Record((user("hello"), assistant("there")), "a.txt:1")
    yield Record((user("question " * 30), assistant("there")), "a.txt:3")
    yield Record((user("hello"), assistant("there " * 60)), "a.txt:5")


def test_stop_names_every_record_that_is_too_long(tokenizers: dict[str, Any]) -> None:
    with pytest.raises(DataError) as raised:
        render_records(records(), tokenizers["chatml"], max_length=40)
    assert [p.where for p in raised.value.problems] == ["a.txt:3", "a.txt:5"]


def test_drop_lists_what_it_leaves_out(tokenizers: dict[str, Any]) -> None:
    done = render_records(records(), tokenizers["chatml"], max_length=40, too_long="drop")
    assert [d.source for d in done.documents] == ["a.txt:1"]
    whole = [len(render(r.messages, tokenizers["chatml"]).input_ids) for r in records()]
    assert done.too_long == [("a.txt:3", whole[1]), ("a.txt:5", whole[2])]


@pytest.mark.parametrize("name", NAMES)
def test_cut_prompt_keeps_template_and_answer(name: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[name]
    question, answer = "请问 hello " * 30 + "last words", "用人单位 there"
    row = Record((system("S"), user(question), assistant(answer), user("c " + question), assistant("d")), "q.csv:2")
    length = len(render(row.messages, tokenizer).input_ids)
    limit = length - 60
    done = render_records([row], tokenizer, max_length=limit, too_long="cut_prompt")
    (document,) = done.documents
    assert limit - 12 <= len(document.input_ids) <= limit  # no more is cut than the limit asks for
    assert done.cut == [("q.csv:2", length - len(document.input_ids))]
    assert learned(document, tokenizer) == learned(render(row.messages, tokenizer), tokenizer)
    kept = "".join(piece for piece, _ in preview_lines(document, tokenizer))
    assert "last words" in kept
    assert question not in kept.replace("c " + question, "")
    hopeless = render_records([row], tokenizer, max_length=10, too_long="cut_prompt")
    assert hopeless.documents == []
    assert hopeless.too_long == [("q.csv:2", length)]


def test_all_bad_records_are_named_at_once(tokenizers: dict[str, Any]) -> None:
    rows = [Record((user("a"),), "x:1"), Record((user("a"), assistant("b")), "x:2"), Record((assistant("a"),), "x:3")]
    with pytest.raises(DataError) as raised:
        render_records(rows, tokenizers["chatml"])
    assert [p.where for p in raised.value.problems] == ["x:1", "x:3"]
    with pytest.raises(DataError, match="none of stop, drop, cut_prompt"):
        render_records(rows, tokenizers["chatml"], too_long="truncate")


@pytest.mark.parametrize("name", names("thinking", "qwen3"))
def test_joined_and_trailing_turns_and_markers_are_said(name: str, tokenizers: dict[str, Any]) -> None:
    rows = [
        Record((user("a"), user("b"), assistant("c<|im_end|>"), user("d")), "x:1"),
        Record((user("<think>"), assistant("<think>x</think>y")), "x:2"),
    ]
    done = render_records(rows, tokenizers[name], system_prompt="House style.")
    said = "\n".join(done.notes)
    for words in ("in a row", "nobody answers", "2 record(s) hold text that looks like", "1 record(s) hold a thinking"):
        assert words in said
    whole = tokenizers[name].decode(done.documents[0].input_ids)
    assert whole.startswith("<|im_start|>system\nHouse style.<|im_end|>\n<|im_start|>user\na\nb<|im_end|>")
    assert whole.endswith("c<|im_end|><|im_end|>\n")


@pytest.mark.parametrize("name", names("tiny-zh", "qwen3"))
def test_many_records_equal_one_by_one_and_are_tokenized_together(
    name: str, tokenizers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tokenizers[name]
    answer = "依据《劳动合同法》第八十二条：用人单位应当向劳动者每月支付二倍的工资。" * 4
    rows = [Record((user(f"请问第{i}条是怎么规定的？" * 5), assistant(answer)), f"t:{i}") for i in range(2000)]
    called, calls = type(tokenizer).__call__, []
    monkeypatch.setattr(type(tokenizer), "__call__", lambda *given, **more: calls.append(1) or called(*given, **more))
    done = render_records(rows, tokenizer, max_length=512)
    assert len(calls) <= 10
    assert [d.source for d in done.documents] == [r.source for r in rows]
    for i in (0, 1, 1023, 1024, 1999):
        assert done.documents[i].input_ids == render(rows[i].messages, tokenizer).input_ids


BASES = [name for name in ("tiny-zh", "smollm2-135m", "gemma3-270m") if (ROOT / "models" / name).is_dir()]


@pytest.mark.parametrize("name", BASES)
def test_bases_at_hand_render_exactly(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / name)
    talk = [system("守法"), user("请问 <end_of_turn></s> hello"), assistant("依据 it."), user("why\n"), assistant("so")]
    document = render(talk, tokenizer)
    for i in (2, 4):
        prompt = render_prompt(talk[:i], tokenizer)
        assert document.input_ids[: len(prompt)] == prompt
        assert document.loss_mask[len(prompt)]
    saved = template_of(tokenizer).template
    plain = [{"role": m.role, "content": m.content} for m in (user("请问 hello"), assistant("依据 it."), user("why"))]
    theirs = tokenizer.apply_chat_template(plain, chat_template=saved, add_generation_prompt=True)["input_ids"]
    assert render_prompt([Message(**m) for m in plain], tokenizer) == theirs
    end = tokenizer.decode([template_of(tokenizer).end_id])
    assert [piece.strip() for piece in learned(document, tokenizer)] == [f"依据 it.{end}", f"so{end}"]
    assert template_of(tokenizer).end_id in template_of(tokenizer).stop_ids
