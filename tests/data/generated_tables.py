"""Tables with more in them than a question and an answer column."""

from __future__ import annotations

from collections.abc import Iterator

from tests.data.generated_content import CHOICES, CHOICES_EN, SUMS, Choice, draw
from tests.data.generated_sheets import AGENTS, PEOPLE, STATUSES, Tables, cells
from tests.data.generated_truth import GeneratedFile, Joined, Truth, exchange, pairs_truth

Files = Iterator[GeneratedFile]


def status_beside_the_answer() -> Files:
    t = Tables("status_beside_the_answer")
    for i, (head, n) in enumerate(
        (
            (("工单号", "问题描述", "处理意见", "处理结果"), 12),
            (("编号", "诉求内容", "答复内容", "办理状态"), 30),
            (("序号", "咨询内容", "处理情况", "状态"), 8),
        )
    ):
        pairs = draw(n, i, "property", "shop")
        truth = pairs_truth(pairs)
        yield t.file(head[3], [head, *cells(pairs, "id", "question", "answer", STATUSES)], [truth], head[3])
    pairs = draw(9, 4, "law", "hr")
    head = ("状态", "反馈", "内容", "受理单号")
    rows = cells(pairs, ("已完成", "已关闭"), "answer", "question", "id")
    yield t.file("status first", [head, *rows], [pairs_truth(pairs)], "状态", may_ask=True)
    pairs = draw(14, 5, language="en")
    rows = [("id", "issue", "resolution", "status"), *cells(pairs, "id", "question", "answer", ("closed", "open"))]
    yield t.file("English", rows, [pairs_truth(pairs)], "status")


def opinion_is_the_status() -> Files:
    """The column that is usually the answer holds 同意 or 转办; the words are in the other one."""
    t = Tables("opinion_is_the_status", 1)
    for i, (head, values, n) in enumerate(
        (
            (("序号", "问题描述", "处理意见", "处理结果"), ("同意", "转办", "同意"), 16),
            (("单号", "客户诉求", "处理意见", "最终回复"), ("受理", "不受理"), 10),
            (("编号", "来信内容", "答复", "答复内容"), ("是", "是", "否"), 7),
        )
    ):
        pairs = draw(n, 10 + i, "property", "law")
        rows = [head, *cells(pairs, "number", "question", values, "answer")]
        yield t.file(head[2], rows, [pairs_truth(pairs)], head[2], may_ask=True)


def agents_name_column() -> Files:
    t = Tables("agents_name_column")
    for i, (head, n) in enumerate(
        (
            (("客户", "客服", "咨询内容", "处理意见"), 9),
            (("用户", "律师", "问题", "回复内容"), 24),
            (("提问人", "回答人", "提问", "回答"), 12),
        )
    ):
        pairs = draw(n, 20 + i, "law", "finance", "hr")
        rows = [head, *cells(pairs, PEOPLE, AGENTS, "question", "answer")]
        yield t.file("/".join(head), rows, [pairs_truth(pairs)], head[1])
    pairs = draw(10, 24, language="en")
    rows = [
        ("Customer", "Agent", "Inquiry", "Reply"),
        *cells(pairs, ("Ann", "Bob", "Cleo"), ("Dan", "Eve"), "question", "answer"),
    ]
    yield t.file("English names", rows, [pairs_truth(pairs)], "Agent")


def title_content_reply() -> Files:
    t = Tables("title_content_reply", 2)
    for i, (head, n, title) in enumerate(
        (
            (("标题", "内容", "回复"), 12, "title"),
            (("主题", "正文", "回信", "日期"), 8, ("咨询", "投诉", "建议")),
            (("部门", "标题", "提问", "回答"), 20, "title"),
        )
    ):
        pairs = draw(n, 30 + i, "medical", "law", "edu")
        columns = [title, "question", "answer"]
        columns = [*columns, "time"] if i == 1 else ["domain", *columns] if i == 2 else columns
        rows = [head, *cells(pairs, *columns)]
        name = head[1] if i == 2 else head[0]
        joined = [
            pairs_truth(
                (Joined((str(r[head.index(name)]), p.question)), p.answer) for r, p in zip(rows[1:], pairs, strict=True)
            )
        ]
        yield t.file(
            "/".join(head), rows, [pairs_truth(pairs, name), *joined], *(["部门"] if i == 2 else []), may_ask=True
        )
    pairs = draw(11, 34, language="en")
    rows = [("subject", "body", "response"), *cells(pairs, "title", "question", "answer")]
    joined = [pairs_truth((Joined((p.title, p.question)), p.answer) for p in pairs)]
    yield t.file("English", rows, [pairs_truth(pairs, "subject"), *joined], may_ask=True)


def satisfaction_score() -> Files:
    t = Tables("satisfaction_score", 3)
    for i, (head, values) in enumerate(
        (
            (("问题", "回复", "满意度"), ("非常满意", "满意", "一般")),
            (("咨询", "解答", "评分"), ("5", "4", "5", "3")),
            (("评价", "客户提问", "客服回答"), ("好评", "中评", "好评", "差评")),
        )
    ):
        pairs = draw(8 + 6 * i, 40 + i, "shop", "finance")
        columns = (values, "question", "answer") if i == 2 else ("question", "answer", values)
        score = head[0] if i == 2 else head[2]
        yield t.file(score, [head, *cells(pairs, *columns)], [pairs_truth(pairs)], score)
    pairs = draw(12, 44, language="en")
    rows = [
        ("question", "answer", "rating", "comment"),
        *cells(pairs, "question", "answer", ("5", "2"), ("", "thanks", "")),
    ]
    yield t.file("English", rows, [pairs_truth(pairs)], "rating", "comment")


def several_dates() -> Files:
    t = Tables("several_dates")
    for i, head in enumerate(
        (
            ("提交时间", "问题内容", "受理时间", "答复内容", "办结时间"),
            ("编号", "创建时间", "来访诉求", "回复时间", "回复"),
            ("id", "created_at", "question", "answered_at", "answer"),
        )
    ):
        pairs = draw((10, 28, 13)[i], 50 + i, language="en" if i == 2 else "zh")
        columns = (
            ("time", "question", "later", "answer", "later")
            if i == 0
            else ("id", "time", "question", "later", "answer")
        )
        yield t.file(head[1], [head, *cells(pairs, *columns)], [pairs_truth(pairs)])


def choice_truths(choices: list[Choice], *unlearned: str) -> list[Truth]:
    """Question with its options, answered by the letter, the option, or both, with or without the explanation.

    Without the options the answer is the text of the right option. ``unlearned`` names the explanation column.
    """
    readings = []
    for explained in (False, True):
        for with_options in (True, False):
            for parts in ((lambda k, o: (k,)), (lambda k, o: (k, o)), (lambda k, o: (o,))):
                records = []
                for q, options, key, why in choices:
                    option = options["ABCD".index(key)]
                    answer = Joined((*parts(key, option), *((why,) if explained else ())))
                    question = Joined((q, *options)) if with_options else q
                    records.append(exchange(question, answer))
                if with_options or parts("k", "o") != ("k",):
                    readings.append(Truth(tuple(records), () if explained else unlearned))
    return readings


def multiple_choice() -> Files:
    t = Tables("multiple_choice", 1)
    for i, head in enumerate(
        (
            ("题目", "A", "B", "C", "D", "答案", "解析"),
            ("题干", "选项A", "选项B", "选项C", "选项D", "正确答案", "答案解析"),
            ("序号", "试题", "A项", "B项", "C项", "D项", "标准答案"),
        )
    ):
        choices = list(CHOICES[: 12 - 2 * i])
        rows = [[q, *o, k, why] for q, o, k, why in choices]
        rows = [[str(n), *r[:-1]] for n, r in enumerate(rows, 1)] if i == 2 else rows
        truths = choice_truths(choices, *head[6:7]) if i < 2 else choice_truths(choices)
        yield t.file(head[1], [head, *rows], truths, may_ask=True)
    for head, choices in (
        (("question", "option_a", "option_b", "option_c", "option_d", "answer"), list(CHOICES_EN)),
        (("题型", "题目", "选项", "答案"), list(CHOICES[:9])),
    ):
        if len(head) == 6:
            rows = [[q, *o, k] for q, o, k, _ in choices]
        else:
            rows = [
                ["单选", q, " ".join(f"{x}.{y}" for x, y in zip("ABCD", o, strict=True)), k] for q, o, k, _ in choices
            ]
        yield t.file(
            head[-2], [head, *rows], choice_truths(choices), *(["题型"] if len(head) == 4 else []), may_ask=True
        )


def short_answers_that_are_right() -> Files:
    """Few distinct or very short answers may be meant: asking is fine, refusing or another column is not."""
    t = Tables("short_answers_that_are_right", 3)
    statements = [(f"判断：{q}{o['ABCD'.index(k)]}。", "对", why) for q, o, k, why in CHOICES]
    statements = [
        (q.replace(CHOICES[i][1][1], CHOICES[i][1][0]), "错", w) if i % 3 == 0 and CHOICES[i][2] == "B" else (q, a, w)
        for i, (q, a, w) in enumerate(statements)
    ]
    plain = pairs_truth([(q, a) for q, a, _ in statements], "解析")
    explained = pairs_truth([(q, Joined((a, w))) for q, a, w in statements])
    yield t.file("true or false", [("题目", "答案", "解析"), *statements], [plain, explained], may_ask=True)
    sums = [(q, result) for q, _, result in SUMS]
    yield t.file("sums", [("题目", "答案"), *sums], [pairs_truth(sums)], may_ask=True)
    labels = [
        (p.question, {"shop": "售后", "it": "技术", "hr": "人事"}[p.domain]) for p in draw(24, 61, "shop", "it", "hr")
    ]
    yield t.file("classes", [("输入", "输出"), *labels], [pairs_truth(labels)], may_ask=True)


def chapter_and_category() -> Files:
    t = Tables("chapter_and_category")
    for i, (head, columns) in enumerate(
        (
            (("章节", "分类", "问题", "答案"), (("第一章", "第二章"), "domain", "question", "answer")),
            (
                ("一级分类", "二级分类", "标准问题", "标准答案", "关键词"),
                ("domain", "title", "question", "answer", ("退换", "保修", "流程")),
            ),
            (("问题", "回答", "所属部门", "标签"), ("question", "answer", ("人事部", "财务部", "行政部"), "title")),
        )
    ):
        pairs = draw(12 + 9 * i, 70 + i)
        unlearned = [h for h in head if h not in ("问题", "答案", "标准问题", "标准答案", "回答")]
        rows = [head, *cells(pairs, *columns)]
        joined = pairs_truth(
            (Joined((*(r[head.index(h)] for h in unlearned), p.question), tuple(unlearned)), p.answer)
            for r, p in zip(rows[1:], pairs, strict=True)
        )
        yield t.file("/".join(head), rows, [pairs_truth(pairs, *unlearned), joined])
    pairs = draw(10, 74, language="en")
    rows = [("Category", "Question", "Answer", "Tags"), *cells(pairs, "domain", "question", "answer", ("faq", "web"))]
    yield t.file("English", rows, [pairs_truth(pairs, "Category", "Tags")])


def two_pairs_side_by_side() -> Files:
    t = Tables("two_pairs_side_by_side", 2)
    for i, head in enumerate(
        (
            ("问题", "答案", "问题", "答案"),
            ("问题1", "答案1", "问题2", "答案2"),
            ("常见问题", "解答", "", "常见问题", "解答"),
            ("Q", "A", "Q", "A"),
        )
    ):
        pairs = draw(16, 80 + i, language="en" if i == 3 else "zh")
        left, right = pairs[::2], pairs[1::2]
        gap = [""] if len(head) == 5 else []
        rows = [[p.question, p.answer, *gap, q.question, q.answer] for p, q in zip(left, right, strict=True)]
        yield t.file("/".join(head), [head, *rows], [pairs_truth(pairs)], may_ask=True, own_places=False)


def title_row_above_the_header() -> Files:
    t = Tables("title_row_above_the_header")
    for i, (title, head) in enumerate(
        (
            ("2024年第一季度客户咨询汇总表", ("序号", "咨询问题", "答复")),
            ("附件3：劳动争议常见问答", ("编号", "问", "答")),
            ("Support log, exported 2024-03-18", ("no", "question", "answer")),
        )
    ):
        pairs = draw(9 + 5 * i, 90 + i, language="en" if i == 2 else "zh")
        rows = [
            [title, "", ""],
            *([["", "", ""]] if i == 1 else []),
            head,
            *cells(pairs, "number", "question", "answer"),
        ]
        yield t.file(title, rows, [pairs_truth(pairs)], f"{title}|:1|lines 1|rows 1")
    pairs = draw(12, 94)
    rows = [
        ["单位：某某物业公司", "", ""],
        ["填表人：王芳", "", ""],
        ("问题", "回复", "备注"),
        *cells(pairs, "question", "answer", ("", "", "急")),
    ]
    yield t.file("two lines above", rows, [pairs_truth(pairs)], "备注", "某某物业公司|:1|lines 1|rows 1|1-2")


def header_repeated() -> Files:
    t = Tables("header_repeated", 1)
    for i, head in enumerate((("问题", "回复"), ("序号", "咨询内容", "律师答复"), ("question", "answer"))):
        pairs = draw(20 if i < 2 else 14, 100 + i, language="en" if i == 2 else "zh")
        rows = cells(pairs, *(["number"] if i == 1 else []), "question", "answer")
        rows = [r for k, row in enumerate(rows) for r in ([head, row] if k % 7 == 0 else [row])]
        yield t.file("/".join(head), rows, [pairs_truth(pairs)])


KINDS = (
    status_beside_the_answer, opinion_is_the_status, agents_name_column, title_content_reply, satisfaction_score,
    several_dates, multiple_choice, short_answers_that_are_right, chapter_and_category, two_pairs_side_by_side,
    title_row_above_the_header, header_repeated,
)  # fmt: skip
