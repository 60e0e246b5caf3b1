"""Pairs as documents: one prompt, two answers, and only the last answer is learned."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lora_scripts.data.reading.formats import read_records
from lora_scripts.data.records import Message, Record
from lora_scripts.data.render import Document, Rendering, halves, iter_pairs, joined, render, render_prompt
from lora_scripts.errors import DataError

QUESTION = "公司没有签劳动合同，我工作了八个月，现在要离职，可以要求什么？"
CHOSEN, REJECTED = "依据《劳动合同法》第八十二条：可以要求二倍工资。", "不能要求任何东西，<|im_end|>建议算了。"


@pytest.fixture(scope="module")
def tokenizer(tiny_zh: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_zh)


def record(rejected: str | None = REJECTED, *, question: str = QUESTION, line: int = 1) -> Record:
    turns = (("user", "您好"), ("assistant", "请讲。"), ("user", question), ("assistant", CHOSEN))
    return Record(tuple(Message(*turn) for turn in turns), f"a.jsonl:{line}", rejected=rejected)


def pairs(records: list[Record], tokenizer: Any, **limits: Any) -> tuple[list[tuple[Document, Document]], Rendering]:
    account = Rendering()
    return list(iter_pairs(records, tokenizer, account, **limits)), account


def learned(document: Document) -> list[int]:
    return [token for token, wanted in zip(document.input_ids, document.loss_mask, strict=True) if wanted]


def test_both_documents_are_the_conversation_with_either_answer(tokenizer: Any) -> None:
    [(chosen, rejected)], _ = pairs([record()], tokenizer)
    messages = record().messages
    assert chosen.input_ids == render(messages, tokenizer).input_ids
    assert rejected.input_ids == render([*messages[:-1], Message("assistant", REJECTED)], tokenizer).input_ids
    prompt = render_prompt(messages[:-1], tokenizer)
    for document, answer in ((chosen, CHOSEN), (rejected, REJECTED)):
        assert document.input_ids[: len(prompt)] == prompt
        assert document.loss_mask.index(True) == len(prompt), "earlier answers are read, not learned"
        assert tokenizer.decode(learned(document)[:-1]) == answer
        assert document.source == "a.jsonl:1"


def test_pairs_share_their_prompt_and_nothing_of_the_answers_is_lost(tokenizer: Any, tmp_path: Path) -> None:
    rows = [
        {"conversations": [{"from": "human", "value": f"第{n}题：{'怎么办' * (n % 9 + 1)}？ <|im_start|>"}],
         "chosen": {"from": "gpt", "value": f"先问清楚。\n\n1. {'再写下来' * (n % 5)}；2) done {n} 😀"},
         "rejected": {"from": "gpt", "value": f"{'不知道' * (n % 7 + 1)}{n}…"}} for n in range(40)
    ]  # fmt: skip
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    pairs_share_their_prompt(path, 40, tokenizer)


def test_real_pairs_do_too(shared_data: Path, tokenizer: Any) -> None:
    pairs_share_their_prompt(shared_data / "llamafactory_demo" / "dpo_zh_demo.json", 80, tokenizer)


def pairs_share_their_prompt(path: Path, count: int, tokenizer: Any) -> None:
    records = read_records(path, preference=True).records[:count]
    assert len(records) == count
    found, _ = pairs(records, tokenizer)
    assert len(found) == len(records)
    for of, (chosen, rejected) in zip(records, found, strict=True):
        begin = chosen.loss_mask.index(True)
        assert rejected.loss_mask.index(True) == begin
        assert chosen.input_ids[:begin] == rejected.input_ids[:begin]
        for document, answer in ((chosen, of.answer), (rejected, of.rejected)):
            assert tokenizer.decode(learned(document)[:-1]) == answer
        assert halves(joined(chosen, rejected)) == (chosen, rejected)


def test_the_longer_document_decides_what_is_too_long(tokenizer: Any) -> None:
    long = record("不行。" * 100, line=2)
    [(short, _), (_, longest)], _ = pairs([record(), long], tokenizer)
    limit = len(longest.input_ids) - 1
    assert len(short.input_ids) < limit
    found, account = pairs([record(), long], tokenizer, max_length=limit, too_long="drop")
    assert [chosen.source for chosen, _ in found] == ["a.jsonl:1"]
    assert account.too_long == [("a.jsonl:2", limit + 1)]
    with pytest.raises(DataError, match=rf"a\.jsonl:2: the document has {limit + 1} tokens"):
        pairs([record(), long], tokenizer, max_length=limit)


def test_a_cut_question_is_cut_alike_for_both_answers(tokenizer: Any) -> None:
    [whole], _ = pairs([record()], tokenizer)
    longest = max(len(document.input_ids) for document in whole)
    [(chosen, rejected)], account = pairs([record()], tokenizer, max_length=longest - 5, too_long="cut_prompt")
    begin = chosen.loss_mask.index(True)
    assert chosen.input_ids[:begin] == rejected.input_ids[:begin]
    assert longest - 8 <= max(len(chosen.input_ids), len(rejected.input_ids)) <= longest - 5
    assert [learned(d) for d in (chosen, rejected)] == [learned(d) for d in whole]
    [(source, lost)] = account.cut
    assert (source, lost) == ("a.jsonl:1", longest - max(len(chosen.input_ids), len(rejected.input_ids)))


def test_a_system_prompt_stands_in_front_of_both(tokenizer: Any) -> None:
    [(chosen, rejected)], _ = pairs([record()], tokenizer, system_prompt="你是律师。")
    for document in (chosen, rejected):
        assert "你是律师。" in tokenizer.decode(document.input_ids[: document.loss_mask.index(True)])


@pytest.mark.parametrize("rejected", [None, "  "])
def test_a_record_without_a_rejected_answer_is_refused_by_its_place(rejected: str | None, tokenizer: Any) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:7"):
        pairs([record(), record(rejected, line=7)], tokenizer)


def test_a_note_counts_records_not_documents(tokenizer: Any) -> None:
    _, account = pairs([record("不能。<|im_end|>"), record("不能。", line=2)], tokenizer)
    assert [note for note in account.notes if note.startswith("1 ")]
