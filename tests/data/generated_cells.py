"""Tables whose cells hold more than plain text: markup, JSON, junk, second answers; tables without headers."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator

from tests.data.generated_content import draw
from tests.data.generated_sheets import PEOPLE, Tables, cells, csv_text, timestamp
from tests.data.generated_truth import GeneratedFile, Truth, conversation, exchange, pairs_truth

Files = Iterator[GeneratedFile]


def remarks_mostly_empty() -> Files:
    t = Tables("remarks_mostly_empty")
    for i, (head, notes) in enumerate(
        (
            (("问题", "答案", "备注"), ("", "", "", "", "已核对", "", "")),
            (("备注", "咨询内容", "律师答复"), ("", "", "", "老客户", "", "")),
            (("question", "answer", "notes"), ("", "", "", "", "call back", "")),
        )
    ):
        pairs = draw((18, 9, 12)[i], 400 + i, language="en" if i == 2 else "zh")
        rows = cells(pairs, *((notes, "question", "answer") if i == 1 else ("question", "answer", notes)))
        name = head[0] if i == 1 else head[2]
        yield t.file(name, [head, *rows], [pairs_truth(pairs)], name)


def json_in_the_answer_cell() -> Files:
    t = Tables("json_in_the_answer_cell", 2)
    for i, wrap in enumerate(
        (
            lambda a: {"text": [a]},
            lambda a: {"content": a, "type": "text"},
            lambda a: [a],
            lambda a: {"answer": a, "confidence": 0.93},
        )
    ):
        pairs = draw(8 + 3 * i, 410 + i)
        head = (("question", "answer"), ("问题", "答案"), ("问题", "回答"), ("query", "response"))[i]
        rows = [[p.question, json.dumps(wrap(p.answer), ensure_ascii=i != 2)] for p in pairs]
        yield t.file(str(wrap("…")), [head, *rows], [pairs_truth(pairs)], never=['{"', '["'], may_ask=True)


def markup_in_cells() -> Files:
    """Read without the markup, or with it and reported."""
    t = Tables("markup_in_cells", 1)

    def paragraphs(text: str) -> str:
        return "".join(f"<p>{html.escape(line)}</p>" for line in text.split("\n"))

    def breaks(text: str) -> str:
        return "&nbsp;&nbsp;" + html.escape(text).replace("\n", "<br/>&nbsp;&nbsp;")

    for i, (mark, head) in enumerate(
        ((paragraphs, ("问题", "回答")), (breaks, ("标题", "正文")), (breaks, ("咨询内容", "答复内容")))
    ):
        pairs = draw(12 + 4 * i, 420 + i)
        head = ("问题", "答案") if i == 1 else head
        rows = [[p.question, mark(p.answer)] for p in pairs]
        raw = pairs_truth(((p.question, mark(p.answer)) for p in pairs), "HTML|html|&nbsp;|<p>|<br")
        yield t.file(mark.__name__, [head, *rows], [pairs_truth(pairs), raw])
    pairs = draw(9, 424, language="en")
    rows = [[p.question, html.escape(p.answer).replace("'", "&#39;")] for p in pairs]
    rows = [[q.replace("?", "?&nbsp;"), a] for q, a in rows]
    raw = pairs_truth(((q, a) for q, a in rows), "HTML|html|&#39;|&quot;|&nbsp;|&#x27;")
    yield t.file("entities", [("question", "answer"), *rows], [pairs_truth(pairs), raw])


def literal_line_breaks() -> Files:
    r"""The two characters ``\n`` in a cell: read as a line break, or as they are and reported."""
    t = Tables("literal_line_breaks", 3)
    for i, mark in enumerate(("\\n", "\\r\\n", "\\n\\n")):
        pairs = draw(10 + i, 430 + i, "law", "medical", "shop", "it", "hr")
        answers = [p.answer.replace("\n", mark).replace("。", "。" + mark, 1) for p in pairs]
        plain = [p.answer.replace("。", "。\n", 1) for p in pairs]
        read = pairs_truth((p.question, a.removesuffix("\n")) for p, a in zip(pairs, plain, strict=True))
        raw = pairs_truth(((p.question, a) for p, a in zip(pairs, answers, strict=True)), "\\n")
        rows = [[p.question, a] for p, a in zip(pairs, answers, strict=True)]
        yield t.file(mark, [("问题", "答案"), *rows], [read, raw])


def two_answer_columns() -> Files:
    t = Tables("two_answer_columns")
    for i, (head, n) in enumerate(
        (
            (("问题", "初稿", "终稿"), 10),
            (("咨询内容", "原回复", "修订后回复"), 14),
            (("用户问题", "AI回答", "人工修订"), 8),
            (("question", "old_answer", "new_answer"), 12),
        )
    ):
        pairs = draw(n, 440 + i, language="en" if i == 3 else "zh")
        old = "See the web page about {}." if i == 3 else "关于{}，请参见公司官网说明。"
        rows = [[p.question, old.format(p.title), p.answer] for p in pairs]
        never = ["See the web page"] if i == 3 else ["请参见公司官网说明"]
        yield t.file("/".join(head), [head, *rows], [pairs_truth(pairs, head[1])], never=never, may_ask=True)


def usual_headers() -> Files:
    """Plain tables under many names: nothing to ask."""
    t = Tables("usual_headers")
    for i, (ask, reply) in enumerate(
        (
            ("Question", "Answer"),
            ("User Query", "Agent Response"),
            ("Inquiry", "Resolution"),
            ("prompt", "completion"),
            ("问", "答"),
            ("咨询问题", "专家解答"),
            ("客户提问", "标准话术"),
            ("用户输入", "机器人回复"),
            ("來信內容", "回覆內容"),
            ("症状描述", "医生建议"),
        )
    ):
        pairs = draw(6 + 3 * i if i < 4 else 6 + 3 * (i - 2), 450 + i, language="en" if i < 4 else "zh")
        head = (("id", ask, reply), ("ticket_id", "created_at", ask, reply), (reply, ask), (ask, reply))[i % 4]
        named = {ask: "question", reply: "answer", "id": "id", "ticket_id": "id", "created_at": "time"}
        yield t.file(
            f"{ask}/{reply}",
            [head, *cells(pairs, *(named[h] for h in head))],
            [pairs_truth(pairs)],
            may_ask=i in (2, 9),
        )


def no_header() -> Files:
    t = Tables("no_header", 1)
    for i, columns in enumerate(
        (
            ("question", "answer"),
            ("number", "question", "answer"),
            ("question", "answer"),
            ("time", "question", "answer"),
        )
    ):
        pairs = draw(9 + 5 * i if i != 2 else 12, 460 + i, language="en" if i == 2 else "zh", asking=True)
        yield t.file("/".join(columns), cells(pairs, *columns), [pairs_truth(pairs)], may_ask=True)


def junk_answers() -> Files:
    t = Tables("junk_answers", 2)
    junk = (
        "#REF!",
        "见附件",
        "电话已答复",
        "1.10101E+17",
        "https://www.example.com/help/1024.html",
        "#N/A",
        "已电话沟通",
        "同上",
    )
    for i, (head, bad) in enumerate(
        (
            (("客户问题", "我方回复"), junk[:4]),
            (("问题", "答案"), junk[4:]),
            (("编号", "咨询内容", "答复内容"), junk),
            (
                ("question", "answer"),
                ("#VALUE!", "see attachment", "https://intranet.example.com/kb/7", "answered by phone"),
            ),
        )
    ):
        pairs = draw(20, 470 + i, language="en" if i == 3 else "zh")
        answers = [bad[k // 2 % len(bad)] if k % 2 and k // 2 < len(bad) else p.answer for k, p in enumerate(pairs)]
        rows = [[p.question, a] for p, a in zip(pairs, answers, strict=True)]
        rows = [[str(k), *r] for k, r in enumerate(rows, 1)] if i == 2 else rows
        good = pairs_truth(p for p, a in zip(pairs, answers, strict=True) if a == p.answer)
        yield t.file(bad[0], [head, *rows], [good], never=bad, may_ask=False)


def unanswered_rows() -> Files:
    t = Tables("unanswered_rows", 1)
    for i, head in enumerate((("问题", "回复"), ("编号", "问题", "答案"), ("question", "answer"))):
        pairs = draw(15, 480 + i, language="en" if i == 2 else "zh")
        empty = ("", "略", "-") if i == 1 else ("N/A", "", "TODO") if i == 2 else ("", "待补充", "")
        rows = [[p.question, empty[k % 3] if k % 4 == 1 else p.answer] for k, p in enumerate(pairs)]
        rows = [[str(k), *r] for k, r in enumerate(rows, 1)] if i == 1 else rows
        yield t.file("/".join(head), [head, *rows], [pairs_truth(p for k, p in enumerate(pairs) if k % 4 != 1)])


def one_message_a_row() -> Files:
    """Rows joined by an id: role, time and notices of the system beside the text."""
    t = Tables("one_message_a_row")
    for i, (head, names, notice) in enumerate(
        (
            (("ticket_id", "create_time", "role", "content"), ("客户", "客服"), ""),
            (("会话编号", "发送人类型", "消息内容", "发送时间"), ("访客", "坐席"), "系统"),
            (("conversation_id", "sender", "message", "sent_at"), ("customer", "agent"), "system"),
            (("工单号", "时间", "方向", "内容"), ("来", "去"), ""),
            (("session", "role", "text"), ("user", "assistant"), ""),
            (("id", "speaker", "utterance", "time"), ("业主", "物业"), "系统通知"),
        )
    ):
        pairs = draw((12, 10, 8, 9, 11, 13)[i], 490 + i, language="en" if i == 2 else "zh", followup=i in (0, 1))[:12]
        rows, records = [], []
        for k, p in enumerate(pairs):
            number = f"T{1000 + k}"
            exchanges = [(p.question, p.answer), *([p.followup] if p.followup and k % 2 == 0 else [])]
            records.append(conversation(exchanges))
            texts = [(names[0], q, names[1], a) for q, a in exchanges]
            lines = [x for q1, q, a1, a in texts for x in ((q1, q), (a1, a))]
            if notice:
                lines.append((notice, "会话已由系统自动关闭" if i != 2 else "The chat was closed"))
            for m, (who, text) in enumerate(lines):
                time = timestamp(k, m)
                rows.append(
                    {
                        0: (number, time, who, text),
                        1: (number, who, text, time),
                        2: (number, who, text, time),
                        3: (number, time, who, text),
                        4: (number, who, text),
                        5: (number, who, text, time),
                    }[i]
                )
        if i == 3:
            rows.sort(key=lambda r: (int(str(r[0])[1:]) // 3, str(r[1])[11:]))
        unread = (f"{notice}|system|notice",) if notice else ()
        never = ("会话已由系统自动关闭", "The chat was closed")
        yield t.file("/".join(head), [head, *rows], [Truth(tuple(records))], *unread, never=never, may_ask=i in (3, 5))


def question_and_answer_rows() -> Files:
    """A type column and a text column, question and answer in turn, no id."""
    t = Tables("question_and_answer_rows", 1)
    for i, (head, names) in enumerate(
        (
            (("类型", "内容"), ("问", "答")),
            (("role", "content"), ("user", "assistant")),
            (("说话人", "文本"), ("顾客", "店员")),
        )
    ):
        pairs = draw(10 + 3 * i, 500 + i)
        rows = [r for p in pairs for r in ((names[0], p.question), (names[1], p.answer))]
        whole = Truth((conversation((p.question, p.answer) for p in pairs),))
        yield t.file("/".join(names), [head, *rows], [pairs_truth(pairs), whole], may_ask=True)


def messages_in_a_cell() -> Files:
    t = Tables("messages_in_a_cell")
    for i, (column, role, content, names) in enumerate(
        (
            ("messages", "role", "content", ("user", "assistant")),
            ("对话", "from", "value", ("human", "gpt")),
            ("conversation", "role", "content", ("user", "assistant")),
        )
    ):
        pairs = draw(8 + 2 * i, 510 + i)
        rows = []
        for k, p in enumerate(pairs):
            turns = [{role: names[0], content: p.question}, {role: names[1], content: p.answer}]
            rows.append([str(k), timestamp(k), json.dumps(turns, ensure_ascii=i == 2)])
        yield t.file(column, [("id", "time", column), *rows], [pairs_truth(pairs)], never=['{"'])


def history_column() -> Files:
    t = Tables("history_column", 2)
    for i, (head, shape) in enumerate(
        (
            (("history", "question", "answer"), lambda q, a: json.dumps([[q, a]], ensure_ascii=False)),
            (("历史对话", "当前问题", "回答"), lambda q, a: f"用户：{q}\n客服：{a}"),
        )
    ):
        pairs = [p for p in draw(10, 520 + i, followup=True) if p.followup]
        rows = [[shape(p.question, p.answer), *p.followup] for p in pairs if p.followup]
        used = Truth(
            tuple((("user", p.question), ("either", p.answer), *exchange(*p.followup)) for p in pairs if p.followup)
        )
        yield t.file(
            head[0],
            [head, *rows],
            [used, pairs_truth((p.followup for p in pairs if p.followup), head[0])],
            may_ask=True,
        )


def source_and_url_columns() -> Files:
    t = Tables("source_and_url_columns", 3)
    for i, head in enumerate(
        (
            ("问题", "答案", "来源", "链接"),
            ("序号", "提问人", "问题", "专家回复", "阅读量"),
            ("question", "answer", "source", "url"),
        )
    ):
        pairs = draw(10 + 5 * i, 530 + i, language="en" if i == 2 else "zh")
        urls = [f"https://www.example.com/qa/{k}.html" for k in range(40)]
        columns = (
            ("number", PEOPLE, "question", "answer", ("1024", "87", "342"))
            if i == 1
            else ("question", "answer", ("热线", "门户网站"), urls)
        )
        unread = ("提问人", "阅读量") if i == 1 else head[2:]
        yield t.file("/".join(head), [head, *cells(pairs, *columns)], [pairs_truth(pairs)], *unread)


def delimiters_and_ragged_rows() -> Files:
    t = Tables("delimiters_and_ragged_rows")
    pairs = draw(12, 540, one_line=True)
    rows = [("编号", "问题", "答案"), *cells(pairs, "id", "question", "answer")]
    for name, delimiter, suffix in (("semicolon", ";", "csv"), ("bar", "|", "txt"), ("tab in csv", "\t", "csv")):
        yield t.raw(name, suffix, csv_text(rows, delimiter).encode(), [pairs_truth(pairs)])
    lines = csv_text(rows).splitlines()
    lines[4] = lines[4].rsplit(",", 1)[0]
    yield t.raw(
        "one row too short",
        "csv",
        "\n".join(lines).encode("gb18030"),
        [pairs_truth(p for k, p in enumerate(pairs) if k != 3)],
        ":5",
    )


KINDS = (
    remarks_mostly_empty, json_in_the_answer_cell, markup_in_cells, literal_line_breaks, two_answer_columns,
    usual_headers, no_header, junk_answers, unanswered_rows, one_message_a_row, question_and_answer_rows,
    messages_in_a_cell, history_column, source_and_url_columns, delimiters_and_ragged_rows,
)  # fmt: skip
