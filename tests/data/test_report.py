"""The report: its numbers add up, its page is whole and well-formed, and no text of a record is in it."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lora_scripts.data.clean import clean
from lora_scripts.data.findings import Finder
from lora_scripts.data.ledger import Decision, Finding, Ledger
from lora_scripts.data.records import Draft, Message
from lora_scripts.data.report import counts, summary, write_report

VOID = {"meta", "rect", "br", "img"}


class Outline(HTMLParser):
    """Tags that were opened and closed, and the words between them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def outline(folder: Path) -> Outline:
    told = Outline()
    told.feed((folder / "data_report.html").read_text("utf-8"))
    assert told.open == []
    return told


def draft(line: int, *turns: str) -> tuple[str, Draft]:
    roles = ("user", "assistant")
    return "f", Draft(line, tuple(Message(roles[i % 2], t) for i, t in enumerate(turns)))


@pytest.fixture
def ledger() -> Ledger:
    out = Ledger()
    rows = [
        draft(1, "q\u200b", "秘密的答案"), draft(3, "<b>x</b>", ""), draft(5, "q", "秘密的答案"), draft(7, "r", "s")
    ]  # fmt: skip
    finder = Finder()
    for record in clean(rows, out):
        finder.add(record)
    finder.tell(out)
    out.validation = 1
    return out


def test_the_report_adds_up_and_holds_no_texts(ledger: Ledger, tmp_path: Path) -> None:
    write_report(ledger, tmp_path / "new")
    told = json.loads((tmp_path / "new" / "data_report.json").read_text("utf-8"))
    assert told["read"] == 4 == told["trained"] + told["validation"] + sum(told["left_out"].values())
    assert [(e["source"], e["reason"]) for e in told["left_out_records"]] == [
        ("f:3", "empty_answer"),
        ("f:5", "exact_duplicate"),
    ]
    assert told["left_out_unlisted"] == 0
    assert sum(n for key, n in told["distributions"]["answer_length"].items() if key != "longest") == 2
    assert {k: told[k] for k in counts(ledger)} == counts(ledger)
    page = (tmp_path / "new" / "data_report.html").read_text("utf-8")
    assert "4 read = 1 trained + 1 validation + 2 left out" in page
    assert "秘密" not in page + json.dumps(told, ensure_ascii=False)
    assert "http" not in page
    assert "<script" not in page


def test_the_page_shows_every_part(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    ledger.decisions.append(Decision("f.txt", "gb18030", "transcript", "客户 → 用户"))
    ledger.distributions["openings"] = {"依据《…》第…条": 40, "您好": 3}
    ledger.findings.append(Finding("danger", "mojibake", "f:9", "有乱码", "请重新导出"))
    ledger.take_back("f:7", "too_long", "600")
    ledger.personal_counts = {"phone": 12, "id_card": 3, "newkind": 1}
    ledger.personal_data = {"phone": ["f:1"], "id_card": ["f:2"], "newkind": ["f:2"]}
    write_report(ledger, tmp_path)
    told_json = json.loads((tmp_path / "data_report.json").read_text("utf-8"))
    assert told_json["personal_data"]["phone"] == {"count": 12, "places": ["f:1"]}
    told = outline(tmp_path)
    words = " ".join(told.words)
    for part in (
        "数据报告",
        "读入 4 = 训练 0 + 验证 1 + 剔除 3", "危险", "有乱码", "请重新导出", "f:9", "gb18030", "客户 → 用户",
        "依据《…》第…条", "手机号", "身份证号", "newkind", "完全重复", "超过 max_seq_length", "长度分布", "剔除原因",
    ):  # fmt: skip
        assert part in words, part
    assert told.tags.count("svg") == 3
    assert words.index("危险") < words.index("警告")
    page = (tmp_path / "data_report.html").read_text("utf-8")
    assert 'lang="zh-CN"' in page
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page


def test_an_empty_ledger_has_a_page_too(tmp_path: Path) -> None:
    write_report(Ledger(), tmp_path)
    assert "none" in outline(tmp_path).words


def test_findings_of_one_kind_are_folded(tmp_path: Path) -> None:
    ledger = Ledger(read=300, kept=300)
    ledger.findings = [Finding("warning", "prompt_cut", f"f:{i}", f"cut by {i}") for i in range(300)]
    ledger.findings += [Finding("info", "hidden", "d", "2 hidden"), Finding("info", "hidden", "e", "3 hidden")]
    rows = [value for _, value in summary(ledger)[1:]]
    assert rows == [
        "f:0: cut by 0 (and 299 more of this kind: data_report.html)",
        "d: 2 hidden",
        "e: 3 hidden",
    ]
    write_report(ledger, tmp_path)
    words = " ".join(outline(tmp_path).words)
    assert "296 more of the kind above: f:4, f:5" in words
    assert "300 were cut" in words


def test_places_beyond_the_page_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_scripts.data.ledger.MOST_LISTED", 600)
    ledger = Ledger(read=700)
    for i in range(700):
        ledger.leave_out(f"f:{i}", "unreadable")
    write_report(ledger, tmp_path)
    words = " ".join(outline(tmp_path).words)
    assert "100 more in data_report.json" in words
    assert "100 more places are counted but not listed" in words
    told = json.loads((tmp_path / "data_report.json").read_text("utf-8"))
    assert (told["left_out"]["unreadable"], len(told["left_out_records"]), told["left_out_unlisted"]) == (700, 600, 100)


def test_file_names_are_escaped_in_the_page(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.leave_out("<script>alert(1)</script>:3", "unreadable", "<img src=x>")
    write_report(ledger, tmp_path)
    page = (tmp_path / "data_report.html").read_text("utf-8")
    assert "<script" not in page
    assert "<img" not in page


def test_the_summary_names_sum_reasons_and_findings(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = summary(ledger)
    assert rows[0] == ("Data report", "4 read = 1 trained + 1 validation + 2 left out")
    assert ("  exact duplicate", "1") in rows
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    assert summary(ledger)[0] == ("数据报告", "读入 4 = 训练 1 + 验证 1 + 剔除 2")
