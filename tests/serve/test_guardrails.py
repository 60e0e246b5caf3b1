"""Guardrails: nothing that violates leaves, however a text is disguised and wherever it is cut."""

import random
import time
import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.pii.find import DEFAULT_TYPES, PII_TYPES, find_pii
from lora_scripts.serve.guardrails import Guardrails, Rule, RuleSet
from lora_scripts.serve.guardrails.disguise import FOLDS, MARK, view
from lora_scripts.serve.guardrails.patterns import Pattern, pattern_fault
from lora_scripts.serve.guardrails.personal import BY_SENTENCE, PersonalScanner

REFUSAL = "不能回答。"
WORDS = ("赌博", "网络赌博", "赌石网", "abab", "babble", "cash out", "aab", "六四三", "a片")


def guard(*rules, label=""):
    return Guardrails(RuleSet(rules, refusal=REFUSAL, label=label))


def words_rule(action="mask", words=WORDS, **more):
    return Rule("words", "words", action, words=words, **more)


def whole(guards, text):
    guarded = guards.open_output()
    return guarded.feed(text) + guarded.end(), guarded


def streamed(guards, pieces):
    guarded = guards.open_output()
    return [guarded.feed(piece) for piece in pieces] + [guarded.end()], guarded


def masked(text, **more):
    return whole(guard(words_rule(**more)), text)[0]


def cut(text, sizes):
    """``text`` in pieces of these sizes, over and over."""
    pieces, at = [], 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[at : at + size])
        at += size
    return pieces


@pytest.mark.parametrize(
    ("disguise", "text"),
    [
        ("plain", "网络赌博"),
        ("spaces", "网 络　赌\u00a0博"),
        ("zero width", "网\u200b络\u200d赌\ufeff博"),
        ("direction marks", "网\u202e络\u200f赌\u00ad博"),
        ("traditional", "網絡賭博"),
        ("punctuation", "网*络-赌.博"),
        ("sentence marks", "网，络。赌！博"),
        ("brackets", "【网】【络】【赌】【博】"),
        ("strokes", "网丶络丨赌丶博"),
        ("emoji", "网😀络👨‍👩‍👧赌❤️博"),
        ("line breaks", "网\n络\r\n赌\n\n博"),
        ("combining marks", "网\u0336络\u0336赌\u0336博\u0336"),
        ("radicals", "⺟\u200b女"),
        ("full width", "ｃａｓｈ ｏｕｔ"),
        ("case", "CaSh OuT"),
        ("homoglyphs", "саѕh оut"),  # Cyrillic а, с, ѕ, о
        ("capital homoglyphs", "САЅН ОUТ"),
        ("accents", "cásh öut"),
        ("mathematical letters", "𝗰𝗮𝘀𝗵 𝖔𝖚𝖙"),
        ("circled letters", "ⓒⓐⓢⓗ ⓞⓤⓣ"),
        ("dark letters", "🅒🅐🅢🅗 🅾🆄🆃"),
        ("figures for letters", "c45h 0ut"),
        ("spelled out", "c a s h o u t"),
        ("mixed", "網 * 络\u200b 賭·博"),
    ],
)
def test_a_disguised_word_is_masked_to_the_last_character(disguise, text):
    left = masked(f"说{text}了", words=(*WORDS, "母女"))
    assert MARK in left
    assert left[0] + left[-1] == "说了"
    assert not [char for char in left[1:-1] if unicodedata.category(char)[0] in "LN"]


@pytest.mark.parametrize(
    "text",
    [
        "赌气，博学",
        "crabababy",
        "cashout1",
        "we'll say ab'ab",
        "cash and out",
        "OKa片",
        "（四）三",
        "数；\n\n（四）",
        "六4三",
    ],
)
def test_what_only_looks_like_a_word_stays(text):
    left, guarded = whole(guard(words_rule(words=(*WORDS, "数四", "四三", "well"))), text)
    assert left == text
    assert guarded.hits == []


def test_a_listed_figure_is_only_that_figure():
    left = masked("EP 和 3P 和 ３ｐ", words=("3p",))
    assert left == f"EP 和 {MARK * 2} 和 {MARK * 2}"


def test_far_apart_characters_are_no_word():
    assert masked("赌" + " " * 64 + "博") == MARK * 66
    assert masked("赌" + " " * 65 + "博") == "赌" + " " * 65 + "博"


def test_traditional_characters_fold_to_what_the_official_table_says():
    for traditional, simplified in (("賭", "赌"), ("裏", "里"), ("裡", "里"), ("後", "后"), ("龍", "龙")):
        assert view(traditional) == simplified


def test_folding_is_character_by_character():
    for code in (*range(0x2FA20), *range(0xE0000, 0xE01F0)):
        if not 0xD800 <= code < 0xE000:
            folded = FOLDS[code]
            assert view(folded) == folded, hex(code)


ALPHABET = st.text(alphabet="赌博网络石賭ab cash outＡ\u200b*.，\n'六四3片" + MARK, max_size=40)


@settings(max_examples=300, deadline=None)
@given(ALPHABET, st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_the_same_leaves_however_the_text_is_cut_and_no_word_does(text, sizes):
    rules = guard(words_rule(), Rule("swap", "words", "replace", text="网络", words=("石头", "outa")), label="AI生成")
    left, once = whole(rules, text)
    pieces, again = streamed(rules, cut(text, sizes))
    assert "".join(pieces) == left
    assert again.hits == once.hits and again.finish_reason == once.finish_reason
    # a mark of ours is no noise, so what is beside it is not joined
    for part in left.split(MARK):
        assert whole(guard(words_rule("log")), part)[1].hits == [], part


@settings(max_examples=200, deadline=None)
@given(ALPHABET, st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_a_refused_answer_ends_before_the_word(text, sizes):
    rules = guard(words_rule("refuse"))
    left, once = whole(rules, text)
    pieces, again = streamed(rules, cut(text, sizes))
    assert "".join(pieces) == left
    if once.refused:
        assert once.finish_reason == "content_filter" and once.refusal == REFUSAL
        before = left.removesuffix(REFUSAL)
        assert before.removesuffix("\n\n") == text[: len(before.removesuffix("\n\n"))]
        assert whole(rules, before)[1].refused is False
        assert again.feed("赌博") == again.end() == ""
    else:
        assert left == text and once.finish_reason is None


def test_a_long_text_is_guarded_like_its_pieces():
    chance = random.Random(3)
    text = "".join(chance.choice(("网络", "赌", "博", "好的", "。", " ", "ab", "x", "\u200b")) for _ in range(9000))
    rules = guard(words_rule())
    assert "".join(streamed(rules, cut(text, [3, 1, 2]))[0]) == whole(rules, text)[0]
    quiet = "这里没有什么要紧的话。" * 900
    for place in (2040, 2045, 2047, 2048, 4095, 6000):
        hidden = quiet[:place] + "网络赌博" + quiet[place:]
        assert whole(rules, hidden)[0] == quiet[:place] + MARK * 4 + quiet[place:]


def test_text_is_held_back_only_as_long_as_a_word_may_come():
    pieces, _ = streamed(guard(words_rule(words=("网络赌博",))), "我网上网络很好")
    assert pieces == ["我", "", "网上", "", "", "网络很", "好", ""]


def test_held_back_characters_are_bounded():
    guarded = guard(words_rule(words=("一二三四",))).open_output()
    behind, came, left = [], 0, 0
    for char in ("一" + "*" * 200 + "二三" + " " * 30) * 3:
        came, left = came + 1, left + len(guarded.feed(char))
        behind.append(came - left)
    assert max(behind) <= 3 + 3 * 64


PATTERNS = (
    r"\bsk-[a-z0-9]{6,}\b",
    r"ab+c|b",
    r"(?i)token\s*[:=]\s*\w+",
    r"x(?!yz)\w",
    r"(?<=a )b\b",
    r"[零一二三]+\$",
    r"a.*?c$",
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["sk-", "ab", "bc", "token", ":", " ", "a ", "x", "yz", "零一$", "c", "9z9z9z", "\n"])),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.sampled_from(PATTERNS),
)
def test_patterns_are_found_however_the_text_is_cut(parts, sizes, pattern):
    text = "".join(parts)
    rules = guard(Rule("pattern", "pattern", "mask", patterns=(pattern,)))
    left, _ = whole(rules, text)
    assert "".join(streamed(rules, cut(text, sizes))[0]) == left
    assert left == regex.sub(pattern, lambda match: MARK * len(match[0]), text)


@pytest.mark.parametrize(
    ("pattern", "text", "left"),
    [
        ("ac$", "ac\nb", "ac\nb"),
        ("ac$", "bac\n", f"b{MARK * 2}\n"),
        ("a(?!bc)", "abc", "abc"),
        ("a(?!bc)", "abd", f"{MARK}bd"),
    ],
)
def test_what_follows_decides_however_late_it_comes(pattern, text, left):
    rules = guard(Rule("pattern", "pattern", "mask", patterns=(pattern,)))
    assert "".join(streamed(rules, text)[0]) == left


def test_a_word_around_a_masked_word_is_masked_too():
    assert masked("赌赌博博") == MARK * 4


ATOMS = [
    "a",
    "b",
    " ",
    "[ab]",
    "[^a]",
    ".",
    r"\b",
    r"\B",
    r"\w",
    "(?=a)",
    "(?!ab)",
    "(?<!b)",
    "(?<=a)",
    "$",
    "^",
    r"\M",
]
EXPRESSIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})")
        | inner.map(lambda one: f"(?>{one})")
        | st.tuples(inner, st.sampled_from(["*", "*?", "+", "?", "++", "{1,2}?"])).map(
            lambda two: f"(?:{two[0]}){two[1]}"
        )
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(st.tuples(st.sampled_from(["", "(?m)"]), EXPRESSIONS).map("".join), st.text("ab\n", min_size=2, max_size=6))
def test_no_expression_matches_where_its_beginning_was_given_up(expression, text):
    if pattern_fault(expression)[0]:
        return
    pattern = Pattern(expression)
    end = pattern.end_of_match(text, 0)
    for size in range(1, len(text)):
        start = text[:size]
        if pattern.loose.match(start, partial=True) is None:
            assert end == 0
        elif pattern.is_settled(start, 0):
            assert pattern.end_of_match(start, 0) == end


def test_a_pattern_that_runs_away_refuses_in_time(caplog):
    rules = guard(Rule("slow", "pattern", "mask", patterns=(r"(?:a|aa)+(?:b|c)x",)))
    begin = time.perf_counter()
    left, guarded = whole(rules, "好" + "a" * 5000)
    assert time.perf_counter() - begin < 20  # without a limit it takes years
    assert guarded.refused and left.endswith(REFUSAL) and "a" not in left
    assert "slow" in caplog.text
    assert rules.check_input([("user", "a" * 5000)]).refused == REFUSAL


@pytest.mark.parametrize("odd", [r"ab{e<=1}", r"(?r)ab", r"a\Kb", r"\X", "a*", "(", "(?P<a>x)(?1)", r"\L<words>"])
def test_patterns_that_cannot_be_judged_in_a_stream_are_refused(odd):
    assert pattern_fault(odd)[0]


SENTENCES = [
    "交了13812345678元，张三的电话是13812345678，邮箱 li.si@example.com。",
    "身份证号 11010519491231002X，车牌京A F12345",
    "微信：abc_def99 或者 wx: hello-world1",
    "卡号 6222 0212 3456 7890 128，金额13812345678元",
    "MAC aa:bb:cc:dd:ee:ff ip 192.168.1.20 护照 E12345678",
    "一三八一二三四五六七八 call me at john (at) mail (dot) com",
    "统一社会信用代码 91110108MA01ABCD1X，（2023）京0108民初12345号",
    "发到 li.si#example.com 或 zhang88 at example dot com，电话138/1234/5678",
    "号码1️⃣3️⃣8️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣8️⃣，加薇 law_1990，Q：123456789，临牌沪A1234临",
]


@pytest.mark.parametrize("types", [DEFAULT_TYPES, PII_TYPES, tuple(set(PII_TYPES) - BY_SENTENCE)])
def test_personal_data_are_those_that_the_desensitiser_finds(types):
    chance = random.Random(1)
    for _ in range(60):
        text = "，".join(chance.sample(SENTENCES, 2)) + chance.choice("。\n")
        wanted = {(s.start, s.end, s.type) for s in find_pii(text, types)}
        scanner, found = PersonalScanner(frozenset(types), 0), []
        for size in (*sorted(chance.sample(range(1, len(text)), 20)), len(text)):
            found += scanner.scan(text[:size], 0, size == len(text))[0]
        if set(types) & BY_SENTENCE:  # these see one sentence at a time
            assert {s for s in wanted if s[2] not in BY_SENTENCE} <= {(s.start, s.end, s.type) for s in found}
        else:
            assert {(s.start, s.end, s.type) for s in found} == wanted


def test_personal_data_never_leave_a_stream():
    rules = guard(Rule("personal", "pii", "mask", types=frozenset(DEFAULT_TYPES)))
    for size in (1, 2, 50):
        pieces, guarded = streamed(rules, cut("请打１３８-1234-5678 找我，谢谢您的理解与支持，再会。" * 250, [size]))
        left = "".join(pieces)
        assert left == "请打[电话] 找我，谢谢您的理解与支持，再会。" * 250
        assert guarded.hits[0].count == 250 and guarded.finish_reason == "content_filter"
