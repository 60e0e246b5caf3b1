"""Rules: the first that holds wins, every condition of it must hold, and what cannot be a rule is refused."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_scripts.errors import UsageError
from lora_scripts.serve.routing.learned import Guess
from lora_scripts.serve.routing.rules import KEYS, Choice, Router, Rule, parse_rules


class Fixed:
    """A learned router that always says the same."""

    def __init__(self, to: str | None) -> None:
        self.to = to

    def choose(self, question: str) -> Guess:
        return Guess(self.to, 0.25, 0.125)


def chosen(rules, question="", headers=None, key=None, learned=None):
    return Router(rules, learned).choose(question, headers or {}, key)


def test_the_first_rule_that_holds_wins():
    rules = [Rule("law", keywords=("合同",)), Rule("finance", keywords=("贷款", "合同"))]
    assert chosen(rules, "贷款合同怎么写") == Choice("law", "rule:1")
    assert chosen(rules, "贷款利率") == Choice("finance", "rule:2")
    assert chosen(rules[::-1], "贷款合同怎么写") == Choice("finance", "rule:1")
    assert chosen(rules, "你好") == Choice(None, "none")
    assert chosen([], "你好") == Choice(None, "none")


def test_all_conditions_of_a_rule_must_hold():
    rule = Rule("law", ("X-Department", "legal"), "front", ("合同",), r"\d{4}年", "all")
    right = {"question": "2024年的合同", "headers": {"x-department": " legal "}, "key": "front"}
    assert chosen([rule], **right) == Choice("law", "rule:all")
    for changed in (
        {"question": "2024年的协议"},
        {"question": "去年的合同"},
        {"headers": {}},
        {"headers": {"x-department": "medical"}},
        {"key": None},
        {"key": "back"},
    ):
        assert chosen([rule], **{**right, **changed}) == Choice(None, "none"), changed


def test_header_names_have_no_case_and_values_have():
    rule = Rule("law", header=("x-department", "legal"))
    assert chosen([rule], headers={"X-DEPARTMENT": "legal"}).to == "law"
    assert chosen([rule], headers={"X-DEPARTMENT": "Legal"}).to is None


def test_keywords_are_seen_in_any_case_and_width_and_latin_ones_as_words():
    rule = [Rule("finance", keywords=("Tax", "ＩＰＯ", "c++", "增值税"))]
    for question in ("How is TAX paid?", "我的tax怎么交", "公司ipo流程", "tax", "增值税率", "学c++吗"):
        assert chosen(rule, question).to == "finance", question
    for question in ("a syntax error", "taxi", "ipod", "值税", ""):
        assert chosen(rule, question).to is None, question


@given(st.text(min_size=1).filter(str.strip), st.text(max_size=20), st.text(max_size=20))
def test_any_keyword_between_spaces_is_found(word, before, after):
    assert chosen([Rule("x", keywords=(word,))], f"{before} {word} {after}").to == "x"


@given(st.text(max_size=60), st.lists(st.sampled_from(["合同", "law", "tax", "a.c", "(", "\\"]), max_size=4))
def test_no_question_and_no_keyword_breaks_it(question, words):
    found = chosen([Rule("x", keywords=tuple(words), pattern="法")] if words else [], question)
    assert found.to in ("x", None) and found.why.isascii()


def test_a_rule_can_send_to_the_base():
    assert chosen([Rule(None, keywords=("天气",)), Rule("law")], "今天天气") == Choice(None, "rule:1")


def test_a_pattern_that_takes_too_long_leaves_the_question_to_the_base():
    slow = Rule("law", pattern=r"(a+)+$", name="slow")
    begun = time.monotonic()
    assert chosen([slow, Rule("finance")], "a" * 4000 + "b") == Choice(None, "timeout:slow")
    assert time.monotonic() - begun < 20  # without a limit it takes years
    assert chosen([slow], "baa") == Choice("law", "rule:slow"), "it is a pattern that works, only slowly"


def test_the_learned_router_is_asked_when_no_rule_holds():
    rules = [Rule("law", keywords=("合同",))]
    assert chosen(rules, "合同", learned=Fixed("medicine")) == Choice("law", "rule:1")
    assert chosen(rules, "发烧", learned=Fixed("medicine")) == Choice("medicine", "learned:0.250/0.125")
    assert chosen(rules, "发烧", learned=Fixed(None)) == Choice(None, "abstained:0.250/0.125")


def test_all_problems_of_rules_are_told_at_once():
    rules = [
        Rule("l/aw", keywords=("x",)),
        Rule("law", pattern="("),
        Rule("law", keywords=("", "y")),
        Rule("law", name="to all"),
        Rule("law", keywords=("z",), name="名"),
    ]
    with pytest.raises(UsageError) as refused:
        Router(rules)
    assert len(refused.value.problems) == 6
    for words in ("'l/aw'", "( is no regular expression", "empty keyword", "no condition", "'to all'", "'名'"):
        assert words in str(refused.value)


def test_a_rule_without_conditions_may_be_the_last_thing_only():
    assert chosen([Rule("a", key="k"), Rule("b")], "x").to == "b"
    with pytest.raises(UsageError, match="no condition"):
        Router([Rule("b")], Fixed("c"))


def test_rules_are_read_as_a_file_holds_them():
    entries = [
        {"name": "clinic", "header": {"X-Department": "clinic"}, "to": "medicine"},
        {"key": "front", "keywords": ["合同", "law"], "pattern": "法", "to": "law"},
        {"keywords": ["天气"], "to": "base"},
    ]
    assert parse_rules(entries, "serve.yaml") == [
        Rule("medicine", header=("X-Department", "clinic"), name="clinic"),
        Rule("law", key="front", keywords=("合同", "law"), pattern="法"),
        Rule(None, keywords=("天气",)),
    ]
    assert set(KEYS) == {key for entry in entries for key in entry}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"keyword": ["x"], "to": "law"}, "keyword"),
        ({"keywords": ["x"]}, "to"),
        ({"keywords": "x", "to": "law"}, "keywords"),
        ({"keywords": [1], "to": "law"}, "keywords"),
        ({"header": "X: y", "to": "law"}, "header"),
        ({"header": {"a": "b", "c": "d"}, "to": "law"}, "header"),
        ({"header": {"a": 1}, "to": "law"}, "header"),
        ({"key": 5, "to": "law"}, "key"),
        ({"to": ""}, "to"),
        ("law", "law"),
        (None, "None"),
    ],
)
def test_an_entry_that_is_no_rule_is_named_with_its_number(entry, words):
    with pytest.raises(UsageError) as refused:
        parse_rules([{"key": "a", "to": "b"}, entry], "serve.yaml")
    assert f"serve.yaml: 2: these parts of the rule are missing, unknown or of the wrong kind: {words}" in str(
        refused.value
    )


def test_what_is_no_list_is_refused():
    with pytest.raises(UsageError, match="are a list"):
        parse_rules({"to": "law"}, "serve.yaml")
