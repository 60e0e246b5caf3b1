"""Lines that stand below an answer and are no part of it; marks of a file around its questions and answers."""

import re
from pathlib import Path
from typing import Any

import pytest

from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.errors import AmbiguousDataError, DataError

ASKED_WORDS = """
年票能退吗？ 游船几点开 轮椅哪里借？ 可以带帐篷吗？ 缆车停运怎么办 学生证打几折？ 迷路了打谁的电话 寄存要收费吗？
几月开花 能刷卡吗？
"""
TOLD_WORDS = """
未使用的七天内可以退。 上午九点起，半小时一班。 南门服务处，押金两百元。 草坪区可以，过夜不行。 到站退票，换乘摆渡车。
六折，限本人。 打景区热线。 小件免费，大件十元。 三月底到四月中。 可以，现金也收。
"""
ASKED, TOLD = ASKED_WORDS.split(), TOLD_WORDS.split()
QA = list(zip(ASKED, TOLD, strict=True))
LABELLED = "问：{q}\n答：{a}\n"


def read(tmp_path: Path, text: str, name: str = "t.txt", **options: Any) -> Reading:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_records(path, **options)


def pairs(reading: Reading) -> list[tuple[str, str]]:
    return [(record.question, record.answer) for record in reading.records]


def told(reading: Reading) -> dict[str, str]:
    return {f.kind: f.text for f in reading.ledger.findings}


def filled(shape: str, gap: str = "\n") -> str:
    return gap.join(shape.format(q=q, a=a, i=i, c="①②③④⑤⑥⑦⑧⑨⑩"[i - 1]) for i, (q, a) in enumerate(QA, 1))


def with_line(line: str, at: int = 4, gap: str = "\n", glued: bool = False) -> tuple[str, int]:
    """A transcript with ``line`` in front of record ``at``, and the number of that line."""
    records = [LABELLED.format(q=q, a=a) for q, a in QA]
    if glued:
        records[at - 1] += f"{line}\n"
        above = gap.join(records[:at]).rstrip("\n").count("\n") - line.count("\n")
    else:
        above = (gap.join(records[:at]) + gap).count("\n")
        records.insert(at, f"{line}\n")
    return gap.join(records), above + 1


@pytest.mark.parametrize(
    "line",
    [
        "（中间略去两组）",
        "待办 找园林科核实",
        "TODO: ask the boss.",
        "// 下面还没核对。",
        "2031年夏季版",
        "未完",
        "寄件人：园林科 <y@example.com>\n主题：转发\n\n各位，以后照这个说。\n园林科",
    ],
)
def test_a_remark_behind_a_blank_line_is_left_out_and_named_by_its_line(tmp_path: Path, line: str) -> None:
    text, number = with_line(line)
    reading = read(tmp_path, text)
    assert pairs(reading) == QA
    finding = next(f for f in reading.ledger.findings if f.kind == "stray_lines")
    assert finding.where.endswith(f":{number}") and str(number) in finding.text
    assert line not in finding.text
    assert reading.ledger.units["left_out"] == sum(map(bool, line.split("\n")))


@pytest.mark.parametrize("line", ["第二部分：票务", "【场景二】票务", "二、票务"])
@pytest.mark.parametrize("gap", ["\n", ""])
def test_the_title_of_a_section_is_no_part_of_the_answer_above(tmp_path: Path, line: str, gap: str) -> None:
    text, number = with_line(line, gap=gap)
    reading = read(tmp_path, text)
    assert pairs(reading) == QA
    assert re.search(rf"\b{number}\b", told(reading).get("headings", "") + told(reading).get("stray_lines", ""))


def test_a_line_in_brackets_is_left_out_without_a_blank_line_too_where_answers_have_one_line(tmp_path: Path) -> None:
    text, number = with_line("[第一册完]", gap="", glued=True)
    reading = read(tmp_path, text)
    assert pairs(reading) == QA and f"{number}" in told(reading)["stray_lines"]


@pytest.mark.parametrize("more", ["\n\n另外请留意天气，雨天会停。\n\n祝游览愉快！", "\n凭票根再打九折"])
def test_one_answer_that_is_longer_than_all_others_is_kept_and_named(tmp_path: Path, more: str) -> None:
    rows = [(q, a + more if i == 3 else a) for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, "\n".join(LABELLED.format(q=q, a=a) for q, a in rows))
    assert pairs(reading) == rows
    assert f"{12 if more.count(chr(10)) == 1 else 13}" in told(reading)["unusual_lines"]
    assert "stray_lines" not in told(reading)


def test_where_many_answers_hold_several_paragraphs_nothing_is_left_out(tmp_path: Path) -> None:
    rows = [(q, f"{a}\n\n票务处" if i % 2 else a) for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, "\n".join(LABELLED.format(q=q, a=a) for q, a in rows))
    assert pairs(reading) == rows and not {"stray_lines", "unusual_lines"} & told(reading).keys()


def test_items_of_a_list_behind_a_blank_line_stay_in_the_answer(tmp_path: Path) -> None:
    rows = [(q, f"{a}\n\n1. 先登记\n2. 再领取" if i == 2 else a) for i, (q, a) in enumerate(QA)]
    assert pairs(read(tmp_path, "\n".join(LABELLED.format(q=q, a=a) for q, a in rows))) == rows


@pytest.mark.parametrize(
    "foot", ["记录：小程\n审核：小冯\n", "\n上一篇 票价\n© 某某公园\n咨询电话：000-0000\n", "\n今天的问答到此结束。\n"]
)
def test_signatures_and_the_foot_of_a_page_are_not_learned_with_the_last_answer(tmp_path: Path, foot: str) -> None:
    reading = read(tmp_path, filled(LABELLED) + foot)
    assert pairs(reading) == QA
    assert {"stray_lines", "footer"} & told(reading).keys()


def test_lines_of_a_menu_and_a_foot_around_blocks_are_no_pair(tmp_path: Path) -> None:
    text = "首页 | 票务 | 地图\n位置：首页\n\n" + filled("{q}\n{a}\n") + "\n上一篇：票价\n下一篇：交通\n© 某某公园\n"
    reading = read(tmp_path, text)
    assert pairs(reading) == QA and "34, 35, 36" in told(reading)["stray_lines"]


@pytest.mark.parametrize(
    "shape",
    [
        "{c} {q}\n{a}\n",
        "{c} {q}\n答：{a}\n",
        "{i}→{q}\n{a}\n",
        "No.{i} {q}\n答复：{a}\n",
        "■ {q}\n→ {a}\n",
        "★ {q}\n{a}\n",
        "> {q}\n\n{a}\n",
        "Q.{i} {q}\nA.{i} {a}\n",
        "Q{i:02} | {q}\nA{i:02} | {a}\n",
        "第{i}问 {q}\n答 {a}\n",
        "★问：{q}\n☆答：{a}\n",
        "<Q>{q}</Q>\n<A>{a}</A>\n",
        '  <faq id="{i}">\n    <question>{q}</question>\n    <answer>{a}</answer>\n  </faq>\n',
        '- question: "{q}"\n  answer: "{a}"\n',
        "问：“{q}”\n答：“{a}”\n",
        "> 问：{q}\n>\n> 答：{a}\n",
        "Q{i}. {q}\n==> {a}\n",
    ],
)
def test_what_a_file_sets_around_all_questions_or_answers_is_not_learned(tmp_path: Path, shape: str) -> None:
    assert pairs(read(tmp_path, filled(shape))) == QA


def test_a_sign_on_some_answers_only_belongs_to_them(tmp_path: Path) -> None:
    rows = [(q, f"→ {a}" if i < 3 else a) for i, (q, a) in enumerate(QA)]
    assert pairs(read(tmp_path, "\n".join(f"{q}\n{a}\n" for q, a in rows))) == rows


def test_labels_in_items_of_a_markdown_list_are_read_as_a_transcript(tmp_path: Path) -> None:
    reading = read(tmp_path, filled("- 问：{q}\n  - 答：{a}\n", ""), "t.md")
    assert pairs(reading) == QA


def test_front_matter_of_markdown_is_named(tmp_path: Path) -> None:
    reading = read(tmp_path, "---\ntitle: x\nlang: zh\n---\n\n" + filled("## {q}\n\n{a}\n"), "t.md")
    assert pairs(reading) == QA and "1-4" in told(reading)["front_matter"]


@pytest.mark.parametrize(
    "shape", ["<h3>{q}</h3><p>{a}</p>", "<tr><td>{q}</td><td>{a}</td></tr>", "<p>问：{q}</p><p>答：{a}</p>"]
)
def test_records_of_a_page_on_one_line_have_places_of_their_own(tmp_path: Path, shape: str) -> None:
    body = filled(shape, "")
    if "<tr>" in shape:
        body = f"<table><tr><th>问题</th><th>答案</th></tr>{body}</table>"
    reading = read(tmp_path, f"<html><body>{body}</body></html>", "t.html")
    assert pairs(reading) == QA and len({record.source for record in reading.records}) == len(QA)


def test_pairs_parted_by_a_tab_are_read_though_not_all_questions_ask(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, filled("{q}\t{a}\n", ""))) == QA


@pytest.mark.parametrize("label", ["", "答："])
@pytest.mark.parametrize("gap", ["\n", ""])
def test_a_numbered_question_without_an_answer_costs_its_record_only(tmp_path: Path, label: str, gap: str) -> None:
    for missing in (0, 1, 4, 9):
        records = [f"{i}. {q}\n{label}{a}\n" for i, (q, a) in enumerate(QA, 1)]
        records[missing] = f"{missing + 1}. {QA[missing][0]}\n"
        reading = read(tmp_path, gap.join(records))
        assert pairs(reading) == QA[:missing] + QA[missing + 1 :]
        assert reading.ledger.reasons() == {"orphan_question": 1}


@pytest.mark.parametrize("gap", ["\n", ""])
def test_an_answer_without_label_below_a_numbered_question_is_read_and_named(tmp_path: Path, gap: str) -> None:
    records = [f"{i}. {q}\n答：{a}\n" for i, (q, a) in enumerate(QA, 1)]
    records[4] = records[4].replace("答：", "")
    reading = read(tmp_path, gap.join(records))
    assert pairs(reading) == QA
    finding = next(f for f in reading.ledger.findings if f.kind == "unlabelled_answers")
    assert finding.where.endswith(f":{4 * (3 if gap else 2) + 2}")


@pytest.mark.parametrize("gap", ["\n", ""])
def test_a_question_whose_label_is_missing_is_not_glued_to_the_answer_above(tmp_path: Path, gap: str) -> None:
    for odd in (1, 4, 8):  # these do not ask
        records = [LABELLED.format(q=q, a=a) for q, a in QA]
        records[odd] = records[odd].replace("问：", "")
        assert pairs(read(tmp_path, gap.join(records))) == QA


PAPER = "测验\n一、问答\n" + "".join(f"{i}. {q}\n" for i, q in enumerate(ASKED, 1))


@pytest.mark.parametrize("heading", ["参考答案", "二、答案与解析：", "Answers"])
def test_answers_at_the_end_of_a_paper_are_matched_by_number(tmp_path: Path, heading: str) -> None:
    key = "".join(f"{i}. {a}\n" for i, a in enumerate(TOLD, 1))
    reading = read(tmp_path, f"{PAPER}\n{heading}\n{key}")
    assert pairs(reading) == QA and "answers_by_number" in told(reading)


def test_letters_of_a_key_on_one_line_are_matched_by_number(tmp_path: Path) -> None:
    paper = "".join(f"{i}. {q}（ ）\nA. 是  B. 否\n" for i, q in enumerate(ASKED, 1))
    reading = read(tmp_path, paper + "\n答案：\n" + "  ".join(f"{i}.{'AB'[i % 2]}" for i in range(1, 11)))
    assert [record.answer for record in reading.records] == ["AB"[i % 2] for i in range(1, 11)]


@pytest.mark.parametrize("wrong", [TOLD[:4] + TOLD[5:], [*TOLD[:3], "先登记：\n1. 填表\n2. 排队", *TOLD[4:]]])
def test_answers_whose_numbers_do_not_tell_are_refused(tmp_path: Path, wrong: list[str]) -> None:
    numbers = [i for i in range(1, 11) if i != 5] if len(wrong) < 10 else range(1, 11)
    key = "".join(f"{i}. {a}\n" for i, a in zip(numbers, wrong, strict=True))
    with pytest.raises(DataError, match=r"numbers|编号"):
        read(tmp_path, f"{PAPER}\n参考答案\n{key}")


def test_all_questions_in_front_of_all_answers_are_matched_by_the_numbers_of_their_labels(tmp_path: Path) -> None:
    questions = "".join(f"问题{i}：{q}\n" for i, q in enumerate(ASKED, 1))
    answers = "".join(f"答案{i}：{a}\n" for i, a in enumerate(TOLD, 1))
    assert pairs(read(tmp_path, f"{questions}\n{answers}")) == QA
    with pytest.raises(DataError, match=r"numbers|编号"):
        read(tmp_path, re.sub(r"(问题|答案)\d+", r"\1", f"{questions}\n{answers}"))


CONTRACT = """合作协议
甲方：某园
乙方：某社
第一条 场地
甲方：提供场地。
乙方：按时清场。
第二条 费用
甲方：开票。
乙方：付款。
"""
BOXES = "游客问卷\n1. 您来过几次？\n□一次 □多次\n2. 您怎么来的？\n□公交 □自驾\n3. 您满意吗？\n□满意 □一般\n"
LABELLED_BOXES = (
    "问：您来过几次？\n答：□一次 □多次\n问：您怎么来的？\n答：□公交 □自驾\n问：您满意吗？\n答：□满意 □一般\n"
)
MAILS = filled("发件人：客{i}\n收件人：票务\n主题：咨询\n\n{q}\n\n发件人：票务\n收件人：客{i}\n主题：回复\n\n{a}\n")
BROKEN = '"question": "年票能退吗？",\n"answer": "能退。"\n\n' * 4


@pytest.mark.parametrize("text", [CONTRACT, BOXES, LABELLED_BOXES, MAILS, BROKEN])
def test_parties_boxes_headers_and_broken_objects_are_no_questions_and_answers(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError):
        read(tmp_path, text)


def test_parties_that_only_state_something_are_asked_about(tmp_path: Path) -> None:
    stated = ["某园", "小程", "安排售票。", "服从安排。", "月初发薪。", "按时到岗。"]
    text = "".join(f"{('用人单位', '劳动者')[i % 2]}：{words}\n" for i, words in enumerate(stated))
    with pytest.raises(AmbiguousDataError):
        read(tmp_path, text)


def test_criteria_below_an_answer_are_no_question(tmp_path: Path) -> None:
    reading = read(tmp_path, filled("{i}、{q}（10分）\n【答案要点】{a}\n【评分标准】每点{i}分\n"))
    assert pairs(reading) == [(f"{q}（10分）", a) for q, a in QA] and "评分标准" in told(reading)["record_fields"]


@pytest.mark.parametrize("who", ["{w}台记者", "{w}报社"])
def test_many_who_ask_one_speaker_are_all_read(tmp_path: Path, who: str) -> None:
    lines = [f"{who.format(w=w)}：{q}？\n处长程某：{a}\n" for w, (q, a) in zip("甲东南西北中上下左右", QA, strict=True)]
    assert [a for _, a in pairs(read(tmp_path, "\n".join(lines)))] == TOLD


def test_a_salutation_that_takes_turns_with_one_name_is_a_speaker(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, filled("亲：{q}\n小二：{a}\n"))) == QA


@pytest.mark.parametrize("names", [("说话人 1", "说话人 2"), ("发言人1", "发言人2"), ("SPEAKER_00", "SPEAKER_01")])
def test_speakers_that_only_a_number_tells_apart_are_two(tmp_path: Path, names: tuple[str, str]) -> None:
    assert pairs(read(tmp_path, filled(f"{names[0]}：{{q}}\n{names[1]}：{{a}}\n"))) == QA


@pytest.mark.parametrize("line", ["系统：客服已接入", "【系统】会话已结束", "系统提示：对方正在输入"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_what_a_system_says_about_the_session_is_no_system_prompt(tmp_path: Path, line: str, everywhere: bool) -> None:
    records = [LABELLED.format(q=q, a=a) for q, a in QA]
    records = [f"{line}\n{r}" if everywhere or i == 4 else r for i, r in enumerate(records)]
    reading = read(tmp_path, "\n".join(records))
    assert pairs(reading) == QA and {m.role for r in reading.records for m in r.messages} == {"user", "assistant"}
    assert {"third_speakers", "media_left_out"} & told(reading).keys()


def test_subtitles_are_read_without_their_times(tmp_path: Path) -> None:
    said = [line for q, a in QA for line in (f"游客：{q}", f"讲解员：{a}")]
    cues = "\n".join(f"{i}\n00:00:{i:02},000 --> 00:00:{i + 1:02},500\n{line}\n" for i, line in enumerate(said))
    reading = read(tmp_path, cues)
    assert pairs(reading) == QA and "20" in told(reading)["subtitles"]


def test_fields_of_people_without_content_are_no_questions(tmp_path: Path) -> None:
    form = "Ticket: {i}\nCustomer: n/a\nIssue: {q}\nResolution: {a}\nClosed by: ann\n"
    assert pairs(read(tmp_path, filled(form))) == QA
    unknown = form.replace("Issue", "Matter")
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, filled(unknown))
    wanted = {"columns": {"question": "Matter", "answer": "Resolution"}}
    assert wanted in [a.settings for a in caught.value.alternatives]
    assert pairs(read(tmp_path, filled(unknown), **wanted)) == QA


def test_speakers_fields_of_a_form_are_read_and_its_notes_are_named(tmp_path: Path) -> None:
    reading = read(tmp_path, filled("场景{i}：售票\n客户问题：{q}\n标准话术：{a}\n注意事项：语速放慢\n"))
    assert pairs(reading) == QA and "注意事项" in reading.ledger.decisions[0].detail
