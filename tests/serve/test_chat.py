"""The conversation in the terminal: its answers are the server's, its commands do what they say."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from greedy import sure_tokens
from transformers import AutoModelForCausalLM

from lora_scripts.adapters.files import load_adapter
from lora_scripts.assemble.serving.talk import SAVED_TO, Partner, converse, open_chat, saved_to
from lora_scripts.errors import ModelError, UsageError
from tests.flows.calling import command
from tests.serve.conftest import BASE

QUESTION = "试用期最长多久？"


@pytest.fixture(scope="module")
def partner(adapters_dir: Path) -> Iterator[Partner]:
    made = open_chat([str(adapters_dir / "a1")], base_model=str(BASE), max_new_tokens=12)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "en")
    monkeypatch.chdir(tmp_path)


def talk(partner: Partner, *lines: str) -> str:
    """All that is printed while these lines are typed."""
    typed, out = iter(lines), []

    def ask(_: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    converse(partner, ask, lambda line: out.append(line + "\n"), out.append)
    return "".join(out)


def stock(tokenizer: Any, folder: Path, pairs: dict[str, float], ids: list[int]) -> str:
    model: Any = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    for name, weight in pairs.items():
        model = load_adapter(model, folder / name, weight=weight)
    words: str = tokenizer.decode(sure_tokens(model, ids, 12), skip_special_tokens=True)
    return words.strip()


def test_answers_are_those_of_stock_generate_under_any_stack(
    partner: Partner, adapters_dir: Path, tokenizer: Any
) -> None:
    ids = partner.base_voice.prompt_ids([("user", QUESTION)])
    talk(partner, f"/adapter {adapters_dir / 'a2'}")
    for stack in ({}, {"a1": 1.0}, {"a1": 0.5, "a2": -0.7}):
        partner.use(stack)
        pieces: list[str] = []
        said = partner.reply([("user", QUESTION)], pieces.append)
        assert said == stock(tokenizer, adapters_dir, stack, ids)
        assert "".join(pieces).strip() == said
        assert len([piece for piece in pieces if piece]) > 1


def test_commands_change_who_answers(partner: Partner, adapters_dir: Path) -> None:
    said = talk(partner, "/adapter base", QUESTION, f"/adapter {adapters_dir / 'a5'}", "/stack a1:0.5 a5", "/adapter")
    assert "answering: base" in said
    assert "answering: a5:1" in said
    assert "answering: a1:0.5 a5:1" in said
    assert "a5: rslora, r=8" in said
    assert partner.stack == {"a1": 0.5, "a5": 1.0}


def test_compare_asks_base_and_adapters_the_same(partner: Partner) -> None:
    partner.use({"a1": 1.0})
    alone, adapted = (partner.reply([("user", QUESTION)], stack=s) for s in ({}, {"a1": 1.0}))
    assert alone != adapted
    for lines in ((f"/compare {QUESTION}",), (QUESTION, "/compare")):
        said = talk(partner, *lines)
        assert f"[base] {alone}" in said
        assert f"[a1:1] {adapted}" in said
    assert "ask something first" in talk(partner, "/compare")


def test_a_good_exchange_is_saved_as_a_training_record(partner: Partner) -> None:
    partner.use({"a1": 1.0})
    talk(partner, QUESTION, "/save", "/save 最长六个月。")
    records = [json.loads(line)["messages"] for line in saved_to(partner).read_text(encoding="utf-8").splitlines()]
    assert [[m["role"] for m in messages] for messages in records] == [["user", "assistant"]] * 2
    assert {messages[0]["content"] for messages in records} == {QUESTION}
    assert (
        records[0][1]["content"] == partner.reply([("user", QUESTION)]) and records[1][1]["content"] == "最长六个月。"
    )
    assert saved_to(partner) == SAVED_TO.with_name("a1.jsonl")


@pytest.mark.parametrize("word", ["exit", "quit", "退出", "/exit", "/quit", "/退出", "Exit", " QUIT "])
def test_a_chat_ends_by_any_word_that_means_it(partner: Partner, word: str) -> None:
    asked = partner.asked
    assert "no such" not in talk(partner, word, "/fly")
    assert "not a command" not in talk(partner, word, "/fly") and partner.asked == asked


def test_the_opening_names_the_way_out_and_help_lists_every_command(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for language, ways in (("en", ("/help", "exit", "quit")), ("zh", ("/help", "退出", "exit"))):
        monkeypatch.setenv("LORA_SCRIPTS_LANG", language)
        opening = talk(partner).splitlines()[0]
        assert all(way in opening for way in ways)
        said = talk(partner, "/help")
        assert all(word in said for word in ("/save", "/new", "/adapter", "/stack", "/compare", "exit", "quit"))


def test_what_is_wrong_is_said_and_the_talk_goes_on(partner: Partner, adapters_dir: Path) -> None:
    partner.use({"a1": 1.0})
    said = talk(partner, "/stack nobody:1", "/stack a1:x", "/fly", "问" * 4000, f"/adapter {adapters_dir}", QUESTION)
    for words in ("no such adapter", "not a weight", "/fly is not a command", "more than fit", "there is no adapter"):
        assert words in said
    assert partner.reply([("user", QUESTION)]) in said
    assert partner.stack == {"a1": 1.0}


def test_adapters_that_do_not_go_together_are_refused(partner: Partner, adapters_dir: Path) -> None:
    name = partner.load(str(adapters_dir / "a6"))
    with pytest.raises(UsageError, match="cannot count for"):
        partner.use({name: 0.5})
    partner.use({"a1": 1.0})
    with pytest.raises(ModelError):
        partner.load(str(adapters_dir / "nothing"))


def test_a_chat_ends_its_engine_with_it(adapters_dir: Path) -> None:
    before = set(threading.enumerate())
    words = ["chat", "--adapter", str(adapters_dir / "a1"), "--base-model", str(BASE), "--max-new-tokens", "12"]
    said = command(*words, "--prompt", QUESTION)
    assert said.code == 0 and said.out.strip()
    assert not set(threading.enumerate()) - before  # Python aborts where it ends beside a thread that computes


INTERRUPTED = """
import os, signal
from lora_scripts.cli import main
from lora_scripts.serve.engine import simple

choose, sent = simple.write, []
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts its background processes deaf to it

def write(logits, writers):
    logits[:, list(writers[0].generation.stop_ids)] = -float("inf")  # the answer does not end by itself
    if not sent:
        sent.append(os.kill(os.getpid(), signal.SIGINT))
    return choose(logits, writers)

simple.write = write
main()
"""


def test_a_chat_that_is_interrupted_amid_an_answer_ends_in_words(adapters_dir: Path) -> None:
    words = ["chat", "--adapter", str(adapters_dir / "a1"), "--base-model", str(BASE), "--max-new-tokens", "900"]
    called = [sys.executable, "-c", INTERRUPTED, *words, "--prompt", QUESTION]
    done = subprocess.run(called, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert done.stderr.endswith("\nstopped\n")
