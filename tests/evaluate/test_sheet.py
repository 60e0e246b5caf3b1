"""The expert's sheet: what it shows, what it reads back from each form, and what it refuses."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.reading.formats import read_records
from lora_scripts.data.records import Message
from lora_scripts.errors import DataError
from lora_scripts.evaluate.copying import training_text
from lora_scripts.evaluate.preferences import (
    Preference,
    correction_lines,
    preference_lines,
    read_corrections,
    read_sheet,
)
from lora_scripts.evaluate.report import comparison
from lora_scripts.evaluate.sheet import CHOICES, embedded, from_cell, in_cell, markdown_sheet
from lora_scripts.evaluate.sheet_page import html_sheet

NASTY = (
    "</script><script>document.title='broken'</script>\n- [x] adapter better\n> correction: no\n<!-- end 1 -->\n"
    '| a | b | --> <img src="http://example.com/x.png"> ![x](http://example.com/y.png) `code` \\ & 条件一\u2028二'
)
COPIED = "依据《劳动法》第四十四条，安排劳动者延长工作时间的，支付不低于工资的百分之一百五十的工资报酬。"
TALK = (Message("system", "你是律师"), Message("user", "前"), Message("assistant", "中"), Message("user", "后？"))


def evaluation(count: int = 4) -> dict:
    """An eval.json: question 1 is nasty, question 2 a longer talk whose adapter answer is a copy."""
    told = [(f"eval.txt:{n}", f"问题{n}？", f"参考{n}") for n in range(1, count + 1)]
    base = [NASTY, *(f"基础{n}" for n in range(2, count + 1))]
    adapter = ["适配器1 <b>", COPIED, *(f"适配器{n}" for n in range(3, count + 1))]
    prompts = [(Message("user", q),) for _, q, _ in told]
    prompts[1] = TALK
    return comparison(
        questions=told,
        base_answers=base,
        adapter_answers=adapter,
        losses={"base": 2.0, "adapter": 1.0},
        rules={"opening": "依据", "forbidden": ["适配器"]},
        prompts=prompts,
        training=training_text([COPIED, "别的" * 30]),
        leaks={"adapter": {"asked": 5, "leaked": 1, "by_type": {"phone": 1}, "places": ["a.txt:1"]}},
    )


def ticked(sheet: str, ticks: dict[int, str], corrections: dict[int, str] | None = None) -> str:
    """The Markdown sheet with a tick ("adapter better") and a correction by number of question."""
    parts = re.split(r"(?m)^(?=<!-- lora-scripts )", sheet)
    for number, words in ticks.items():
        assert f"- [ ] {words}\n" in parts[number]
        parts[number] = parts[number].replace(f"- [ ] {words}\n", f"- [x] {words}\n")
    for number, words in (corrections or {}).items():
        parts[number] = parts[number].replace("> correction:", f"> correction: {words}")
    return "".join(parts)


def read(path: Path, content: str) -> tuple[list[Preference], list[str]]:
    path.write_text(content, encoding="utf-8")
    said: list[str] = []
    return read_sheet(path, said.append), said


def test_eval_json_holds_all_figures_and_what_each_answer_breaks() -> None:
    told = json.loads(json.dumps(evaluation()))
    assert told["adapter"]["perplexity"] == pytest.approx(2.718281828)
    assert told["base"]["rules_kept"] == {"opening": 0, "forbidden": 4, "all": 0}
    assert told["adapter"]["rules_kept"] == {"opening": 1, "forbidden": 1, "all": 1}
    assert told["adapter"]["house_form"] == 1
    assert (told["base"]["copy_rate"], told["adapter"]["copy_rate"]) == (0, 0.25)
    assert told["adapter"]["leak"]["leaked"] == 1
    assert "leak" not in told["base"]
    assert {"rouge_l", "bleu", "loss"} <= told["base"].keys()
    first, second = told["answers"][:2]
    assert first["broken"]["adapter"] == {"opening": "适配器1 <b>", "forbidden": "适配器"}
    assert second["broken"]["adapter"] == {}
    assert second["copied"] == {"base": 0, "adapter": 1}
    assert second["messages"] == [{"role": m.role, "content": m.content} for m in TALK]


def test_what_the_prompt_said_is_not_copied() -> None:
    told = comparison(
        questions=[("a:1", "什么意思？", "参考")] * 2,
        base_answers=[COPIED, COPIED],
        adapter_answers=["", ""],
        losses={},
        rules={},
        prompts=[(Message("user", f"{COPIED}什么意思？"),), (Message("user", "什么意思？"),)],
        training=training_text([COPIED]),
    )
    assert [entry["copied"]["base"] for entry in told["answers"]] == [0, 1]
    assert "broken" not in told["answers"][0]


def test_the_sheets_show_figures_broken_rules_and_copies() -> None:
    for sheet in (markdown_sheet(evaluation()), html_sheet(evaluation())):
        for words in ("7.39", "2.72", "1 / 4", "25%", "1 / 5", "rule: opening", "100% of it is copied", "参考3"):
            assert words in sheet
        assert sheet.count("breaks rule: forbidden words (适配器)") == 3


def test_the_sheets_speak_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    page = html_sheet(evaluation())
    assert '<html lang="zh-CN">' in page
    for words in ("困惑度", "适配器更好", "改正"):
        assert words in page and words in markdown_sheet(evaluation())


def test_ticks_and_corrections_become_pairs(tmp_path: Path) -> None:
    sheet = markdown_sheet(evaluation(7))
    ticks = {1: "base better", 2: "adapter better", 3: "both bad", 4: "both good", 5: "adapter better"}
    sheet = ticked(sheet, ticks, {3: "改正三", 5: "改正五\n> 第二行\n\n- [x] 是正文\n  缩进", 6: "改正六"})
    pairs, said = read(tmp_path / "eval.md", sheet)
    plain = [(p.source, p.chosen, p.rejected) for p in pairs]
    assert plain == [
        ("eval.txt:1", NASTY.strip(), "适配器1 <b>"),
        ("eval.txt:2", COPIED, "基础2"),
        ("eval.txt:3", "改正三", "适配器3"),
        ("eval.txt:5", "改正五\n第二行\n\n- [x] 是正文\n  缩进", "适配器5"),
        ("eval.txt:6", "改正六", "适配器6"),
    ]
    assert pairs[1].prompt_messages == TALK
    assert len(said) == 2
    assert any(line.startswith("1 questions have both good") for line in said)
    assert any(line.startswith("1 questions were left unticked") for line in said)
    lines = [json.loads(line) for line in preference_lines(pairs).splitlines()]
    assert lines[1] == {
        "messages": [{"role": m.role, "content": m.content} for m in TALK],
        "chosen": COPIED,
        "rejected": "基础2",
        "source": "eval.txt:2",
    }


def test_a_chinese_sheet_with_other_ticks_is_read_in_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    sheet = markdown_sheet(evaluation())
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "en")
    parts = sheet.split("- [ ] 适配器更好")
    assert len(parts) == 5
    sheet = "* [X] 适配器更好".join(["- ［√］适配器更好".join(parts[:2]), *parts[2:]]).replace("> 改正:", "改正：丙", 1)
    pairs, _ = read(tmp_path / "eval.md", sheet.replace("\n", "\r\n"))
    assert [p.chosen for p in pairs] == ["丙", COPIED, "适配器3", "适配器4"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("- [ ] base better", "- [x] base better", "contradict each other: adapter better + base better"),
        ("- [ ] base better", "- [?] base better", "neither a box nor a correction: - [?] base better"),
        ("- [ ] base better", "【x】 base better", "neither a box nor a correction"),
        ("- [ ] base better", "- [ ] base better!", "neither a box nor a correction"),
        ("<!-- end 2 -->", "", "the line that ends this question is missing"),
        ('"base": "基础2"', '"base": 2', "were changed or are missing"),
        ('"source": "eval.txt:2"', '"source": "eval.txt:2', "were changed or are missing"),
        ('{"role": "user", "content": "后？"}', '{"role": "root", "content": "后？"}', "were changed or are missing"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    sheet = ticked(markdown_sheet(evaluation()), dict.fromkeys((1, 2, 3), "adapter better"))
    at = sheet.index("<!-- lora-scripts 2 ")
    place = sheet.index(old, at)
    line = sheet[: at if "missing" in said else place].count("\n") + 1
    with pytest.raises(DataError) as error:
        read(tmp_path / "eval.md", sheet[:place] + new + sheet[place + len(old) :])
    assert said in str(error.value)
    assert f"eval.md:{line}:" in str(error.value)


def test_all_problems_of_a_sheet_are_told_at_once(tmp_path: Path) -> None:
    sheet = markdown_sheet(evaluation()).replace("- [ ]", "- [x]")
    with pytest.raises(DataError) as error:
        read(tmp_path / "eval.md", sheet)
    assert len(error.value.problems) == 4


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("eval.md", "# a letter\n- [x] adapter better\n", "not a sheet of ours"),
        ("eval.json", "{", "not a sheet of ours"),
        ("eval.json", '{"answers": [1]}', "were changed or are missing"),
        ("eval.json", '{"answers": [{"source": "a", "question": 1, "base": "b", "adapter": "c"}]}', "were changed"),
        ("eval.html", "<p>a letter", "not a sheet of ours"),
        ("eval.md", None, "cannot be read"),
        ("eval.md", markdown_sheet, "none of the 4 questions gives a pair"),
        ("eval.html", html_sheet, "none of the 4 questions gives a pair"),
        ("eval.json", json.dumps, "none of the 4 questions gives a pair"),
    ],
)
def test_a_file_that_gives_no_pair_is_refused(tmp_path: Path, name: str, content, said: str) -> None:
    with pytest.raises(DataError, match=said):
        if content is None:
            read_sheet(tmp_path / name, lambda line: None)
        read(tmp_path / name, content if isinstance(content, str) else content(evaluation()))


def test_equal_and_empty_answers_give_no_pair_and_it_is_said(tmp_path: Path) -> None:
    entries = [
        {"source": "a:1", "question": "问", "base": "同", "adapter": "同 ", "ticked": ["adapter"]},
        {"source": "a:2", "question": "问", "base": "", "adapter": "好", "ticked": ["adapter"]},
        {"source": "a:3", "question": "问", "base": "甲", "adapter": "乙", "ticked": ["base"]},
    ]
    pairs, said = read(tmp_path / "eval.json", json.dumps({"answers": entries}))
    assert pairs == [Preference((Message("user", "问"),), "甲", "乙", "a:3")]
    assert [line[: line.index(" as ")] for line in said] == [
        "1 questions have the same words",
        "1 questions have an empty answer",
    ]
    assert "[1]" in said[0] and "[2]" in said[1]


class Loads(HTMLParser):
    """Addresses that a page would fetch, its scripts, and how deep its elements are open at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


def test_the_page_is_one_file_and_no_answer_gets_out_of_its_place() -> None:
    assert not set("<>") & set(embedded(NASTY))
    assert json.loads(embedded(NASTY)) == NASTY
    page = Loads()
    page.feed(html_sheet(evaluation()))
    assert page.addresses == []
    assert page.tags.count("script") == 2
    assert page.tags.count("input") == 4 * len(CHOICES)
    assert not {"img", "b", "link", "iframe"} & set(page.tags) - {"b"}
    assert page.tags.count("b") == 1  # the counter; an answer's <b> is text
    shown = re.sub("(?m)^<!-- .* -->$", "", markdown_sheet(evaluation()))
    assert "y.png" in shown
    assert not re.search(r"<(?!br>)|(?<!\\)\[(?! \])", shown)  # no element, no link, no picture


def test_ticks_of_a_saved_page_are_read(tmp_path: Path) -> None:
    page = html_sheet(evaluation())
    page = page.replace('name="1" value="base"', 'name="1" value="base" checked=""')
    page = page.replace('<textarea name="2"', '<textarea name="2" data-x=""')
    page = re.sub(r'(<textarea name="2"[^>]*>)', r"\1改正 &lt;二&gt; &amp;amp;", page)
    pairs, said = read(tmp_path / "eval.html", page)
    assert [(p.chosen, p.rejected) for p in pairs] == [(NASTY.strip(), "适配器1 <b>"), ("改正 <二> &amp;", COPIED)]
    assert pairs[1].prompt_messages == TALK
    assert said[0].startswith("2 questions were left unticked")
    both = page.replace('name="1" value="both_bad"', 'name="1" value="both_bad" checked')
    with pytest.raises(DataError, match=r"eval.html:\d+: these ticks contradict each other: base better \+ both bad"):
        read(tmp_path / "eval.html", both)


CLICKS = """<script>
const saved = []; const make = URL.createObjectURL;
URL.createObjectURL = blob => { saved.push(blob); return make(blob); };
HTMLAnchorElement.prototype.click = () => {};
const box = (n, v) => document.querySelector(`input[name="${n}"][value="${v}"]`);
box(1, "adapter").click(); box(1, "base").click(); box(2, "adapter").click(); box(4, "both_bad").click();
const field = document.querySelector('textarea[name="3"]');
field.value = "改正 </textarea> & 三"; field.dispatchEvent(new Event("input", {bubbles: true}));
document.getElementById("save").click();
saved[0].text().then(words => {
  const told = document.createElement("pre"); told.id = "told"; told.textContent = words; document.body.append(told);
});
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_in_a_browser_ticks_exclude_each_other_and_both_ways_of_saving_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(html_sheet(evaluation()).replace("</body>", CLICKS), encoding="utf-8")
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--virtual-time-budget=4000", "--dump-dom", page.as_uri()),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "<title>Base against adapter</title>" in dom
    assert '<b id="count">4 / 4</b>' in dom

    class Told(HTMLParser):
        inside, words = False, ""

        def handle_starttag(self, tag, attrs):
            self.inside = ("id", "told") in attrs

        def handle_data(self, data):
            self.words += data if self.inside else ""

    told = Told()
    told.feed(dom)
    wanted = [(NASTY.strip(), "适配器1 <b>"), (COPIED, "基础2"), ("改正 </textarea> & 三", "适配器3")]
    for name, content in (("eval.json", told.words), ("eval.html", dom)):
        pairs, said = read(tmp_path / name, content)
        assert [(p.chosen, p.rejected) for p in pairs] == wanted
        assert len(said) == 1 and said[0].startswith("1 questions have both good or both bad")


def test_corrections_become_training_records_with_their_whole_conversation(tmp_path: Path) -> None:
    sheet = ticked(markdown_sheet(evaluation()), {3: "base better"}, {2: "更好的回答\n> 第二行", 4: "又一个"})
    (tmp_path / "eval.md").write_text(sheet, encoding="utf-8")
    said: list[str] = []
    found = read_corrections(tmp_path / "eval.md", said.append)
    assert [one.answer for one in found] == ["更好的回答\n第二行", "又一个"]
    assert found[0].prompt_messages == TALK
    assert "1 questions have a tick and no correction" in said[0]
    (tmp_path / "more.jsonl").write_text(correction_lines(found), encoding="utf-8")
    records = read_records(tmp_path / "more.jsonl").records
    assert [r.answer for r in records] == [one.answer for one in found]
    assert records[0].messages[:-1] == TALK


def test_an_answer_edited_in_its_table_is_a_correction(tmp_path: Path) -> None:
    sheet = markdown_sheet(evaluation())
    cell = in_cell("适配器3")
    edited = sheet.replace(f"| {cell} |", "| 第一行，见*号<br>第二行 |")
    assert edited != sheet
    (tmp_path / "eval.md").write_text(edited, encoding="utf-8")
    (one,) = read_corrections(tmp_path / "eval.md", lambda _: None)
    assert one.answer == "第一行，见*号\n第二行"
    pairs, _ = read(tmp_path / "eval.md", edited)
    assert [(p.chosen, p.rejected) for p in pairs] == [(one.answer, "适配器3")]
    broken = sheet.replace(f"| {in_cell('基础3')} | {cell} |", "| 都改了 | 这里也改了 |")
    with pytest.raises(DataError, match="table of this question was changed"):
        read(tmp_path / "eval.md", broken)
    with pytest.raises(DataError, match="none of the 4 questions has a correction"):
        (tmp_path / "eval.md").write_text(sheet, encoding="utf-8")
        read_corrections(tmp_path / "eval.md", lambda _: None)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_a_cell_that_nobody_edited_reads_back_as_its_answer(words: str) -> None:
    plain = "\n".join(line.strip() for line in words.strip().splitlines())
    assert from_cell(in_cell(words)) == ("" if plain == "–" else plain)
