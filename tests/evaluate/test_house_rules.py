"""BLEU against sacrebleu's own command, house rules on answers that keep and break each, lists of statutes."""

import json
import re
from pathlib import Path

import pytest

from lora_scripts.errors import ConfigError
from lora_scripts.evaluate.measures import measure
from lora_scripts.evaluate.rules import broken_rules, citations, read_rules, read_statutes

ANSWERS = [
    "依据《劳动法》第四十四条，应当支付加班费。",
    "用人单位应当支付双倍工资。",
    "Pay 3.5% at once, then call us.",
]
REFERENCES = [
    "依据《劳动法》第四十四条，单位应当支付加班费。",
    "用人单位应当支付赔偿金。",
    "Pay 3.5% now.",
]


def test_bleu_is_the_figure_of_sacrebleu_over_jieba_words() -> None:
    import jieba
    from sacrebleu.metrics import BLEU

    given, wanted = ([" ".join(w for w in jieba.cut(t) if w.strip()) for t in side] for side in (ANSWERS, REFERENCES))
    told = BLEU(tokenize="none", force=True).corpus_score(given, [wanted]).score
    ours = measure(ANSWERS, REFERENCES, {})["bleu"]
    assert ours == pytest.approx(told, abs=1e-9)
    assert ours != pytest.approx(BLEU(tokenize="13a", force=True).corpus_score(given, [wanted]).score)
    assert 20 < ours < 80
    assert measure(REFERENCES, REFERENCES, {})["bleu"] == pytest.approx(100)
    assert measure(["", ""], REFERENCES[:2], {})["bleu"] == 0
    assert "bleu" not in measure([], [], {})


@pytest.mark.parametrize(
    ("rules", "keeps", "breaks", "by"),
    [
        ({"opening": "依据《"}, "依据《劳动法》", "你好，依据《劳动法》", "你好，依据《劳动法》"),
        ({"disclaimer": "仅供参考， 不构成意见"}, "好。仅供参考,不构成\n意见。", "仅供参考", "仅供参考， 不构成意见"),
        ({"forbidden": ["包赢", "Guarantee"]}, "guarantees nothing", "我们ｇｕａｒａｎｔｅｅ，包赢", "包赢 Guarantee"),
        ({"min_length": 3}, " 三个字 ", " 两字  ", "2"),
        ({"max_length": 3}, "三个字 ", "四个字了", "4"),
    ],
)  # fmt: skip
def test_each_rule_tells_who_breaks_it_and_by_what(rules, keeps, breaks, by) -> None:
    house = read_rules(rules)
    assert broken_rules(keeps, house) == {}
    assert broken_rules(breaks, house) == {next(iter(rules)): by}
    name = next(iter(rules))
    assert measure([keeps, breaks, breaks], ["", "", ""], rules)["rules_kept"] == {name: 1, "all": 1}


def _list(folder: Path, *lines: str) -> Path:
    path = folder / "statutes.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("cited", "listed"),
    [
        ("《劳动合同法》第十条", True),
        ("《劳动合同法》第10条第二款", True),
        ("《中华人民共和国劳动合同法》（2012修正）第 １０ 条", True),
        ("《劳动合同法》第十一条", False),
        ("《劳动合同法》第十条、第十一条", False),
        ("《劳动合同法》第十条第一款和第八十二条", True),
        ("《社会保险法》第九百条", True),
        ("《劳动法》第四十四条第一款", True),
        ("《劳动法》第四十四条", True),
        ("《劳动法》第四十四条第二款", False),
        ("《工伤保险条例》第十四条第（一）项", True),
        ("《工伤保险条例》第六十七条", True),
        ("《工伤保险条例》第六十八条", False),
        ("《刑法》第二百七十六条之一", True),
        ("《刑法》第二百七十六条", False),
        ("《想象法》第一条", False),
        ("《劳动合同》写明，该法第九百条", True),  # no citation that can be looked up
    ],
)
def test_a_citation_must_be_in_the_list(tmp_path: Path, cited: str, listed: bool) -> None:
    path = _list(
        tmp_path,
        "# 可引用",
        "《劳动合同法》第十条",
        "《劳动合同法》第82条",
        "",
        "社会保险法",
        "《劳动法》第四十四条第一款",
        "工伤保险条例 第一条至第六十七条",
        "《刑法》第二百七十六条之一",
    )
    broken = broken_rules(f"您好，依据{cited}，应当支付。", read_rules({"statutes": str(path)}))
    assert ("statutes" not in broken) == listed
    if not listed:
        assert broken["statutes"].startswith(re.match("《[^》]+》", cited)[0])


def test_every_real_article_is_known_by_both_numerals(tmp_path: Path, project_root: Path) -> None:
    laws = json.loads((project_root / "data" / "statutes.json").read_text(encoding="utf-8"))
    written = [f"《{name}》{article}" for name, law in laws.items() for article in law["articles"]]
    path = _list(tmp_path, *(f"《{name}》第1条至第1999条" for name in laws))
    held = read_statutes(path)
    numbers = {}
    for words in written:
        ((citation, shown),) = citations(words)
        assert held.hold(citation)
        assert shown == "".join(words.replace("（", "(").replace("）", ")").split())
        numbers.setdefault(citation[0], []).append(citation[1])
    assert len(written) > 1000
    # articles of a law are numbered without a gap, whatever the numeral looks like
    assert all(found == list(range(found[0], found[0] + len(found))) for found in numbers.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "list of statutes is empty"),
        (b"# nothing\n", "list of statutes is empty"),
        ("《劳动法》第一条\n第十条\n《劳动法》第三条至第二条\n".encode(), "statutes.txt:2"),
        ("《劳动法》第一条\n《劳动法》第三条至第二条\n".encode(), "statutes.txt:2"),
        (b"\x00\x01\x02\xff" * 50, "statutes.txt"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error_of_the_config(tmp_path: Path, content, said: str) -> None:
    path = tmp_path / "statutes.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_rules({"statutes": str(path)})
    assert said in str(error.value)


def test_a_list_in_gb18030_is_read(tmp_path: Path) -> None:
    path = tmp_path / "statutes.txt"
    path.write_bytes("《劳动合同法》第十条\n《劳动合同法》第三十八条\n《社会保险法》第五条\n".encode("gb18030"))
    assert read_statutes(path).hold(("劳动合同法", 38, 0, 0))


def test_rules_that_no_answer_can_keep_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_length 9 is above max_length 3"):
        read_rules({"min_length": 9, "max_length": 3})
    with pytest.raises(ConfigError, match="openning is not a rule"):
        read_rules({"openning": "x"})
