"""Markdown, HTML and Word files whose headings ask."""

import html
import io
from pathlib import Path
from typing import Any

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.data.reading.running_text import read_html, read_markdown
from lora_scripts.data.reading.sources import Source
from lora_scripts.errors import AmbiguousDataError, DataError

QA = [(f"第{i}本书丢了怎么赔？", f"按第{i}条照价赔偿。\n\n- 带证件\n- 交{i}元") for i in range(1, 9)]
PLAIN = [(q, a.split("\n")[0]) for q, a in QA]


def read(tmp_path: Path, name: str, content: str | bytes, **options: Any) -> Reading:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_records(path, **options)


def pairs(reading: Reading) -> list[tuple[str, str]]:
    return [(record.question, record.answer) for record in reading.records]


@pytest.mark.parametrize(
    "shape",
    [
        "## {q}\n\n{a}\n\n",
        "### {i}. {q}\n{a}\n\n",
        "## Q{i}: {q}\n\n{a}\n\n",
        "**{q}**\n\n{a}\n\n",
        "**{i}. {q}**\n{a}\n\n",
        "<details>\n<summary>{q}</summary>\n\n{a}\n\n</details>\n\n",
        "{q}\n------\n\n{a}\n\n",
        "## {q}\n\n答：{a}\n\n",
    ],
)
@pytest.mark.parametrize("suffix", ["md", "markdown"])
def test_headings_that_ask_are_questions(tmp_path: Path, shape: str, suffix: str) -> None:
    text = "# 常见问题\n\n" + "".join(shape.format(q=q, a=a, i=i) for i, (q, a) in enumerate(QA, 1))
    reading = read(tmp_path, f"faq.{suffix}", text)
    assert pairs(reading) == QA
    assert any(f.kind == "section_titles" and "常见问题" in f.text for f in reading.ledger.findings)


def test_a_plain_text_with_markdown_headings_is_read_so(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, "faq.txt", "".join(f"## {q}\n{a}\n\n" for q, a in QA))) == QA


def test_titles_of_sections_are_told_and_deeper_headings_stay_text(tmp_path: Path) -> None:
    longer = [(q, f"{a}\n\n#### 例外\n\n儿童除外。") for q, a in QA]
    text = "---\ntitle: x\n---\n\n# 手册\n\n请先读。\n\n" + "".join(
        (f"## 第{i // 4}类\n\n" if i % 4 == 0 else "") + f"### {q}\n\n{a}\n\n" for i, (q, a) in enumerate(longer)
    )
    reading = read(tmp_path, "faq.md", text)
    assert pairs(reading) == longer
    told = {f.kind: f.text for f in reading.ledger.findings}
    assert "第0类" in told["section_titles"] and "text_beside_questions" in told


def test_fences_and_tables_inside_an_answer_stay_as_written(tmp_path: Path) -> None:
    inside = "看表：\n\n| 册 | 元 |\n|---|---|\n| 1 | 2 |\n\n```\n# 不是标题？\n```"
    text = "".join(f"## {q}\n\n{inside}\n\n" for q, _ in QA)
    assert pairs(read(tmp_path, "faq.md", text)) == [(q, inside) for q, _ in QA]


def test_a_markdown_table_is_read_as_a_table(tmp_path: Path) -> None:
    rows = "".join(f"| {i} | {q} | {a} |\n" for i, (q, a) in enumerate(PLAIN))
    assert pairs(read(tmp_path, "faq.md", f"# 问答\n\n| 序号 | 问题 | 答案 |\n|---|---|---|\n{rows}")) == PLAIN


def test_labelled_turns_in_markdown_are_a_transcript_without_its_section_titles(tmp_path: Path) -> None:
    shape = "**问：** {q}\n\n**答：** {a}\n\n"
    titles = ("## 第{i}类\n\n", "", "")
    text = "".join(titles[i % 3].format(i=i) + shape.format(q=q, a=a) for i, (q, a) in enumerate(PLAIN))
    assert pairs(read(tmp_path, "faq.md", text)) == PLAIN


def test_headings_that_do_not_ask_are_asked_about_and_the_advice_reads(tmp_path: Path) -> None:
    text = "".join(f"## 制度{i}\n\n{a}\n\n" for i, (_, a) in enumerate(QA))
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, "rules.md", text)
    (alternative,) = caught.value.alternatives
    taught = pairs(read(tmp_path, "rules.md", text, **alternative.settings))
    assert taught == [(f"制度{i}", a) for i, (_, a) in enumerate(QA)]


PAGE = (
    "<!DOCTYPE html><html><head><title>问答</title><style>p {{ margin: 0 }}</style></head><body>\n"
    "<h1>常见问题</h1>\n{body}\n<script>var a = 1;</script><footer>版权所有</footer></body></html>"
)


@pytest.mark.parametrize(
    "shape",
    [
        "<h2>{q}</h2>\n<p>{a}</p>\n",
        "<dl><dt>{q}</dt><dd>{a}</dd></dl>\n",
        "<details><summary>{q}</summary>{a}</details>\n",
        "<p><strong>{q}</strong></p><p>{a}</p>\n",
        "<div class='faq-question'>{q}</div><div class='faq-answer'>{a}</div>\n",
        "<button class='accordion'>{q}</button><div>{a}</div>\n",
        "<p>问：{q}</p><p>答：{a}</p>\n",
        "<table><tr><th>问题</th><th>答案</th></tr>{rows}</table>",
    ],
)
def test_pages_are_read_as_they_are_shown(tmp_path: Path, shape: str) -> None:
    told = [(q, f"{a}费用 < 5 元 & 免邮") for q, a in PLAIN]
    escaped = [(html.escape(q), html.escape(a)) for q, a in told]
    rows = "".join(f"<tr><td>{q}</td><td>{a}</td></tr>" for q, a in escaped)
    body = shape.format(rows=rows) if "{rows}" in shape else "".join(shape.format(q=q, a=a) for q, a in escaped)
    reading = read(tmp_path, "faq.html", PAGE.format(body=body))
    assert pairs(reading) == told
    findings = " ".join(f.text for f in reading.ledger.findings)
    assert "常见问题" in findings


def test_scripts_and_styles_are_counted_and_never_learned(tmp_path: Path) -> None:
    body = "".join(f"<h2>{q}</h2><p>{a}</p>\n" for q, a in PLAIN)
    reading = read(tmp_path, "faq.htm", PAGE.format(body=body).encode("gb18030"))
    assert pairs(reading) == PLAIN
    assert "markup_left_out" in {f.kind for f in reading.ledger.findings}


def document(paragraphs: list[tuple[str, str]]) -> bytes:
    made = docx.Document()
    for text, style in paragraphs:
        made.add_paragraph(text, style=style or None)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def test_word_headings_are_questions(tmp_path: Path) -> None:
    paragraphs = [("员工问答", "Title"), ("第一章", "Heading 1")]
    for q, a in PLAIN:
        paragraphs += [(q, "Heading 2"), (a, ""), ("第二段。", "")]
    reading = read(tmp_path, "faq.docx", document(paragraphs))
    assert pairs(reading) == [(q, f"{a}\n第二段。") for q, a in PLAIN]
    assert any("第一章" in f.text for f in reading.ledger.findings if f.kind == "section_titles")


def test_word_headings_that_do_not_ask_are_asked_about(tmp_path: Path) -> None:
    paragraphs = [part for i, (_, a) in enumerate(PLAIN) for part in ((f"制度{i}", "Heading 1"), (a, ""))]
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, "rules.docx", document(paragraphs))
    assert "roles" in caught.value.alternatives[0].settings


LINES = [
    *(
        "# 题",
        "## 如何办理？",
        "**何时开门？**",
        "正文。",
        "",
        "- 项",
        "| a | b |",
        "|---|---|",
        "```",
        "---",
        "> 引用",
    ),
    *("<!-- x -->", "答：好", "问：吗？", "1. 第一？"),
]
TAGS = [
    *("<p>", "</p>", "<h2>", "</h2>", "<table>", "<tr>", "<td>", "</td>", "</table>", "<script>", "</script>"),
    *("怎么办？", "好。", "<br>", "&lt;", "<dt>", "<li>", "\n"),
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=30))
def test_every_line_of_markdown_has_one_role(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        parsed = read_markdown(Source("faq.md", whole=text), None, None)
    except DataError:
        return
    if parsed and parsed.format in ("sections", "transcript", "blocks"):
        list(parsed.drafts)
        assert parsed.units.total() == sum(bool(line.strip()) for line in lines)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(TAGS), max_size=40))
def test_any_page_is_read_or_refused(parts: list[str]) -> None:
    try:
        parsed = read_html(Source("faq.html", whole="".join(parts)), None, None)
    except DataError:
        return
    for draft in parsed.drafts if parsed else ():
        assert all("<script" not in turn.content for turn in draft.turns)
