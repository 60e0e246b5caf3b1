"""Shapes on other content than any example: other trades, other names, other delimiters. Nothing is fitted."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.errors import DataError

ASKED = [
    "借书证丢了怎么补办",
    "自习室几点关门",
    "过期的杂志能外借吗",
    "逾期一天罚多少钱",
    "可以预约讲座座位吗",
    "外文库在哪一层",
    "儿童阅览区能带零食吗",
    "复印机支持彩印吗",
    "捐书需要登记什么",
    "盲文图书怎么借",
    "馆际互借要等多久",
    "电子书账号怎么开通",
]
TOLD = [
    "带身份证到一楼服务台，当场补办。",
    "工作日晚上九点半，周末提前一小时。",
    "过刊只能馆内阅览，不外借。",
    "每册每天一角，封顶为书价。",
    "可以，提前三天在公众号预约。",
    "四层东侧，上楼右转就是。",
    "不可以，只能带有盖的水杯。",
    "支持，每页一元。",
    "登记书名、册数和联系方式即可。",
    "电话预约后由志愿者送到家中。",
    "通常五到七个工作日。",
    "凭读者证号在网站上自助开通。",
]
QA = [(f"{q}？", a) for q, a in zip(ASKED, TOLD, strict=True)]
CHINESE = "一二三四五六七八九十"


def numeral(i: int) -> str:
    return CHINESE[i - 1] if i <= 10 else "十" + CHINESE[i - 11]


def read(tmp_path: Path, name: str, content: str | bytes, **options: Any) -> Reading:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_records(path, **options)


def pairs(reading: Reading) -> list[tuple[str, str]]:
    assert all([m.role for m in r.messages] == ["user", "assistant"] for r in reading.records)
    return [(r.question, r.answer) for r in reading.records]


@pytest.mark.parametrize(
    "shape",
    [
        "读者：{q}\n馆员：{a}\n\n",
        "游客：{q}\n讲解员：{a}\n",
        "{n}、读者：{q}\n馆员：{a}\n\n",
        "（{n}）问：{q}\n答：{a}\n\n",
        "({i}) 乘客：{q}\n调度：{a}\n\n",
        "问{i}：{q}\n答{i}：{a}\n\n",
        "问{n}：{q}\n答{n}：{a}\n\n",
        "第{i}题：{q}\n答案：{a}\n\n",
        "【住户】{q}\n【物业】{a}\n\n",
        "「学员」{q}\n「教练」{a}\n\n",
        "<guest> {q}\n<concierge> {a}\n\n",
        "[{i:02d}:15] 会员：{q}\n[{i:02d}:16] 前台：{a}\n\n",
        "{i}) Tenant: {q}\n   Landlord: {a}\n\n",
        "- 家长：{q}\n- 班主任：{a}\n\n",
        "● 来访者：{q}\n● 志愿者：{a}\n\n",
        "## 提问\n{q}\n## 回答\n{a}\n\n",
        "读者甲：{q}\n馆员乙：{a}\n\n",
        "{i}. 市民：{q}\n   窗口：{a}\n",
    ],
)
def test_speakers_of_other_trades_are_read(tmp_path: Path, shape: str) -> None:
    text = "".join(shape.format(q=q, a=a, i=i, n=numeral(i)) for i, (q, a) in enumerate(QA, 1))
    assert pairs(read(tmp_path, "t.txt", text)) == QA


def test_ten_pairs_of_names_in_one_file(tmp_path: Path) -> None:
    names = [
        ("读者", "馆员"),
        ("客户", "客服"),
        ("Q", "A"),
        ("患者", "医生"),
        ("学生", "老师"),
        ("问", "答"),
        ("【市民】", "【工作人员】"),
        ("User", "Assistant"),
        ("家长", "老师"),
        ("提问", "回复"),
    ]
    colons = ["：", ":", " : ", "﹕", "：", ":\t"]
    text = ""
    for i, (q, a) in enumerate(QA):
        asks, tells = names[i % 10]
        text += f"{asks}{colons[i % 6]}{q}\n{tells}{colons[(i + 2) % 6]}{a}\n\n"
    assert pairs(read(tmp_path, "t.txt", text)) == QA


def test_names_that_nobody_knows_are_learned_and_shown(tmp_path: Path) -> None:
    text = "".join(f"旅人：{q}\n掌柜：{a}\n\n" for q, a in QA)
    reading = read(tmp_path, "t.txt", text)
    assert pairs(reading) == QA
    told = {f.kind: f.text for f in reading.ledger.findings}
    assert "旅人" in told["learned_roles"] and "掌柜" in told["learned_roles"]


@pytest.mark.parametrize(
    "trap",
    [
        "\n开放时间：09:00-21:30",
        "\n见 https://lib.example.org:8443/a?x=1:2",
        "\n第12条：违者停借。",
        "\n\n注意：闭馆日除外。\n\n结语：欢迎光临。",
        "\n读者守则：保持安静。",
        "\n馆员值班表：见公告栏\n馆员电话：前台询问",
        "\n比例 1:2:3，截止 2024-05-06 23:59:59",
        "\n甲：好的\n乙：不行",
        "\n1. 带证件：身份证\n2. 填表：一式两份",
        "\n一、准备：证件\n二、办理：窗口",
    ],
)
def test_colons_inside_answers_stay_text(tmp_path: Path, trap: str) -> None:
    longer = [(q, a + trap * (i % 2)) for i, (q, a) in enumerate(QA)]
    text = "".join(f"读者：{q}\n馆员：{a}\n\n" for q, a in longer)
    assert pairs(read(tmp_path, "t.txt", text)) == longer


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ("{q}\n{a}\n", "neighbours_assumed"),
        ("{q}\n\n{a}\n\n", "neighbours_assumed"),
        ("{q}\n{a}\n\n", "blocks_assumed"),
        ("{i}. {q}\n{a}\n", "numbered_assumed"),
        ("{n}、{q}\n{a}\n\n", "numbered_assumed"),
        ("{i}、{q}\n\n{a}\n1. 先登记\n2. 再领取吧\n", "numbered_assumed"),
        ("{q}\t{a}\n", "fields_assumed"),
        ("{q} | {a}\n", "fields_assumed"),
        ("{q} => {a}\n", "fields_assumed"),
    ],
)
def test_text_without_names_is_read_and_a_finding_says_how(tmp_path: Path, shape: str, kind: str) -> None:
    text = "".join(shape.format(q=q, a=a, i=i, n=numeral(i)) for i, (q, a) in enumerate(QA, 1))
    reading = read(tmp_path, "t.txt", text)
    tail = "\n1. 先登记\n2. 再领取吧" if "先登记" in shape else ""
    assert pairs(reading) == [(q, a + tail) for q, a in QA]
    assert kind in [f.kind for f in reading.ledger.findings]


@pytest.mark.parametrize(
    "text",
    [
        "春眠不觉晓\n处处闻啼鸟\n夜来风雨声\n花落知多少\n",
        "1. 目的\n为了管理\n2. 范围\n全馆适用\n3. 职责\n各负其责\n",
        "开馆时间\n九点\n闭馆时间\n五点\n地点\n一楼\n",
        "你好吗？\n你是谁？\n在哪里？\n去哪里？\n为什么？\n怎么办？\n",
    ],
)
def test_text_that_asks_nothing_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="no question with an answer"):
        read(tmp_path, "t.txt", text)


HEADERS = [
    ("提问内容", "馆员回复"),
    ("留言", "官方答复"),
    ("来信内容", "处理意见"),
    ("读者问题", "解答"),
    ("诉求", "回应"),
    ("Inquiry", "Reply text"),
    ("user_query", "bot_response"),
    ("Customer Question", "Agent Answer"),
    ("prompt", "solution"),
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "gb18030"), ("\t", "utf-16"), ("|", "utf-8-sig")])
def test_headers_of_other_tools(tmp_path: Path, header: tuple[str, str], delimiter: str, encoding: str) -> None:
    out = io.StringIO()
    rows = [(i, "总馆", q + "\n（续）；|", a, "2024-01-02 10:30") for i, (q, a) in enumerate(QA, 1)]
    csv.writer(out, delimiter=delimiter).writerows([("no", "分馆", *header, "时间"), *rows])
    reading = read(tmp_path, "t.csv", out.getvalue().encode(encoding))
    assert pairs(reading) == [(q + "\n（续）；|", a) for q, a in QA]


def test_a_column_of_history_goes_before_the_question(tmp_path: Path) -> None:
    out = io.StringIO()
    past = json.dumps([["你好", "您好，请讲"]], ensure_ascii=False)
    csv.writer(out).writerows([("question", "answer", "history"), (*QA[0], past), (*QA[1], ""), (*QA[2], "no list")])
    reading = read(tmp_path, "t.csv", out.getvalue())
    assert [[m.content for m in r.messages] for r in reading.records] == [["你好", "您好，请讲", *QA[0]], [*QA[1]]]
    assert reading.ledger.reasons() == {"unreadable": 1}


@pytest.mark.parametrize(
    "talk",
    [
        [{"human": "你好", "assistant": "您好"}, {"human": QA[0][0], "assistant": QA[0][1]}],
        [{"input": "你好", "output": "您好"}, {"input": QA[0][0], "output": QA[0][1]}],
        [
            {"role": "user", "content": "你好"},
            {"role": "assistant", "content": "您好"},
            {"role": "user", "content": QA[0][0]},
            {"role": "assistant", "content": QA[0][1]},
        ],
    ],
)
def test_turns_of_a_conversation_in_several_layouts(tmp_path: Path, talk: list[dict[str, str]]) -> None:
    text = json.dumps([{"conversation": talk}, {"conversation": talk[-1:] if len(talk) == 2 else talk[2:]}])
    reading = read(tmp_path, "t.json", text)
    said = [[m.content for m in r.messages] for r in reading.records]
    assert said == [["你好", "您好", *QA[0]], [*QA[0]]]


def test_a_history_of_objects_or_pairs_is_kept(tmp_path: Path) -> None:
    rows = [
        {"query": QA[0][0], "response": QA[0][1], "history": [["你好", "您好"]]},
        {"query": QA[1][0], "response": QA[1][1], "history": [{"question": "在吗", "answer": "在的"}]},
        {"query": QA[2][0], "response": QA[2][1], "history": []},
    ]
    reading = read(tmp_path, "t.jsonl", "\n".join(json.dumps(r) for r in rows))
    said = [[m.content for m in r.messages] for r in reading.records]
    assert said == [["你好", "您好", *QA[0]], ["在吗", "在的", *QA[1]], [*QA[2]]]


def test_a_record_that_augmentation_made_stays_marked(tmp_path: Path) -> None:
    rows = [{"question": q, "answer": a, "synthetic": i % 2 == 0} for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, "t.jsonl", "\n".join(json.dumps(r) for r in rows))
    assert [r.synthetic for r in reading.records] == [i % 2 == 0 for i in range(len(QA))]


def test_single_lines_in_a_second_encoding_are_decoded_and_named(tmp_path: Path) -> None:
    for main, other in (("utf-8", "gb18030"), ("gb18030", "utf-8")):
        lines = [x for q, a in QA for x in (f"读者：{q}", f"馆员：{a}")]
        data = b"".join((line + "\n").encode(other if n == 8 else main) for n, line in enumerate(lines))
        reading = read(tmp_path, "t.txt", data)
        assert pairs(reading) == QA
        found = next(f for f in reading.ledger.findings if f.kind == "stray_encoding")
        assert found.where.endswith(":9") and "lines 9" in found.text


def test_two_joined_files_stop_with_both_readings(tmp_path: Path) -> None:
    text = "".join(f"读者：{q}\n馆员：{a}\n\n" for q, a in QA)
    with pytest.raises(DataError, match="two encodings") as caught:
        read(tmp_path, "t.txt", text.encode("gb18030") + text.encode())
    assert "line 37" in caught.value.problems[0].fix and "pasted" in caught.value.problems[0].fix


def test_names_without_colon_stop_with_the_key_that_decides(tmp_path: Path) -> None:
    text = "".join(f"读者{q}\n工作人员{a}\n\n" for q, a in QA)
    with pytest.raises(DataError) as caught:
        read(tmp_path, "t.txt", text)
    assert "roles: {user: [读者], assistant: [工作人员]}" in caught.value.problems[0].fix
    assert pairs(read(tmp_path, "t.txt", text, roles={"user": "读者", "assistant": "工作人员"})) == QA


def test_a_table_without_header_whose_first_cells_ask_is_read_and_said(tmp_path: Path) -> None:
    out = io.StringIO()
    csv.writer(out).writerows(QA)
    reading = read(tmp_path, "t.csv", out.getvalue())
    assert pairs(reading) == QA
    assert [f.kind for f in reading.ledger.findings] == ["no_header"]
    with pytest.raises(DataError, match="which columns"):
        read(tmp_path, "t.csv", out.getvalue().replace("？", ""))


def test_a_header_in_the_middle_of_joined_tables_is_no_record(tmp_path: Path) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("问题", "答案"), *QA[:5], ("问题", "答案"), *QA[5:]])
    reading = read(tmp_path, "t.csv", out.getvalue())
    assert pairs(reading) == QA
    assert [(e.source[-2:], e.reason) for e in reading.ledger.left_out] == [(":7", "unreadable")]


def test_a_header_that_says_nothing_stops_with_likely_columns(tmp_path: Path) -> None:
    rows = [{"x": i, "c1": q, "c2": a, "c3": "备"} for i, (q, a) in enumerate(QA)]
    with pytest.raises(DataError) as caught:
        read(tmp_path, "t.jsonl", "\n".join(json.dumps(r, ensure_ascii=False) for r in rows))
    fix = caught.value.problems[0].fix
    assert "{question: c1, answer: c2}" in fix and 2 <= fix.count("question:") <= 3
    out = io.StringIO()
    csv.writer(out).writerows([list(rows[0]), *(list(r.values()) for r in rows)])
    with pytest.raises(DataError) as caught:
        read(tmp_path, "t.csv", out.getvalue())
    assert "{question: c1, answer: c2}" in caught.value.problems[0].fix
    assert pairs(read(tmp_path, "t.csv", out.getvalue(), columns={"question": "c1", "answer": "c2"})) == QA


def test_a_first_row_of_private_data_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    text = "张三,13800138000,li.lei@example.com\n李四,13900139000,x@example.com\n"
    with pytest.raises(DataError) as caught:
        read(tmp_path, "t.csv", text)
    assert "13800138000" not in str(caught.value) and "example.com" not in str(caught.value)


def test_a_column_that_tells_what_was_asked_goes_before_one_that_tells_who(tmp_path: Path) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("用户", "用户提问描述", "经理", "处理答复"), *(("小王", q, "老李", a) for q, a in QA)])
    assert pairs(read(tmp_path, "t.csv", out.getvalue())) == QA
