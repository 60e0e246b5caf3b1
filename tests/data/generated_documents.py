"""Markdown, HTML and Word: headings, lists, tables, labels."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator, Sequence

from docx import Document
from docx.document import Document as DocumentObject

from tests.data.generated_content import Pair, draw
from tests.data.generated_exports import exchanges_of
from tests.data.generated_sheets import cells
from tests.data.generated_transcripts import Texts
from tests.data.generated_truth import (
    GeneratedFile,
    Joined,
    Truth,
    conversation,
    fixed_zip,
    pairs_truth,
)

Files = Iterator[GeneratedFile]
TOPICS = ("售后篇", "费用篇", "办理流程")


def by_topic(pairs: Sequence[Pair]) -> list[tuple[str, Sequence[Pair]]]:
    """The pairs below three headings."""
    third = len(pairs) // 3
    return [(TOPICS[k], pairs[k * third : (k + 1) * third if k < 2 else None]) for k in range(3)]


def topic_truths(pairs: Sequence[Pair]) -> list[Truth]:
    """The heading of a topic left out and reported, or joined to its questions."""
    joined = [(Joined((topic, p.question)), p.answer) for topic, ps in by_topic(pairs) for p in ps]
    return [pairs_truth(pairs, *(f"{topic}|heading|标题" for topic in TOPICS)), pairs_truth(joined)]


def markdown_faq() -> Files:
    t = Texts("markdown_faq", suffix="md")
    title = "# 常见问题\n\n"
    heading = "常见问题|heading|标题|:1"
    shapes = (
        "## {q}\n\n{a}\n\n",
        "### {k}. {q}\n\n{a}\n\n",
        "**Q：{q}**\n\nA：{a}\n\n",
        "#### Q{k}: {q}\n{a}\n\n---\n\n",
        "- **{q}**\n\n  {a}\n\n",
    )
    for i, shape in enumerate(shapes):
        pairs = draw(8 + 3 * i, 1100 + i, one_line=i == 4)
        text = title + "".join(
            shape.format(k=k, q=p.question, a=p.answer.replace("\n", "\n\n")) for k, p in enumerate(pairs, 1)
        )
        yield t.file(shape.strip().split("\n")[0], text, [pairs_truth(pairs)], heading, may_ask=i == 4)
    pairs = draw(15, 1106)
    text = "# 客服手册\n\n" + "".join(
        f"## {topic}\n\n" + "".join(f"### {p.question}\n\n{p.answer}\n\n" for p in ps) for topic, ps in by_topic(pairs)
    )
    yield t.file("below topics", text, topic_truths(pairs))
    pairs = draw(12, 1107, language="en")
    text = "# FAQ\n\n| Question | Answer |\n|---|---|\n" + "".join(
        f"| {p.question} | {p.answer.replace(chr(10), '<br>')} |\n" for p in pairs
    )
    yield t.file(
        "table",
        text,
        [
            pairs_truth(pairs),
            pairs_truth(((p.question, p.answer.replace("\n", "<br>")) for p in pairs), "<br|HTML|html"),
        ],
    )


def page(body: str, title: str = "常见问题") -> str:
    """An HTML page with what pages have around their content."""
    head = f'<head>\n<meta charset="utf-8">\n<title>{title}</title>\n<style>dt {{ font-weight: bold }}</style>\n</head>'
    top = f"<!DOCTYPE html>\n<html>\n{head}\n<body>\n<h1>{title}</h1>\n"
    return f"{top}{body}\n<script>var visits = 12;</script>\n</body>\n</html>\n"


def html_faq() -> Files:
    escape = html.escape
    for i, name in enumerate(("dl", "headings", "table", "details", "topics", "labels")):
        pairs = draw(9 + 2 * i, 1110 + i)
        paragraphs = ["".join(f"<p>{escape(line)}</p>" for line in p.answer.split("\n")) for p in pairs]
        rows = list(zip(pairs, paragraphs, strict=True))
        if name == "dl":
            body = (
                "<dl>\n"
                + "".join(
                    f"<dt>{escape(p.question)}</dt>\n<dd>{escape(p.answer).replace(chr(10), '<br>')}</dd>\n"
                    for p in pairs
                )
                + "</dl>"
            )
        elif name == "headings":
            body = "\n".join(f"<h3>{escape(p.question)}</h3>\n{x}" for p, x in rows)
        elif name == "table":
            body = (
                "<table>\n<tr><th>问题</th><th>答案</th></tr>\n"
                + "".join(f"<tr><td>{escape(p.question)}</td><td>{x}</td></tr>\n" for p, x in rows)
                + "</table>"
            )
        elif name == "details":
            body = "\n".join(f"<details><summary>{escape(p.question)}</summary>\n{x}\n</details>" for p, x in rows)
        elif name == "topics":
            answers = dict(zip((p.question for p in pairs), paragraphs, strict=True))
            body = "".join(
                f"<h2>{topic}</h2>\n" + "".join(f"<h3>{escape(p.question)}</h3>\n{answers[p.question]}\n" for p in ps)
                for topic, ps in by_topic(pairs)
            )
        else:
            answers = {p.question: escape(p.answer).replace("\n", "<br/>") for p in pairs}
            body = "\n".join(
                f"<div><p><b>问：</b>{escape(q)}</p>\n<p><b>答：</b>{a}</p></div>" for q, a in answers.items()
            )
        truths = topic_truths(pairs) if name == "topics" else [pairs_truth(pairs)]
        encoding = "gb18030" if i == 2 else "utf-8"
        content = page(body).replace('charset="utf-8"', f'charset="{encoding}"').encode(encoding)
        yield GeneratedFile(
            "html_faq",
            name,
            f"faq.{'htm' if i == 3 else 'html'}",
            content,
            tuple(truths),
            ("常见问题|heading|title|标题",),
            ("var visits", "font-weight"),
        )


def saved(document: DocumentObject) -> bytes:
    """The bytes of a Word document."""
    out = io.BytesIO()
    document.save(out)
    return fixed_zip(out.getvalue())


def word_headings() -> Files:
    for i in range(3):
        pairs = draw(9 + 3 * i, 1120 + i)
        document = Document()
        document.add_heading("员工常见问题解答", 0)
        if i == 2:
            for topic, ps in by_topic(pairs):
                document.add_heading(topic, 1)
                for p in ps:
                    document.add_heading(p.question, 2)
                    for line in p.answer.split("\n"):
                        document.add_paragraph(line)
            truths = topic_truths(pairs)
        else:
            for k, p in enumerate(pairs, 1):
                document.add_heading(f"{k}. {p.question}" if i else p.question, 1)
                for line in p.answer.split("\n"):
                    document.add_paragraph(line)
            truths = [pairs_truth(pairs)]
        yield GeneratedFile(
            "word_headings",
            ("one level", "numbered", "below topics")[i],
            "手册.docx",
            saved(document),
            tuple(truths),
            ("员工常见问题解答|heading|title|标题",),
        )


def word_tables() -> Files:
    for i, (head, columns, unread) in enumerate(
        (
            (("问题", "答案"), ("question", "answer"), ()),
            (
                ("序号", "咨询内容", "答复", "责任部门"),
                ("number", "question", "answer", ("人事部", "财务部")),
                ("责任部门",),
            ),
            (
                ("编号", "问题描述", "处理意见", "处理结果"),
                ("id", "question", "answer", ("已办结", "已回访")),
                ("处理结果",),
            ),
        )
    ):
        pairs = draw(8 + 4 * i, 1130 + i)
        document = Document()
        if i:
            document.add_paragraph("下表由客服部每周更新。")
        grid = document.add_table(0, len(head))
        for row in (head, *cells(pairs, *columns)):
            for cell, text in zip(grid.add_row().cells, row, strict=True):
                cell.text = text
        more = ("每周更新|:1|paragraph|段|lines 1",) if i else ()
        yield GeneratedFile(
            "word_tables",
            "/".join(head),
            "问答表.docx",
            saved(document),
            (pairs_truth(pairs),),
            (*unread, *more),
            ("已办结", "每周更新"),
        )
    pairs = draw(7, 1134)
    document = Document()
    for k, p in enumerate(pairs, 1):
        form = document.add_table(0, 2)
        for label, text in (
            ("登记号", f"2024-{k:03}"),
            ("咨询内容", p.question),
            ("律师答复", p.answer),
            ("办理状态", "已办结"),
        ):
            row = form.add_row().cells
            row[0].text, row[1].text = label, text
        document.add_paragraph("")
    yield GeneratedFile(
        "word_tables",
        "one form a table",
        "登记表.docx",
        saved(document),
        (pairs_truth(pairs),),
        ("办理状态",),
        ("已办结", "登记号"),
        True,
    )


def word_paragraphs() -> Files:
    for i in range(4):
        pairs = draw(9 + 2 * i, 1140 + i)
        document = Document()
        for k, p in enumerate(pairs, 1):
            if i == 0:
                document.add_paragraph(f"问：{p.question}")
                document.add_paragraph(f"答：{p.answer}")
            elif i == 1:
                document.add_paragraph(f"{k}、{p.question}")
                for m, line in enumerate(p.answer.split("\n")):
                    document.add_paragraph(f"答：{line}" if m == 0 else line)
            elif i == 2:
                document.add_paragraph(p.question, style="List Number")
                for line in p.answer.split("\n"):
                    document.add_paragraph(line)
            else:
                for q, a in exchanges_of(p):
                    document.add_paragraph().add_run(f"客户：{q}").bold = True
                    document.add_paragraph(f"客服：{a}")
                document.add_paragraph("")
        truths = [Truth(tuple(conversation(exchanges_of(p)) for p in pairs)) if i == 3 else pairs_truth(pairs)]
        truths += [Truth((conversation((p.question, p.answer) for p in pairs),))] if i == 0 else []
        names = ("labels", "numbers and 答", "list numbers", "dialogues")
        yield GeneratedFile("word_paragraphs", names[i], "整理稿.docx", saved(document), tuple(truths), may_ask=i == 2)


KINDS = (markdown_faq, html_faq, word_headings, word_tables, word_paragraphs)
