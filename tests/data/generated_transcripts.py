"""Text files: labels, numbers, forms, paragraphs, and what stands between the records."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from tests.data.generated_content import domains_for, draw
from tests.data.generated_exports import exchanges_of
from tests.data.generated_sheets import PEOPLE, STEMS, timestamp
from tests.data.generated_truth import (
    GeneratedFile,
    Truth,
    conversation,
    encoded,
    pairs_truth,
    session_truths,
)

Files = Iterator[GeneratedFile]
ENCODINGS = (("utf-8", "\n"), ("gb18030", "\r\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\r\n"), ("utf-8", "\r\n"))
NUMERALS = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二", "十三", "十四", "十五", "十六")


class Texts:
    """Makes the files of one kind: each call takes the next encoding in turn."""

    def __init__(self, kind: str, first: int = 0, suffix: str = "txt") -> None:
        self.kind = kind
        self.suffix = suffix
        self._encodings = itertools.islice(itertools.cycle(ENCODINGS), first, None)
        self._count = first

    def file(
        self,
        variation: str,
        text: str,
        truths: Sequence[Truth],
        *must_report: str,
        never: Sequence[str] = (),
        may_ask: bool = False,
    ) -> GeneratedFile:
        """One file of this text."""
        encoding, newline = next(self._encodings)
        self._count += 1
        name = f"{STEMS[self._count % len(STEMS)]}.{self.suffix}"
        variation = f"{variation}, {encoding}{' CRLF' if newline != chr(10) else ''}"
        content = encoded(text, encoding, newline)
        return GeneratedFile(self.kind, variation, name, content, tuple(truths), must_report, tuple(never), may_ask)


def known_labels() -> Files:
    t = Texts("known_labels")
    known = (("law", "hr"), (), ("shop",), (), (), (), ("medical",))
    for i, shape in enumerate(
        (
            "用户：{q}\n律师：{a}\n\n",
            "问：{q}\n答：{a}\n",
            "客户: {q}\n客服: {a}\n\n",
            "【问题】{q}\n【回答】{a}\n\n",
            "Customer: {q}\nAgent: {a}\n\n",
            "Q: {q}\nA: {a}\n",
            "病人：{q}\n医生：{a}\n\n\n",
        )
    ):
        pairs = draw((12, 11, 16, 21, 14, 14, 9)[i], 800 + i, *known[i], language="en" if i in (4, 5) else "zh")
        text = "".join(shape.format(q=p.question, a=p.answer) for p in pairs)
        parted = shape.endswith("\n\n")
        truths = [pairs_truth(pairs)] if parted else session_truths([[(p.question, p.answer)] for p in pairs])
        yield t.file(shape.split("{")[0] + ("" if parted else " without blank lines"), text, truths)


def unknown_role_names() -> Files:
    t = Texts("unknown_role_names", 1)
    for i, (user, assistant) in enumerate(
        (
            ("读者", "馆员"),
            ("业主", "管家"),
            ("家长", "班主任"),
            ("甲方", "乙方"),
            ("Tenant", "Caretaker"),
            ("张三", "李四"),
        )
    ):
        pairs = draw((8, 12, 8, 16, 12, 20)[i], 810 + i, *domains_for(assistant, 8), language="en" if i == 4 else "zh")
        colon = ":" if i == 4 else "："
        text = "".join(f"{user}{colon} {p.question}\n{assistant}{colon} {p.answer}\n\n" for p in pairs)
        yield t.file(f"{user}/{assistant}", text, [pairs_truth(pairs)], may_ask=i in (3, 5))


def third_speaker() -> Files:
    """One who comments on the answers: not learned, and told."""
    t = Texts("third_speaker", 2)
    for i, (user, assistant, third, remark) in enumerate(
        (
            ("客户", "律师", "主管", "这条回答不对，下次改。"),
            ("业主", "客服", "经理", "不要对外这样承诺。"),
            ("患者", "医生", "护士长", "注意记录在案。"),
            ("学员", "老师", "旁白", "学员离开教室。"),
        )
    ):
        pairs = draw((12, 15, 9, 8)[i], 820 + i, *domains_for(assistant, 8))
        places = (3, 4, 7) if i else (5,)
        text = "".join(
            f"{user}：{p.question}\n{assistant}：{p.answer}\n" + (f"{third}：{remark}\n" if k in places else "") + "\n"
            for k, p in enumerate(pairs)
        )
        yield t.file(third, text, [pairs_truth(pairs)], third, never=[remark], may_ask=True)


def forms() -> Files:
    """Several fields a record, of which two are question and answer."""
    t = Texts("forms")
    for i, (fields, unread, end) in enumerate(
        (
            (
                "咨询人：{who}\n联系电话：0571-8812{k:04}\n咨询内容：{q}\n律师解答：{a}\n处理结果：已办结\n",
                ("处理结果", "联系电话"),
                "\n",
            ),
            ("编号：{k}\n来电时间：{time}\n诉求：{q}\n答复：{a}\n满意度：非常满意\n", ("满意度",), "\n"),
            (
                "姓名：{who}\n科室：内科\n病情描述：{q}\n医生建议：{a}\n复诊安排：两周后\n",
                ("科室", "复诊安排"),
                "--------------------\n",
            ),
            ("Name: {who}\nQuestion: {q}\nAnswer: {a}\nStatus: closed\n", ("Status",), "\n"),
            ("【工单】{k}\n【问题描述】{q}\n【处理意见】{a}\n【经办人】王芳\n", ("经办人",), "\n"),
        )
    ):
        domains = (("law", "hr"), ("property",), ("medical",), (), ("property", "it"))[i]
        people = ("Ann Lee", "Bob Ray", "Mia Chen") if i == 3 else PEOPLE
        pairs = draw((9, 15, 8, 12, 11)[i], 830 + i, *domains, language="en" if i == 3 else "zh")
        text = "".join(
            fields.format(who=people[k % len(people)], k=k + 1, time=timestamp(k), q=p.question, a=p.answer) + end
            for k, p in enumerate(pairs)
        )
        never = ("已办结", "非常满意", "两周后", "Status", "经办人")
        yield t.file(
            "/".join(f.split("：")[0].split(":")[0] for f in fields.split("\n")[:-1]),
            text,
            [pairs_truth(pairs)],
            *unread,
            never=never,
            may_ask=i in (2, 4),
        )


def numbered_questions() -> Files:
    t = Texts("numbered_questions", 3)
    for i, shape in enumerate(
        (
            "{k}、{q}\n答：{a}\n\n",
            "{k}. {q}\n答：{a}\n",
            "（{z}）{q}\n答：{a}\n\n",
            "{z}、{q}\n{a}\n\n",
            "问题{k}：{q}\n解答：{a}\n\n",
            "{k}) {q}\nA: {a}\n\n",
        )
    ):
        pairs = draw(
            (9, 16, 12, 8, 14, 11)[i], 840 + i, language="en" if i == 5 else "zh", asking=i == 3, one_line=i in (1, 3)
        )
        text = "".join(shape.format(k=k, z=NUMERALS[k - 1], q=p.question, a=p.answer) for k, p in enumerate(pairs, 1))
        yield t.file(shape.replace("\n", " ").strip(), text, [pairs_truth(pairs)])


def mixed_labels() -> Files:
    """The same people under several labels, as when two typists wrote."""
    t = Texts("mixed_labels")
    shapes = (
        ("Q{k}：{q}\nA{k}：{a}\n", "Q{k}. {q}\nA{k}. {a}\n"),
        ("问：{q}\n答：{a}\n\n", "{k}、{q}\n答：{a}\n\n"),
        ("客户：{q}\n客服：{a}\n\n", "顾客：{q}\n客服小美：{a}\n\n"),
        ("用户：{q}\n律师：{a}\n\n", "用户:{q}\n律师 : {a}\n\n"),
    )
    for i, pair_of_shapes in enumerate(shapes):
        pairs = draw(12 + i, 850 + i)
        text = "".join(
            pair_of_shapes[k % 3 == 1].format(k=k + 1, q=p.question, a=p.answer) for k, p in enumerate(pairs)
        )
        truths = session_truths([[(p.question, p.answer)] for p in pairs]) if i == 0 else [pairs_truth(pairs)]
        yield t.file(pair_of_shapes[1].replace("\n", " ").strip(), text, truths, may_ask=i == 2)


def lines_in_turn() -> Files:
    """Question and answer lines without any label."""
    t = Texts("lines_in_turn", 1)
    for i, gap in enumerate(("", "\n", "\n")):
        pairs = draw(
            10 + 6 * i if i < 2 else 14, 860 + i, language="en" if i == 2 else "zh", asking=True, one_line=True
        )
        text = "".join(f"{p.question}\n{p.answer}\n{gap}" for p in pairs)
        yield t.file("blank lines between" if gap else "no blank lines", text, [pairs_truth(pairs)], may_ask=True)
    pairs = draw(13, 864, asking=True, one_line=True)
    yield t.file(
        "tab between", "".join(f"{p.question}\t{p.answer}\n" for p in pairs), [pairs_truth(pairs)], may_ask=True
    )


def paragraphs() -> Files:
    """A question line with paragraphs of an answer below it."""
    t = Texts("paragraphs", 2)
    for i in range(3):
        pairs = draw(8 + 3 * i, 870 + i, "law", "medical", "finance", "it", "property", asking=True)
        if i == 0:
            text = "\n\n".join(f"{p.question}\n{p.answer}" for p in pairs)
        elif i == 1:
            text = "\n\n\n".join(f"{p.question}\n\n{p.answer}" for p in pairs)
        else:
            text = "\n".join(f"{p.question}\n　　" + p.answer.replace("\n", "\n　　") for p in pairs)
        yield t.file(
            ("blocks", "blank line below the question", "indented answers")[i],
            text + "\n",
            [pairs_truth(pairs)],
            may_ask=True,
        )


def colons_in_answers() -> Files:
    """Lines in an answer that begin with a word and a colon are no speakers."""
    t = Texts("colons_in_answers")
    extra = (
        "答案：以书面通知为准。\n注意：请保留回执。",
        "地址：行政楼一层服务台\n时间：工作日九点到五点\n电话：前台总机转三",
        "步骤一：登录系统\n步骤二：提交申请\n步骤三：等待审批",
        "Note: keep the receipt.\nWhere: front desk, ground floor",
    )
    for i, lines in enumerate(extra):
        user, assistant = (("用户", "律师"), ("业主", "物业"), ("咨询人", "顾问"), ("Customer", "Agent"))[i]
        pairs = draw(12, 880 + i, *domains_for(assistant, 12), language="en" if i == 3 else "zh")
        gap = "\n" if i == 2 else ""
        answers = [p.answer + ("\n" + gap + lines if k in (2, 5, 9) else "") for k, p in enumerate(pairs)]
        text = "".join(f"{user}：{p.question}\n{assistant}：{a}\n\n" for p, a in zip(pairs, answers, strict=True))
        truth = pairs_truth((p.question, a) for p, a in zip(pairs, answers, strict=True))
        yield t.file(lines.split("\n")[0], text, [truth], may_ask=i == 2)


def headers_between_records() -> Files:
    t = Texts("headers_between_records", 1)
    for i, head in enumerate(
        (
            "id={k}\nhttps://www.example.com/consult/{k}.htm\n\nDescription\n{title}\n\nDialogue\n",
            "【热线记录 第{k}号】{time}\n",
            "—— 第 {k} 页 共 15 页 ——\n",
            "=== Ticket #{k} | {time} | closed ===\n",
        )
    ):
        user, assistant = (("病人", "医生"), ("市民", "话务员"), ("问", "答"), ("Customer", "Agent"))[i]
        pairs = draw((9, 11, 12, 13)[i], 890 + i, *domains_for(assistant, 9), language="en" if i == 3 else "zh")
        own = "\n" if i == 0 else ""
        text = "".join(
            head.format(k=k + 1, title=p.title, time=timestamp(k))
            + f"{user}：{own}{p.question}\n{assistant}：{own}{p.answer}\n\n"
            for k, p in enumerate(pairs)
        )
        unread = ("Description", "热线记录|:1|lines 1", "第 1 页|:1|lines 1", "Ticket|:1|lines 1")[i]
        yield t.file(
            head.split("\n")[0],
            text,
            [pairs_truth(pairs)],
            unread,
            never=("example.com", "热线记录", " 页 共 ", "=== Ticket"),
        )


def preamble_and_footer() -> Files:
    t = Texts("preamble_and_footer")
    for i, (top, bottom) in enumerate(
        (
            ("2024年一季度热线整理\n仅供内部培训使用，请勿外传。\n\n", ""),
            ("整理人：王芳\n整理时间：2024年3月18日\n\n", "（完）\n"),
            ("", "\n—— 全文完 ——\n制表：客服部\n"),
            ("FAQ of the service desk, last changed in March.\n\n", "\n*** end of file ***\n"),
        )
    ):
        pairs = draw(10 + 2 * i, 900 + i, language="en" if i == 3 else "zh")
        body = (
            "".join(f"问：{p.question}\n答：{p.answer}\n\n" for p in pairs)
            if i < 3
            else "".join(f"Q: {p.question}\nA: {p.answer}\n\n" for p in pairs)
        )
        text = top + body + bottom
        lines = len(text.splitlines())
        unread = [f"{top.splitlines()[0]}|:1|lines 1"] if top else []
        unread += [f"{bottom.strip().splitlines()[0]}|:{lines}|:{lines - 1}"] if bottom else []
        yield t.file(
            f"{top[:12]!r} {bottom.strip()[:12]!r}",
            text,
            [pairs_truth(pairs)],
            *unread,
            never=("（完）", "全文完", "end of file"),
        )


def parted_dialogues() -> Files:
    """Several exchanges a dialogue, dialogues parted by what stands between them."""
    t = Texts("parted_dialogues", 3)
    for i, (between, names) in enumerate(
        (
            ("\n", ("用户", "律师")),
            ("---\n", ("顾客", "店员")),
            ("对话{k}\n", ("员工", "人事")),
            ("\n", ("Client", "Advisor")),
            ("\n## 会话 {k}\n\n", ("学生", "老师")),
        )
    ):
        language = "en" if i == 3 else "zh"
        pairs = draw(10 if i < 3 else 6, 910 + i, language=language, followup=i < 3)
        pairs += [p for p in draw(20, 920 + i, language=language) if p not in pairs][: 4 + i]
        sessions = [exchanges_of(p) for p in pairs]
        blocks = ["".join(f"{name}：{x}\n" for e in s for name, x in zip(names, e, strict=True)) for s in sessions]
        first = "{k}" in between
        text = "".join(
            (between.format(k=k) if first else "") + b + ("" if first else between) for k, b in enumerate(blocks, 1)
        )
        yield t.file(between.strip() or "blank lines", text, [Truth(tuple(map(conversation, sessions)))])


def student_answers() -> Files:
    """Who asks is the one that usually knows: the other one's words are learned."""
    t = Texts("student_answers", 4)
    for i, (user, assistant) in enumerate(
        (("老师", "学生"), ("考官", "考生"), ("Interviewer", "Candidate"), ("领导", "秘书"))
    ):
        pairs = draw(11 + i, 930 + i, *domains_for(assistant, 14), language="en" if i == 2 else "zh", asking=True)
        text = "".join(f"{user}：{p.question}\n{assistant}：{p.answer}\n\n" for p in pairs)
        yield t.file(f"{user}/{assistant}", text, [pairs_truth(pairs)], may_ask=True)


def labels_on_lines_of_their_own() -> Files:
    t = Texts("labels_on_lines_of_their_own", 2)
    for i, shape in enumerate(
        ("用户：\n{q}\n\n律师：\n{a}\n\n", "[提问]\n{q}\n[回答]\n{a}\n\n", "## 问题\n{q}\n## 解答\n{a}\n\n")
    ):
        pairs = draw(9 + 4 * i, 940 + i)
        text = "".join(shape.format(q=p.question, a=p.answer) for p in pairs)
        yield t.file(
            shape.split("\n")[0],
            text,
            session_truths([[(p.question, p.answer)] for p in pairs]) if i == 0 else [pairs_truth(pairs)],
        )


def pairs_on_one_line() -> Files:
    t = Texts("pairs_on_one_line", 3)
    for i, shape in enumerate(
        ("问：{q} 答：{a}\n", "用户：{q}　律师：{a}\n", "Q: {q} A: {a}\n", "{k}. 问：{q}答：{a}\n")
    ):
        pairs = draw(10 + i, 950 + i, language="en" if i == 2 else "zh", asking=True, one_line=True)
        text = "".join(shape.format(k=k, q=p.question, a=p.answer) for k, p in enumerate(pairs, 1))
        yield t.file(shape.strip(), text, session_truths([[(p.question, p.answer)] for p in pairs]), may_ask=i > 1)


def no_questions_at_all() -> Files:
    """Nothing to learn as question and answer."""
    t = Texts("no_questions_at_all")
    articles = "".join(f"第{z}条　{p.answer}\n" for z, p in zip(NUMERALS, draw(14, 960, one_line=True), strict=False))
    yield t.file("rules", f"物业管理规定\n\n{articles}", [], may_ask=True)
    yield t.file(
        "questions only",
        "".join(f"{k}、{p.question}\n" for k, p in enumerate(draw(12, 961, asking=True), 1)),
        [],
        may_ask=True,
    )
    minutes = "会议时间：三月十八日上午\n主持：王芳\n"
    minutes += "一、通报上周进度。\n二、讨论门禁更换方案，预算四万元。\n三、下周三前各组报计划。\n"
    yield t.file("minutes of a meeting", minutes, [], may_ask=True)


KINDS = (
    known_labels, unknown_role_names, third_speaker, forms, numbered_questions, mixed_labels, lines_in_turn, paragraphs,
    colons_in_answers, headers_between_records, preamble_and_footer, parted_dialogues, student_answers,
    labels_on_lines_of_their_own, pairs_on_one_line, no_questions_at_all,
)  # fmt: skip
