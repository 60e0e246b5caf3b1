"""JSON and JSONL of question/answer sets in the usual keys, and with keys beside the pair."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from tests.data.generated_content import PASSAGES, draw
from tests.data.generated_sheets import STEMS
from tests.data.generated_truth import GeneratedFile, Joined, Truth, conversation, exchange, pairs_truth

Files = Iterator[GeneratedFile]
# how lists of objects are written: suffix, indentation, encoding
FORMS = (
    ("jsonl", None, "utf-8"),
    ("json", 2, "utf-8"),
    ("json", None, "utf-8"),
    ("jsonl", None, "utf-8-sig"),
    ("json", 4, "gb18030"),
    ("jsonl", None, "utf-16"),
)


class Objects:
    """Makes the files of one kind: each call takes the next way of writing in turn."""

    def __init__(self, kind: str, first: int = 0) -> None:
        self.kind = kind
        self._forms = itertools.islice(itertools.cycle(FORMS), first, None)
        self._count = first

    def file(
        self,
        variation: str,
        rows: Any,
        truths: Sequence[Truth],
        *must_report: str,
        never: Sequence[str] = (),
        may_ask: bool = False,
        own_places: bool = True,
        form: tuple[str, int | None, str] | None = None,
    ) -> GeneratedFile:
        """One file of these objects; anything but a list is always written as JSON."""
        suffix, indent, encoding = form or next(self._forms)
        suffix = suffix if isinstance(rows, list) else "json"
        if suffix == "jsonl":
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            text = json.dumps(rows, ensure_ascii=False, indent=indent)
        self._count += 1
        name = f"{STEMS[self._count % len(STEMS)]}.{suffix}"
        variation = f"{variation}, {suffix}{'' if indent or suffix == 'jsonl' else ' on one line'} {encoding}"
        return GeneratedFile(
            self.kind,
            variation,
            name,
            text.encode(encoding),
            tuple(truths),
            must_report,
            tuple(never),
            may_ask,
            own_places,
        )


def alpaca() -> Files:
    t = Objects("alpaca")
    for i, (ask, more, reply) in enumerate(
        (("instruction", "input", "output"), ("instruction", "input", "response"), ("指令", "输入", "输出"))
    ):
        pairs = draw(8 + 10 * i, 200 + i)
        texts = [f"我是{x}，" * (k % 3 == 0) for k, x in enumerate(("租客", "会计", "家长", "员工") * 10)]
        rows = [{ask: p.question, more: x, reply: p.answer} for p, x in zip(pairs, texts, strict=False)]
        truth = pairs_truth(
            (Joined((p.question, x)) if x else p.question, p.answer) for p, x in zip(pairs, texts, strict=False)
        )
        yield t.file("/".join((ask, more, reply)), rows, [truth])
    rows = [{"instruction": "把下面的话改写得更礼貌。", "input": p.question, "output": p.answer} for p in draw(6, 203)]
    yield t.file(
        "one instruction", rows, [pairs_truth((Joined((r["instruction"], r["input"])), r["output"]) for r in rows)]
    )
    pairs = draw(10, 204, followup=True)
    rows = [
        {
            "instruction": p.followup[0],
            "input": "",
            "output": p.followup[1],
            "system": "你是热心的助手。",
            "history": [[p.question, p.answer]],
        }
        for p in pairs
        if p.followup
    ]
    truth = Truth(
        tuple(
            (("system", "你是热心的助手。"), ("user", p.question), ("either", p.answer), *exchange(*p.followup))
            for p in pairs
            if p.followup
        )
    )
    yield t.file("history and system", rows, [truth])


def json_on_one_line() -> Files:
    """What ``json.dump`` writes: every record has a place of its own all the same."""
    t = Objects("json_on_one_line")
    one_line = ("json", None, "utf-8")
    pairs = draw(40, 210)
    yield t.file(
        "alpaca",
        [{"instruction": p.question, "input": "", "output": p.answer} for p in pairs],
        [pairs_truth(pairs)],
        form=one_line,
    )
    rows = [
        {"conversations": [{"from": "human", "value": p.question}, {"from": "gpt", "value": p.answer}]}
        for p in pairs[:24]
    ]
    yield t.file("sharegpt", rows, [pairs_truth(pairs[:24])], form=one_line)
    rows = [
        {"messages": [{"role": "user", "content": p.question}, {"role": "assistant", "content": p.answer}]}
        for p in pairs[:12]
    ]
    yield t.file("messages in a wrapper", {"version": 2, "data": rows}, [pairs_truth(pairs[:12])], form=one_line)
    yield t.file(
        "lists of two",
        [[p.question, p.answer] for p in pairs[:9]],
        [pairs_truth(pairs[:9])],
        form=("json", None, "gb18030"),
    )
    escaped = json.dumps([{"question": p.question, "answer": p.answer} for p in pairs]).encode()
    yield GeneratedFile("json_on_one_line", "ASCII escapes", "dump.json", escaped, (pairs_truth(pairs),))


def sharegpt() -> Files:
    t = Objects("sharegpt", 1)
    for i, (names, system) in enumerate(
        ((("human", "gpt"), ""), (("user", "assistant"), "你是物业客服。"), (("user", "chatgpt"), ""))
    ):
        pairs = draw(10, 220 + i, followup=True)
        rows, records = [], []
        for k, p in enumerate(pairs):
            exchanges = [(p.question, p.answer), *([p.followup] if p.followup and k % 2 else [])]
            turns = [{"from": name, "value": text} for e in exchanges for name, text in zip(names, e, strict=True)]
            head = [{"from": "system", "value": system}] if system else []
            rows.append({"id": f"c_{k}", "conversations": head + turns})
            records.append(((("system", system),) if system else ()) + conversation(exchanges))
        yield t.file("/".join(names) + (" with system" if system else ""), rows, [Truth(tuple(records))])


def messages() -> Files:
    t = Objects("messages", 3)
    for i, system in enumerate(("", "You are a helpful agent.", "")):
        pairs = draw(7 + i, 230 + i, language="en" if i == 1 else "zh")
        head = [{"role": "system", "content": system}] if system else []
        rows = [
            {"messages": [*head, {"role": "user", "content": p.question}, {"role": "assistant", "content": p.answer}]}
            for p in pairs
        ]
        truth = (
            pairs_truth(pairs) if not system else Truth(tuple(exchange(p.question, p.answer, system) for p in pairs))
        )
        yield t.file("with system" if system else "plain", rows if i < 2 else {"conversations": rows}, [truth])
    pairs = draw(6, 234)
    rows = [
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": p.question}]},
                {"role": "assistant", "content": [{"type": "text", "text": p.answer}]},
            ]
        }
        for p in pairs
    ]
    yield t.file("content in parts", rows, [pairs_truth(pairs)])


def system_beside_messages() -> Files:
    t = Objects("system_beside_messages")
    for i, (key, place) in enumerate(
        (("system_prompt", "messages"), ("system", "conversations"), ("系统提示", "messages"), ("persona", "dialogue"))
    ):
        pairs = draw(8 + i, 240 + i)
        text = "你是公司的法务，只依据现行法规回答，不确定就说不确定。"
        role, content = ("from", "value") if place == "conversations" else ("role", "content")
        rows = [
            {key: text, place: [{role: "user", content: p.question}, {role: "assistant", content: p.answer}]}
            for p in pairs
        ]
        used = Truth(tuple(exchange(p.question, p.answer, text) for p in pairs))
        yield t.file(key, rows, [used, pairs_truth(pairs, key)], may_ask=i == 3)


def context_truths(rows: Sequence[tuple[str, str, str]], key: str) -> list[Truth]:
    """The passage joined to the question, as a system text, or left out and reported."""
    return [
        pairs_truth((Joined((passage, q), (key,)), a) for passage, q, a in rows),
        Truth(tuple(exchange(q, a, Joined((passage,), (key,))) for passage, q, a in rows)),
        pairs_truth(((q, a) for _, q, a in rows), key),
    ]


def context_beside_the_question() -> Files:
    t = Objects("context_beside_the_question", 1)
    for i, (key, ask, reply) in enumerate(
        (
            ("context", "question", "answer"),
            ("background", "instruction", "response"),
            ("passage", "query", "answer"),
            ("材料", "问题", "回答"),
            ("参考资料", "提问", "回复"),
            ("document", "prompt", "completion"),
        )
    ):
        chosen = list(PASSAGES[:12] if i != 5 else PASSAGES)
        rows = [{key: passage, ask: q, reply: a} for passage, q, a in chosen]
        yield t.file(key, rows, context_truths(chosen, key))
    some = [(passage if k % 2 else "", q, a) for k, (passage, q, a) in enumerate(PASSAGES[:12])]
    rows = [
        {"instruction": q, "context": passage, "response": a, "category": "closed_qa" if passage else "open_qa"}
        for passage, q, a in some
    ]
    joined = pairs_truth((Joined((passage, q)) if passage else q, a) for passage, q, a in some)
    yield t.file(
        "context of some, category", rows, [joined, pairs_truth(((q, a) for _, q, a in some), "context")], "category"
    )


def history_under_other_names() -> Files:
    t = Objects("history_under_other_names", 2)
    shapes = {
        "chat_history": lambda q, a: [[q, a]],
        "dialog_history": lambda q, a: [q, a],
        "conversation_history": lambda q, a: [{"role": "user", "content": q}, {"role": "assistant", "content": a}],
        "历史对话": lambda q, a: [{"问": q, "答": a}],
        "past": lambda q, a: f"用户：{q}\n助手：{a}",
    }
    for i, (key, shape) in enumerate(shapes.items()):
        pairs = [p for p in draw(12, 250 + i, followup=True) if p.followup]
        rows = [
            {"query": p.followup[0], "response": p.followup[1], key: shape(p.question, p.answer)}
            for p in pairs
            if p.followup
        ]
        used = Truth(
            tuple((("user", p.question), ("either", p.answer), *exchange(*p.followup)) for p in pairs if p.followup)
        )
        truths = [used, pairs_truth([p.followup for p in pairs if p.followup], key)]
        if key == "past":
            truths.append(
                pairs_truth(
                    (Joined((p.question, p.answer, p.followup[0]), ("用户", "助手", "past")), p.followup[1])
                    for p in pairs
                    if p.followup
                )
            )
        yield t.file(key, rows, truths, may_ask=i > 2)


def reasoning_fields() -> Files:
    t = Objects("reasoning_fields")
    thought = "先确认用户问的是{}，再看有没有例外，最后给出办法。"
    for i, key in enumerate(("reasoning_content", "think", "思考过程", "reasoning")):
        pairs = draw(8 + i, 260 + i)
        thoughts = [thought.format(p.title) for p in pairs]
        if i == 0:
            rows: list[Any] = [
                {
                    "messages": [
                        {"role": "user", "content": p.question},
                        {"role": "assistant", key: x, "content": p.answer},
                    ]
                }
                for p, x in zip(pairs, thoughts, strict=True)
            ]
        else:
            ask, reply = (("question", "answer"), ("问题", "回答"), ("instruction", "output"))[i - 1]
            rows = [{ask: p.question, key: x, reply: p.answer} for p, x in zip(pairs, thoughts, strict=True)]
        marked = pairs_truth((p.question, Joined((x, p.answer), (key,))) for p, x in zip(pairs, thoughts, strict=True))
        yield t.file(key, rows, [pairs_truth(pairs, key), marked])
    pairs = draw(9, 265)
    rows = [
        {"prompt": p.question, "response": f"<think>\n{thought.format(p.title)}\n</think>\n\n{p.answer}"} for p in pairs
    ]
    marked = pairs_truth((p.question, Joined((thought.format(p.title), p.answer))) for p in pairs)
    yield t.file("<think> in the answer", rows, [pairs_truth(pairs, "think"), marked])


def weights_of_messages() -> Files:
    """Answers that are marked as not to be learned."""
    t = Objects("weights_of_messages")
    for i, (key, off, on) in enumerate(
        (("weight", 0, 1), ("train", False, True), ("loss", False, True), ("loss_weight", 0.0, 1.0))
    ):
        pairs = draw(10, 270 + i)
        rows, kept, cut = [], [], []
        for k, p in enumerate(pairs):
            bad, again = f"这个问题请自己上网查，编号{k}。", "请认真回答。"
            turns = [{"role": "user", "content": p.question}, {"role": "assistant", "content": bad, key: off}]
            turns += [{"role": "user", "content": again}, {"role": "assistant", "content": p.answer, key: on}]
            rows.append({"messages": turns})
            kept.append((("user", p.question), ("context", bad), ("user", again), ("assistant", p.answer)))
            cut.append(exchange(Joined((p.question, again)), p.answer))
        yield t.file(key, rows, [Truth(tuple(kept)), Truth(tuple(cut), (key,))], never=["请自己上网查"])


KINDS = (
    alpaca, json_on_one_line, sharegpt, messages, system_beside_messages, context_beside_the_question,
    history_under_other_names, reasoning_fields, weights_of_messages,
)  # fmt: skip
