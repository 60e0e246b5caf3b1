"""JSON and JSONL in other layouts: lists of answers, wrappers, options, keys that nobody knows, dialects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tests.data.generated_content import CHOICES, CHOICES_EN, PASSAGES, SUMS, Pair, draw
from tests.data.generated_objects import Objects, context_truths
from tests.data.generated_sheets import timestamp
from tests.data.generated_tables import choice_truths
from tests.data.generated_truth import GeneratedFile, Joined, Truth, exchange, pairs_truth

Files = Iterator[GeneratedFile]


def lists_of_answers() -> Files:
    """Answers of which each stands for itself."""
    t = Objects("lists_of_answers", 1)
    for i, (ask, key) in enumerate((("question", "answers"), ("问题", "参考答案"), ("query", "responses"))):
        pairs = draw(8 + 3 * i, 280 + i)
        second = [f"您好，关于{p.title}：{p.answer}" for p in pairs]
        rows = [{ask: p.question, key: [p.answer, x]} for p, x in zip(pairs, second, strict=True)]
        each = pairs_truth((p.question, x) for p, y in zip(pairs, second, strict=True) for x in (p.answer, y))
        yield t.file(key, rows, [each, pairs_truth(pairs, key)], may_ask=True, own_places=False)
    rows = [{"context": c, "question": q, "answers": {"text": [a], "answer_start": [0]}} for c, q, a in PASSAGES]
    yield t.file("as in SQuAD", rows, context_truths(PASSAGES, "context"), may_ask=True)


def answer_lines() -> Files:
    """One answer as a list of its lines."""
    t = Objects("answer_lines", 2)
    for i, (ask, key) in enumerate((("question", "answer"), ("instruction", "output"), ("问题", "解答步骤"))):
        pairs = draw(9 + i, 290 + i, "law", "medical", "finance", "property", "it")
        lines = [[part + "。" for part in p.answer.replace("\n", "").split("。") if part] for p in pairs]
        lines = [[f"第{'一二三四五六'[k % 6]}步：{x}" for k, x in enumerate(ls)] if i == 1 else ls for ls in lines]
        rows = [{ask: p.question, key: ls} for p, ls in zip(pairs, lines, strict=True)]
        truth = pairs_truth((p.question, "\n".join(ls)) for p, ls in zip(pairs, lines, strict=True))
        yield t.file(key, rows, [truth], may_ask=True)


def nested() -> Files:
    t = Objects("nested", 1)
    pairs = draw(14, 300)
    items: list[Any] = [{"id": k, "qa": {"q": p.question, "a": p.answer}} for k, p in enumerate(pairs)]
    yield t.file(
        "data.items[].qa", {"code": 0, "msg": "ok", "data": {"total": 14, "items": items}}, [pairs_truth(pairs)]
    )
    items = [
        {"question": {"text": p.question, "time": timestamp(k)}, "answer": {"text": p.answer, "author": "小林"}}
        for k, p in enumerate(pairs)
    ]
    yield t.file("text below question", {"result": {"list": items}}, [pairs_truth(pairs)], "author")
    by_domain: dict[str, Any] = {}
    for p in pairs:
        by_domain.setdefault(p.domain, []).append({"question": p.question, "answer": p.answer})
    yield t.file("lists by category", by_domain, [pairs_truth(pairs)])
    items = [
        {"category": d, "faqs": [{"问题": x["question"], "答案": x["answer"]} for x in xs]}
        for d, xs in by_domain.items()
    ]
    yield t.file("faqs below category", items, [pairs_truth(pairs, "category")], form=("json", 2, "utf-8"))


def keyed_by_id() -> Files:
    t = Objects("keyed_by_id", 1)
    for i in range(3):
        pairs = draw(10 + 5 * i, 310 + i)
        if i == 0:
            rows: dict[str, Any] = {
                f"q{k:03}": {"question": p.question, "answer": p.answer} for k, p in enumerate(pairs)
            }
        elif i == 1:
            rows = {p.question: p.answer for p in pairs}
        else:
            rows = {str(k): [p.question, p.answer] for k, p in enumerate(pairs)}
        yield t.file(("objects", "question to answer", "lists of two")[i], rows, [pairs_truth(pairs)], may_ask=i == 2)


def problem_solution_answer() -> Files:
    t = Objects("problem_solution_answer")
    for ask, working, result in (
        ("problem", "solution", "answer"),
        ("question", "solution", "final_answer"),
        ("题目", "解答过程", "最终答案"),
    ):
        rows = [{ask: q, working: w, result: r} for q, w, r in SUMS]
        joined = pairs_truth((q, Joined((w, r), (working, result))) for q, w, r in SUMS)
        yield t.file(
            "/".join((ask, working, result)),
            rows,
            [pairs_truth(((q, w) for q, w, _ in SUMS), result), joined],
            may_ask=True,
        )


def options_and_key() -> Files:
    t = Objects("options_and_key", 3)
    for i in range(4):
        choices = list(CHOICES_EN if i == 3 else CHOICES)
        if i == 0:
            rows: list[Any] = [
                {"question": q, **dict(zip("ABCD", o, strict=True)), "answer": k, "explanation": w}
                for q, o, k, w in choices
            ]
        elif i == 1:
            rows = [
                {"题目": q, "选项": dict(zip("ABCD", o, strict=True)), "答案": k, "解析": w} for q, o, k, w in choices
            ]
        elif i == 2:
            rows = [
                {"question": q, "options": [f"{x}. {y}" for x, y in zip("ABCD", o, strict=True)], "answer": k}
                for q, o, k, _ in choices
            ]
        else:
            rows = [{"question": q, "choices": list(o), "answer": "ABCD".index(k)} for q, o, k, _ in choices]
        names = (("explanation",), ("解析",), (), ())[i]
        truths = choice_truths(choices, *names)
        yield t.file(("A-D beside", "选项 as an object", "options as a list", "index")[i], rows, truths, may_ask=True)


def unknown_keys() -> Files:
    t = Objects("unknown_keys", 4)
    for i, (ask, reply, extra) in enumerate(
        (
            ("question", "answer", {"law_article": "劳动合同法第八十二条", "remark": "需要律师复核"}),
            ("问题", "答案", {"审核意见": "表述可以更简洁", "来源": "热线整理"}),
            ("prompt", "response", {"annotator_notes": "tone is fine", "source_file": "calls_03.wav"}),
            ("instruction", "output", {"改写前": "这条是旧的说法，已经作废。"}),
        )
    ):
        pairs = draw(9 + 4 * i, 320 + i, language="en" if i == 2 else "zh")[: 13 if i == 2 else None]
        rows = [
            {ask: p.question, reply: p.answer, **{k: f"{v}（{n}）" for k, v in extra.items()}}
            for n, p in enumerate(pairs)
        ]
        yield t.file("/".join(extra), rows, [pairs_truth(pairs)], *extra)


def instruction_and_question() -> Files:
    t = Objects("instruction_and_question", 5)
    text = "请以物业客服的口吻回答住户的问题。"
    for i, (first, ask, reply) in enumerate(
        (("instruction", "question", "answer"), ("task", "input", "output"), ("要求", "问题", "回答"))
    ):
        pairs = draw(10 + i, 330 + i, "property")
        rows = [{first: text, ask: p.question, reply: p.answer} for p in pairs]
        joined = pairs_truth((Joined((text, p.question), (first, ask)), p.answer) for p in pairs)
        system = Truth(tuple(exchange(p.question, p.answer, text) for p in pairs))
        yield t.file("/".join((first, ask, reply)), rows, [joined, system, pairs_truth(pairs, first)])


def questions_without_answers() -> Files:
    """Nothing to learn: refusing is right."""
    t = Objects("questions_without_answers")
    pairs = draw(12, 340)
    yield t.file(
        "list of lists",
        {"questions": [[p.question, q.question] for p, q in zip(pairs[::2], pairs[1::2], strict=True)]},
        [],
        may_ask=True,
    )
    yield t.file("key question", [{"id": k, "question": p.question} for k, p in enumerate(pairs)], [], may_ask=True)
    yield t.file("strings", [p.question for p in pairs], [], may_ask=True, form=("json", 2, "utf-8"))


def json_dialects() -> Files:
    """Endings that do not say what is inside, and one broken line."""
    pairs = draw(15, 350)
    rows = [{"question": p.question, "answer": p.answer} for p in pairs]
    lines = [json.dumps(r, ensure_ascii=False) for r in rows]
    kind = "json_dialects"

    def made(variation: str, name: str, text: str, read: Sequence[Pair], *must_report: str) -> GeneratedFile:
        return GeneratedFile(kind, variation, name, text.encode(), (pairs_truth(read),), must_report)

    yield made("lines in .json", "data.json", "\n".join(lines), pairs)
    yield made("a list in .jsonl", "data.jsonl", json.dumps(rows, ensure_ascii=False, indent=1), pairs)
    yield made(
        "objects one after another",
        "data.json",
        "\n".join(json.dumps(r, ensure_ascii=False, indent=2) for r in rows),
        pairs,
    )
    yield made("last line cut off", "data.jsonl", "\n".join([*lines[:-1], lines[-1][:30]]), pairs[:-1], ":15")
    yield made("blank lines and CRLF", "data.ndjson", "\r\n\r\n".join(lines) + "\r\n", pairs)


KINDS = (
    lists_of_answers, answer_lines, nested, keyed_by_id, problem_solution_answer, options_and_key, unknown_keys,
    instruction_and_question, questions_without_answers, json_dialects,
)  # fmt: skip
