"""Excel workbooks: merged cells, hidden rows, columns and sheets, several sheets, rich text."""

from __future__ import annotations

from collections.abc import Iterator

from openpyxl import Workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.styles import Alignment

from tests.data.generated_content import draw
from tests.data.generated_sheets import Tables, cells, sheet, workbook_bytes
from tests.data.generated_truth import GeneratedFile, Joined, pairs_truth

Files = Iterator[GeneratedFile]


def merged_cells() -> Files:
    t = Tables("merged_cells")
    for i, head in enumerate((("分类", "问题", "答案"), ("部门", "编号", "咨询内容", "答复"))):
        pairs = draw(12 + 6 * i, 600 + i)
        groups = ("退换货", "发票", "物流") if i == 0 else ("人事部", "财务部", "行政部")
        rows = cells(pairs, *(["id"] if i else []), "question", "answer")
        rows = [[groups[k // 4 % 3] if k % 4 == 0 else "", *r] for k, r in enumerate(rows)]
        book = Workbook()
        page = sheet(book, "Sheet1", [head, *rows])
        for first in range(2, len(rows) + 2, 4):
            page.merge_cells(start_row=first, end_row=min(first + 3, len(rows) + 1), start_column=1, end_column=1)
        joined = pairs_truth(
            (Joined((groups[k // 4 % 3], p.question), head[:1]), p.answer) for k, p in enumerate(pairs)
        )
        yield t.raw(f"{head[0]} merged", "xlsx", workbook_bytes(book), [pairs_truth(pairs, head[0]), joined])
    pairs = draw(10, 603)
    book = Workbook()
    rows = [
        ("常见问题汇总（内部资料）", "", ""),
        ("序号", "问题", "解答"),
        *cells(pairs, "number", "question", "answer"),
    ]
    sheet(book, "汇总", rows).merge_cells("A1:C1")
    yield t.raw(
        "title merged", "xlsx", workbook_bytes(book), [pairs_truth(pairs)], "常见问题汇总（内部资料）|:1|lines 1|rows 1"
    )
    pairs = draw(24, 604, one_line=True)
    book = Workbook()
    halves = [(p.question, *p.answer.split("。", 1)) for p in pairs if p.answer.count("。") > 1]
    halves = [(q, a + "。", b) for q, a, b in halves]
    page = sheet(book, "Sheet1", [("问题", "答案"), *(r for q, a, b in halves for r in ((q, a), ("", b)))])
    for first in range(2, 2 * len(halves) + 2, 2):
        page.merge_cells(start_row=first, end_row=first + 1, start_column=1, end_column=1)
    truth = pairs_truth((q, Joined((a, b))) for q, a, b in halves)
    yield t.raw("question merged over two rows", "xlsx", workbook_bytes(book), [truth], may_ask=True)


def hidden_parts() -> Files:
    """Hidden is what somebody did not want to see: either way it must be said."""
    t = Tables("hidden_parts")
    pairs = draw(14, 610)
    book = Workbook()
    page = sheet(book, "Sheet1", [("问题", "答案"), *cells(pairs, "question", "answer")])
    for row in (4, 5, 11):
        page.row_dimensions[row].hidden = True
    shown = [p for k, p in enumerate(pairs) if k + 2 not in (4, 5, 11)]
    said = "hidden|隐藏"
    yield t.raw("rows", "xlsx", workbook_bytes(book), [pairs_truth(shown, said), pairs_truth(pairs, said)])
    for i, state in enumerate(("hidden", "veryHidden")):
        pairs, old = draw(10, 612 + i, "shop", "it"), draw(10, 614 + i, "law", "edu")
        book = Workbook()
        sheet(book, "现行", [("问题", "答案"), *cells(pairs, "question", "answer")])
        sheet(book, "旧版作废", [("问题", "答案"), *cells(old, "question", "answer")]).sheet_state = state
        yield t.raw(f"{state} sheet", "xlsx", workbook_bytes(book), [pairs_truth(pairs)], "旧版作废|hidden|隐藏")
    pairs = draw(11, 617)
    book = Workbook()
    rows = [("问题", "内部口径", "对外答复"), *cells(pairs, "question", ["先拖一拖，不要承诺时间"], "answer")]
    sheet(book, "Sheet1", rows).column_dimensions["B"].hidden = True
    truth = pairs_truth(pairs, "内部口径")
    yield t.raw("column", "xlsx", workbook_bytes(book), [truth], never=["先拖一拖"])


def legend_sheet() -> Files:
    """A second sheet that explains the first one."""
    t = Tables("legend_sheet")
    for i, (title, rows) in enumerate(
        (
            ("填写说明", [("1. 问题请写完整句子",), ("2. 答案不要超过五百字",), ("3. 每周五下班前提交",)]),
            ("状态说明", [("代码", "含义"), ("0", "待处理"), ("1", "处理中"), ("2", "已办结"), ("3", "已关闭")]),
            ("Legend", [("code", "meaning"), ("P1", "answer within one hour"), ("P2", "answer the same day")]),
        )
    ):
        pairs = draw(10 + 4 * i if i < 2 else 13, 620 + i, language="en" if i == 2 else "zh")
        head = ("no", "question", "answer", "priority") if i == 2 else ("编号", "问题", "答案", "状态")
        main = [head, *cells(pairs, "id", "question", "answer", ("P1", "P2") if i == 2 else ("2", "3", "1"))]
        book = Workbook()
        for name, content in ((title, rows), ("问答" if i < 2 else "Log", main))[:: 1 if i == 1 else -1]:
            sheet(book, name, content)
        never = [cell for row in rows for cell in row if len(cell) > 2]
        yield t.raw(
            title, "xlsx", workbook_bytes(book), [pairs_truth(pairs)], title, head[3], never=never[:1] if i == 0 else []
        )


def sheets_by_topic() -> Files:
    t = Tables("sheets_by_topic")
    for i, heads in enumerate(
        ((("问题", "答案"),) * 3, (("问题", "答案"), ("咨询内容", "答复内容"), ("客户提问", "客服回复")))
    ):
        pairs = draw(18, 630 + i)
        book = Workbook()
        for k, name in enumerate(("劳动", "合同", "售后")):
            sheet(book, name, [heads[k], *cells(pairs[6 * k : 6 * k + 6], "question", "answer")])
        yield t.raw("one head" if i == 0 else "other heads", "xlsx", workbook_bytes(book), [pairs_truth(pairs)])
    pairs = draw(8, 633)
    book = Workbook()
    sheet(book, "数据", [("问题", "答案"), *cells(pairs, "question", "answer")])
    book.create_sheet("Sheet2")
    book.create_sheet("Sheet3")
    yield t.raw("empty sheets", "xlsx", workbook_bytes(book), [pairs_truth(pairs)])


def formatted_cells() -> Files:
    t = Tables("formatted_cells")
    pairs = draw(12, 640)
    book = Workbook()
    page = sheet(book, "Sheet1", [("问题", "答案")])
    for p in pairs:
        half = len(p.answer) // 2
        bold = CellRichText(TextBlock(InlineFont(b=True), p.answer[:half]), p.answer[half:])
        page.append([p.question, bold])
        page.cell(page.max_row, 2).alignment = Alignment(wrap_text=True)
    yield t.raw("rich text", "xlsx", workbook_bytes(book), [pairs_truth(pairs)])
    book = Workbook()
    rows = cells(pairs, "number", "question", "answer")
    gaps = [r for k, row in enumerate(rows) for r in ([row, ("", "", "")] if k % 3 == 2 else [row])]
    sheet(book, "Sheet1", [("", "", ""), ("", "", ""), ("序号", "问题", "答案"), *gaps])
    yield t.raw("blank rows between", "xlsx", workbook_bytes(book), [pairs_truth(pairs)])
    book = Workbook()
    page = sheet(book, "Sheet1", [])
    for k, row in enumerate([("问题", "答案"), *cells(pairs, "question", "answer")]):
        page.cell(k + 4, 3, row[0])
        page.cell(k + 4, 5, row[1])
    yield t.raw("away from the corner", "xlsx", workbook_bytes(book), [pairs_truth(pairs)])


KINDS = (merged_cells, hidden_parts, legend_sheet, sheets_by_topic, formatted_cells)
