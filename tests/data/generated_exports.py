"""Exports of annotation tools and chat programs, in the formats that their makers document.

Label Studio: https://labelstud.io/guide/export (JSON). Argilla: records of ``FeedbackDataset``, as pushed to a hub.
ChatGPT: ``conversations.json`` of the data export. Dify: ``GET /messages`` and the annotation CSV. Telegram:
``result.json`` of the desktop client.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from tests.data.generated_content import Pair, draw
from tests.data.generated_objects import Objects
from tests.data.generated_sheets import timestamp
from tests.data.generated_truth import (
    GeneratedFile,
    Truth,
    conversation,
    exchange,
    pairs_truth,
    session_truths,
)

Files = Iterator[GeneratedFile]
START = 1710728400  # seconds, 2024-03-18


def exchanges_of(pair: Pair) -> list[tuple[str, str]]:
    """One exchange, or two where the people went on."""
    return [(pair.question, pair.answer), *([pair.followup] if pair.followup else [])]


def one_message_a_line() -> Files:
    """Objects joined by an id, with roles; some interleaved, as a log has them."""
    t = Objects("one_message_a_line")
    for i, (number, role, text, names, time) in enumerate(
        (
            ("session", "role", "content", ("user", "assistant"), ""),
            ("conversation_id", "sender", "message", ("customer", "agent"), "created_at"),
            ("会话ID", "发送方", "内容", ("客户", "客服"), "时间"),
            ("ticket", "from", "body", ("client", "support"), "ts"),
        )
    ):
        pairs = draw((8, 10, 12, 9)[i], 700 + i, language="en" if i == 3 else "zh")
        rows, records = [], []
        for k, p in enumerate(pairs):
            records.append(conversation(exchanges_of(p)))
            for m, (name, x) in enumerate((n, x) for e in exchanges_of(p) for n, x in zip(names, e, strict=True)):
                stamp = (
                    {time: START + 600 * k + 90 * m if i == 3 else timestamp(k // 3, 10 * (k % 3) + 4 * m)}
                    if time
                    else {}
                )
                rows.append({number: f"S{k:04}", role: name, text: x, **stamp})
        if time:
            rows.sort(key=lambda row: str(row[time]))
        yield t.file(
            "/".join((number, role, text)),
            rows,
            [Truth(tuple(records))],
            form=("jsonl", None, ("utf-8", "utf-8-sig", "gb18030", "utf-8")[i]),
        )


def label_studio() -> Files:
    t = Objects("label_studio", 1)
    for i, (field, answer) in enumerate((("question", "answer"), ("text", "reply"), ("prompt", "response"))):
        pairs = draw(10 + i, 710 + i)
        tasks, good = [], []
        for k, p in enumerate(pairs):
            results = []
            for text, cancelled in ((f"这条不会答，跳过{k}。", True), (p.answer, False)):
                if cancelled and k % 3:
                    continue
                value = {
                    "value": {"text": [text]},
                    "id": f"r{k}",
                    "from_name": answer,
                    "to_name": field,
                    "type": "textarea",
                    "origin": "manual",
                }
                skipped = {
                    "was_cancelled": cancelled,
                    "ground_truth": False,
                    "lead_time": 31.5,
                    "created_at": timestamp(k),
                }
                results.append({"id": 10 * k + len(results), "completed_by": 1 + k % 2, "result": [value], **skipped})
            if k == 5:
                results[-1]["was_cancelled"] = True
            else:
                good.append(p)
            task = {
                "id": k,
                "annotations": results,
                "predictions": [],
                "data": {field: p.question},
                "meta": {},
                "project": 3,
            }
            tasks.append({**task, "created_at": timestamp(k), "updated_at": timestamp(k, 9)})
        never = ["这条不会答", pairs[5].answer.split("\n")[0]]
        yield t.file(
            f"{field}/{answer}",
            tasks,
            [pairs_truth(good)],
            "was_cancelled|discarded|cancelled",
            never=never,
            may_ask=i > 0,
            form=("json", (2, None, 4)[i], "utf-8"),
        )


def responses_of_annotators() -> Files:
    t = Objects("responses_of_annotators")
    pairs = draw(12, 720)
    rows: list[dict[str, Any]] = []
    for k, p in enumerate(pairs):
        bad = {"user_id": "u2", "status": "discarded", "values": {"answer": {"value": "看不懂这个问题。"}}}
        ok = {"user_id": "u1", "status": "submitted", "values": {"answer": {"value": p.answer}}}
        rows.append({"id": k, "fields": {"question": p.question}, "responses": [bad, ok] if k % 4 == 0 else [ok]})
    rows[7]["responses"] = [
        {"user_id": "u2", "status": "discarded", "values": {"answer": {"value": "看不懂这个问题。"}}}
    ]
    good = [p for k, p in enumerate(pairs) if k != 7]
    yield t.file("fields and responses", rows, [pairs_truth(good)], "discarded", never=["看不懂这个问题"], may_ask=True)
    rows = [
        {
            "question": p.question,
            "answer": [{"user_id": "u1", "value": p.answer, "status": "submitted"}],
            "answer-suggestion": None,
            "external_id": k,
            "metadata": "{}",
        }
        for k, p in enumerate(pairs)
    ]
    rows[2]["answer"].insert(0, {"user_id": "u2", "value": "看不懂这个问题。", "status": "discarded"})
    yield t.file("as pushed to a hub", rows, [pairs_truth(pairs)], "discarded", never=["看不懂这个问题"], may_ask=True)
    rows = [
        {
            "question": p.question,
            "answer": p.answer if k % 5 else "这条作废。",
            "status": "submitted" if k % 5 else "discarded",
        }
        for k, p in enumerate(pairs)
    ]
    good = [p for k, p in enumerate(pairs) if k % 5]
    yield t.file("status beside the pair", rows, [pairs_truth(good)], "discarded", never=["这条作废"], may_ask=True)


def _add(nodes: dict[str, Any], role: str, text: str, parent: str, at: float, **more: Any) -> str:
    """Hang a message below ``parent`` and return its id."""
    name = f"m{len(nodes)}"
    message = {
        "id": name,
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": at,
        "update_time": None,
    }
    message |= {
        "content": {"content_type": "text", "parts": [text]},
        "status": "finished_successfully",
        "end_turn": True,
    }
    message |= {"weight": 1.0, "metadata": more, "recipient": "all"}
    nodes[name] = {"id": name, "message": message, "parent": parent, "children": []}
    nodes[parent]["children"].append(name)
    return name


def chatgpt_export() -> Files:
    for i, branch in enumerate((False, True)):
        talks = draw(8 + 3 * i, 730 + i, language="en" if i else "zh")
        conversations, records = [], []
        for k, p in enumerate(talks):
            nodes: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
            last = "root"
            last = _add(nodes, "system", "", last, START, is_visually_hidden_from_conversation=True)
            for m, (q, a) in enumerate(exchanges_of(p)):
                last = _add(nodes, "user", q, last, START + 60 * m)
                if branch and m == 0:
                    _add(nodes, "assistant", f"Sorry, I was interrupted ({k}).", last, START + 5)
                last = _add(nodes, "assistant", a, last, START + 60 * m + 20, model_slug="gpt-4")
            conversations.append(
                {
                    "title": p.title,
                    "create_time": START + 3600.5 * k,
                    "update_time": START + 4000.25 * k,
                    "mapping": nodes,
                    "moderation_results": [],
                    "current_node": last,
                    "conversation_id": f"c-{k}",
                }
            )
            records.append(conversation(exchanges_of(p)))
        content = json.dumps(conversations, ensure_ascii=not branch).encode()
        report = ("branch|regenerated|current_node|other answers|alternative",) if branch else ()
        yield GeneratedFile(
            "chatgpt_export",
            "with a branch" if branch else "plain",
            "conversations.json",
            content,
            (Truth(tuple(records)),),
            report,
            ("I was interrupted",),
        )


def dify_export() -> Files:
    pairs = draw(12, 740, followup=True)
    rows, sessions = [], []
    for k, p in enumerate(pairs):
        sessions.append(exchanges_of(p) if k % 2 else exchanges_of(p)[:1])
        for m, (q, a) in enumerate(sessions[-1]):
            row = {
                "id": f"{k:04}-{m}",
                "conversation_id": f"{k:08}",
                "inputs": {},
                "query": q,
                "answer": a,
                "message_files": [],
            }
            rows.append({**row, "feedback": None, "retriever_resources": [], "created_at": START + 900 * k + 60 * m})
    truths = (Truth(tuple(map(conversation, sessions))), session_truths(sessions)[-1])
    data = {"limit": 20, "has_more": False, "data": rows}
    yield GeneratedFile(
        "dify_export", "messages", "messages.json", json.dumps(data, ensure_ascii=False).encode(), truths
    )
    for row in rows[::3]:
        row["feedback"] = {"rating": "like"}
        row["retriever_resources"] = [
            {
                "position": 1,
                "dataset_name": "客服知识库",
                "document_name": "退换货.md",
                "score": 0.82,
                "content": "知识库原文不应当被学习。",
            }
        ]
    content = json.dumps(data, ensure_ascii=False, indent=2).encode()
    yield GeneratedFile(
        "dify_export",
        "with feedback and sources",
        "messages.json",
        content,
        truths,
        ("retriever_resources", "feedback"),
        ("知识库原文",),
    )
    out = io.StringIO()
    csv.writer(out).writerows([("question", "answer"), *((p.question, p.answer) for p in pairs)])
    yield GeneratedFile(
        "dify_export", "annotations", "annotations.csv", out.getvalue().encode("utf-8-sig"), (pairs_truth(pairs),)
    )


def telegram_export() -> Files:
    for i, (client, agent, may_ask) in enumerate(
        (("晴天", "客服小美", False), ("Ann Lee", "Support", False), ("阿杰", "小雨", True))
    ):
        pairs = draw(8, 750 + i, language="en" if i == 1 else "zh")
        sessions = [exchanges_of(p) for p in pairs]
        rows: list[dict[str, Any]] = [
            {
                "id": 1,
                "type": "service",
                "date": "2024-03-03T08:00:00",
                "date_unixtime": "1709424000",
                "actor": client,
                "actor_id": "user11",
                "action": "phone_call",
                "text": "",
                "text_entities": [],
            }
        ]
        for k, session in enumerate(sessions):
            for m, (who, text) in enumerate((w, x) for e in session for w, x in zip((client, agent), e, strict=True)):
                date = timestamp(k, 3 * m, "%Y-%m-%dT%H:%M:%S")
                row = {
                    "id": len(rows) + 1,
                    "type": "message",
                    "date": date,
                    "date_unixtime": str(START + 86400 * k),
                    "from": who,
                    "from_id": f"user{11 + m % 2}",
                }
                plain = [{"type": "plain", "text": text}]
                if i == 0 and k % 2:
                    entities = [{"type": "bold", "text": text[:4]}, {"type": "plain", "text": text[4:]}]
                    rows.append({**row, "text": [entities[0], text[4:]], "text_entities": entities})
                else:
                    rows.append({**row, "text": text, "text_entities": plain})
            photo = {
                "photo": "(File not included. Change data exporting settings to download.)",
                "width": 640,
                "height": 480,
            }
            rows.append(
                {
                    "id": len(rows) + 1,
                    "type": "message",
                    "date": date,
                    "date_unixtime": "1710728400",
                    "from": client,
                    "from_id": "user11",
                    **photo,
                    "text": "",
                    "text_entities": [],
                }
            )
        data = {"name": client, "type": "personal_chat", "id": 4242, "messages": rows}
        content = json.dumps(data, ensure_ascii=False, indent=1).encode()
        yield GeneratedFile(
            "telegram_export",
            f"{client}/{agent}",
            "result.json",
            content,
            session_truths(sessions),
            ("photo|图片|media|picture|image",),
            ("File not included",),
            may_ask,
        )


def role_marks_inside_the_prompt() -> Files:
    """Read as turns or without the marks, or as they are and reported."""
    t = Objects("role_marks_inside_the_prompt", 2)
    for i, (mark, user, assistant, end) in enumerate(
        (
            ("Human", "Human: ", "Assistant:", ""),
            ("Human", "\n\nHuman: ", "\n\nAssistant:", ""),
            ("im_start", "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n"),
            ("用户", "用户：", "助手：", "\n"),
        )
    ):
        pairs = draw(9, 760 + i, followup=True)
        rows, cut, raw = [], [], []
        for k, p in enumerate(pairs):
            exchanges = exchanges_of(p) if k % 2 else exchanges_of(p)[:1]
            gap = "" if i == 1 or end else "\n"
            prompt = "".join(f"{user}{q}{end}{gap}{assistant} {a}{end}{gap}" for q, a in exchanges[:-1])
            prompt += f"{user}{exchanges[-1][0]}{end}{gap}{assistant}"
            rows.append({"prompt": prompt, "completion": " " + exchanges[-1][1]})
            earlier = tuple((role, x) for e in exchanges[:-1] for role, x in zip(("user", "either"), e, strict=True))
            cut.append((*earlier, *exchange(*exchanges[-1])))
            raw.append(exchange(prompt, exchanges[-1][1]))
        yield t.file(assistant.strip(), rows, [Truth(tuple(cut)), Truth(tuple(raw), (mark,))], may_ask=True)


def tool_calls() -> Files:
    """Conversations that call tools are left out, and the others are read."""
    t = Objects("tool_calls")
    for i, named in enumerate((False, True)):
        pairs = draw(10, 770 + i)
        rows = []
        for k, p in enumerate(pairs):
            turns: list[dict[str, Any]] = [
                {"role": "user", "content": p.question},
                {"role": "assistant", "content": p.answer},
            ]
            if k % 4 == 1:
                call = {"id": "call_1", "type": "function", "function": {"name": "lookup", "arguments": '{"q": 1}'}}
                turns[1:1] = [
                    {"role": "assistant", "content": None, "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "call_1", "content": "库存：12"},
                ]
            rows.append({"messages": turns, **({"tools": []} if named else {})})
        read = [p for k, p in enumerate(pairs) if k % 4 != 1]
        yield t.file("with tools key" if named else "plain", rows, [pairs_truth(read)], "tool", never=["库存：12"])


KINDS = (
    one_message_a_line, label_studio, responses_of_annotators, chatgpt_export, dify_export, telegram_export,
    role_marks_inside_the_prompt, tool_calls,
)  # fmt: skip
