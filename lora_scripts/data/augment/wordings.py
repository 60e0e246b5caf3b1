"""Other ways to ask the same thing, by rules: opening, closing, word order, tone, typing habits.

A rule only adds words around a question, moves its last clause to the front, or swaps one function word for
another of the same sense. Titles, quotations and masked places are never touched.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

Swap = tuple[re.Pattern[str], tuple[str, ...]]

_HAN = re.compile("[\u3400-\u9fff]")
_OTHER_SCRIPT = re.compile("[\u0370-\u1fff\u3040-\u30ff\uac00-\ud7af]")
_ENGLISH = re.compile(
    r"\b(?:how|what|when|where|why|who|which|are|does|can|could|should|will|would|the|that|my|have|has|please|your?"
    r"|i'm|don't|i (?:am|was|need|want|got|do|did))\b",
    re.IGNORECASE,
)
_UNTOUCHED = re.compile(r"《[^》]*》|“[^”]*”|\"[^\"]*\"|「[^」]*」|【[^】]*】|\[[^\]]*\]|`[^`]*`|\S+://\S+|\S+@\S+")
_ASKS_ZH = re.compile(
    r"[？?]|[吗呢][。！!]?$|什么|怎么|怎样|如何|为何|何时|多少|多久|多长|几[天个年月次条]|哪|谁|是否|能否|可否|有无|(.)[不没]\1"
)
_ASKS_EN = re.compile(
    r"\?|^(?:how|what|when|where|why|who|which|is|are|does|do|did|can|could|will|would|should)\b", re.I
)


class _Tone(NamedTuple):
    """What goes together: openings of a question, openings of anything else, closings, ways of typing."""

    asking: tuple[str, ...]
    telling: tuple[str, ...]
    closings: tuple[str, ...]
    typing: tuple[Callable[[str], str], ...]


def _as_is(words: str) -> str:
    return words


def _unended(words: str) -> str:
    return re.sub(r"[。？?.]$", "", words)


def _half_width(words: str) -> str:
    """Half-width marks between Chinese characters, as typed with an English keyboard."""
    return _outside(
        words, lambda part: re.sub("(?<=[\u3400-\u9fff])[，？！](?![^\u3400-\u9fff])", lambda m: _HALF[m[0]], part)
    )


def _spaced(words: str) -> str:
    """Spaces for commas, as typed in a hurry."""
    return _unended(_outside(words, lambda part: re.sub("(?<=[\u3400-\u9fff])，(?=[\u3400-\u9fff])", " ", part)))


def _doubled(words: str) -> str:
    return re.sub("？$", "？？", words)


_HALF = {"，": ",", "？": "?", "！": "!"}
_TONES_ZH = (
    _Tone(
        ("您好，请问", "您好，想咨询一下：", "请问，", "想请教一下：", "打扰了，想请教："),
        ("您好，", "打扰了，"),
        ("", "", "谢谢！", "麻烦您解答，谢谢。"),
        (_as_is,),
    ),
    _Tone(
        ("", "请问，", "我想问一下，", "想咨询一下，", "麻烦问一下，", "请问一下，"),
        ("", "你好，"),
        ("", "", "谢谢。"),
        (_as_is, _as_is, _half_width),
    ),
    _Tone(
        ("", "你好，", "问一下，", "帮忙看看，", "想问问，", "大家好，问一下："),
        ("", "你好，"),
        ("", "", "求解答", "在线等"),
        (_as_is, _unended, _half_width, _spaced, _doubled),
    ),
)
_TO_SOMEONE_ZH = (("{}您好，请问", "{}您好，想咨询一下："), ("请问{}，", "{}您好，"), ("{}，", "{}你好，问一下，"))
_TONES_EN = (
    _Tone(
        ("Good day. ", "Hello, I would like to ask: ", "Excuse me, ", "I have a question: "),
        ("Good day. ", "Hello, "),
        ("", "", " Thank you.", " Thank you in advance."),
        (_as_is,),
    ),
    _Tone(("", "Hello, ", "Hello! ", "One question: "), ("", "Hello, ", "Hi, "), ("", "", " Thanks."), (_as_is,)),
    _Tone(
        ("", "Hi, ", "Hey, ", "Quick question: ", "Hi there, "),
        ("", "Hi, ", "Hey, "),
        ("", "", " Thanks!", " Any help?"),
        (_as_is, _as_is, _unended),
    ),
)
_TO_SOMEONE_EN = (("Dear {}, ", "Good day, {}. "), ("Hello {}, ",), ("Hi {}, ",))
_OPENED_ZH = re.compile(
    r"^(?:(?:您好|你好|大家好|打扰一下|打扰了|不好意思)[，,！!。：:\s]+|请问一?下?[，,：:\s]*"
    r"|(?:麻烦|我?想)(?:咨询|请教|问)一下[，,：:\s]*)+"
)
_OPENED_EN = re.compile(
    r"^(?:(?:hi|hello|hey)(?: there)?[,.! ]+|excuse me[,. ]+|good (?:day|morning|afternoon|evening)[,.! ]+)+", re.I
)

_DOING = "算|计算|处理|申请|办理|认定|规定|赔偿|维权|主张|证明|解决|确定|支付|收费|领取|缴纳|选择|区分|理解|预防|治疗"
_REST = "([^，。；：！？,;:!?的能会]{2,20})吗(?=[？?]?$)"
_SWAPS_ZH: tuple[Swap, ...] = tuple(
    (re.compile(pattern), forms)
    for pattern, forms in (
        (r"(?:应该|该|要)?怎么办(?=[呢啊呀]?[？?]?$)", ("该怎么办", "应该怎么处理", "要怎么处理")),
        (rf"怎么(?={_DOING})", ("如何", "怎样")),
        (rf"如何(?={_DOING})", ("怎么", "怎样")),
        ("为什么", ("为何",)),
        ("为何", ("为什么",)),
        ("(?<![没不])多久", ("多长时间",)),
        ("多长时间", ("多久",)),
        ("什么时候", ("何时",)),
        ("何时", ("什么时候",)),
        ("能不能|可不可以", ("能否", "是否可以")),
        ("能否|可否", ("能不能", "可不可以")),
        ("是不是", ("是否",)),
        # one modal verb with nothing before it that would change what is asked ("只能…吗", "可能", "社会")
        (rf"(?<![不没未才只就都也还可功性智职技万机效潜本])能(?![力源量够耗否不]){_REST}", (r"能不能\1", r"能否\1")),
        (rf"(?<![不就也都还才只定])可以{_REST}", (r"可不可以\1", r"能不能\1")),
        (rf"(?<![不就也都还才只社协机工开体学委事东员议宴晚大分商年])会(?![计议员馆]){_REST}", (r"会不会\1",)),
        ("(?<![不违非])合法吗(?=[？?]?$)", ("合不合法", "合法么")),
        ("(?<=[，,])对吗(?=[？?]?$)", ("对不对",)),
        ("吗(?=[？?]?$)", ("么",)),
    )
)
_SWAPS_EN: tuple[Swap, ...] = tuple(
    (re.compile(pattern), forms)
    for pattern, forms in (
        (r"\bHow do I\b", ("How can I", "What is the way to")),
        (r"\bHow can I\b", ("How do I",)),
        (r"(?:^|(?<=[.?!] ))Can I\b", ("May I", "Am I able to")),
        (r"\bDo I need to\b", ("Do I have to", "Am I required to")),
        (r"\bDo I have to\b", ("Do I need to",)),
        (r"\bWhat is(?= \w)", ("What's",)),
        (r"\bWhat's\b", ("What is",)),
        (r"\bI am(?= \w)", ("I'm",)),
        (r"\bI'm\b", ("I am",)),
        (r"\bcannot\b", ("can't",)),
        (r"(?<=[a-z] )can't\b", ("cannot",)),
        (r"(?<=\bI )do not\b", ("don't",)),
        (r"(?<=\bI )don't\b", ("do not",)),
        (r"^Please (?!do\b|don't|not\b|never\b)(\w[^.?!]*)[.!]?$", (r"Could you please \1?", r"Can you \1?")),
    )
)
_CONNECTED_ZH = re.compile(
    r"^(?:那|就|却|还|也|但|而|所以|因此|再|又|才|都|只|并|然后|后来|这|该|其|他|她|它|对|是|好|行|可以|如此|反而|结果|于是)"
    r"|^.{0,2}$"
)
_CONDITION_ZH = re.compile("如果|假如|要是|若|既然|因为|由于|虽然|尽管|即使|除非|只有|只要|不管|无论")
_POINTING_EN = re.compile(
    r"^(?:and|but|so|then|or)\b|\b(?:that|this|it|it's|they|them|those|these|he|she|him|her|one)\b", re.IGNORECASE
)
_LOWERED_WORDS = """
how what when where who why which is are am do does did can could may will would should has have my the there please
you your someone only some any it this that these those we our they their a an if after before since
"""
_LOWERED = frozenset(_LOWERED_WORDS.split())


def language_of(words: str) -> str:
    """``zh``, ``en``, or nothing where the rules have no words for the language."""
    if _OTHER_SCRIPT.search(words):
        return ""
    if _HAN.search(words):
        return "zh"
    return "en" if words.isascii() and _ENGLISH.search(words) else ""


def asks(words: str) -> bool:
    """Whether ``words`` have the form of a question."""
    return bool((_ASKS_ZH if _HAN.search(words) else _ASKS_EN).search(words))


def wordings(question: str, rng: random.Random, addressees: Sequence[str] = ()) -> Iterator[str]:
    """Other wordings of ``question`` without end, drawn by ``rng``; they repeat, and may equal ``question``.

    Args:
        question: Chinese or English (`language_of`).
        rng: The source of chance.
        addressees: Whom the asker may address: ``律师``, ``Doctor``.

    Raises:
        ValueError: Neither Chinese nor English.
    """
    language = language_of(question)
    if not language:
        raise ValueError("neither Chinese nor English")
    chinese = language == "zh"
    bare = (_OPENED_ZH if chinese else _OPENED_EN).sub("", question)
    core = bare if len(bare) > 2 else question
    cores = list(dict.fromkeys([core, *_reworded(core, chinese)]))
    tones, someone = (_TONES_ZH, _TO_SOMEONE_ZH) if chinese else (_TONES_EN, _TO_SOMEONE_EN)
    while True:
        index = rng.randrange(len(tones))
        tone = tones[index]
        chosen = rng.choice(cores)
        named = [form.format(who) for who in addressees for form in someone[index]]
        if not asks(chosen):
            named = [form for form in named if "问" not in form and "咨询" not in form]
        opening = rng.choice([*(tone.asking if asks(chosen) else tone.telling), *named])
        asked = _joined(opening, chosen, chinese)
        typed, closing = rng.choice(tone.typing)(asked), rng.choice(tone.closings)
        if closing and typed[-1].isalnum():
            typed += ("，" if chinese else ".") if asked[-1].isalnum() else asked[-1]
        yield typed + closing


def _joined(opening: str, core: str, chinese: bool) -> str:
    first = re.match(r"\w+", core)
    if not chinese and opening.endswith((", ", ": ")) and first and first[0].lower() in _LOWERED:
        core = core[0].lower() + core[1:]
    return opening + core


def _reworded(core: str, chinese: bool) -> Iterator[str]:
    """The core with its last clause first, with one swap, and with both."""
    moved = _moved_zh(core) if chinese else _moved_en(core)
    yield from [moved] if moved else []
    # a rhetorical question is not the same question in another form
    for pattern, forms in _SWAPS_ZH if chinese else _SWAPS_EN:
        found = pattern.search(core)
        if found is None or any(_overlap(found, u) for u in _UNTOUCHED.finditer(core)) or "难道" in core:
            continue
        for form in forms:
            swapped = core[: found.start()] + found.expand(form) + core[found.end() :]
            yield swapped
            if moved and (both := _moved_zh(swapped) if chinese else _moved_en(swapped)):
                yield both


def _overlap(one: re.Match[str], other: re.Match[str]) -> bool:
    return one.start() < other.end() and other.start() < one.end()


def _moved_zh(core: str) -> str:
    """``背景，问题？`` as ``问题？背景。``; nothing where the question leans on what stands before it."""
    found = re.fullmatch(r"([^。！？!?；;：:\n]{6,})[，,]([^，,。！？!?；;：:\n]{3,})[？?]?", core)
    if found is None:
        return ""
    context, ask = found.groups()
    whole = all(context.count(a) == context.count(b) for a, b in ("“”", "《》", "（）", "()", "【】", "[]"))
    if asks(context) or not asks(ask) or _CONNECTED_ZH.search(ask) or _CONDITION_ZH.search(core) or not whole:
        return ""
    return f"{ask}？{context}。"


def _moved_en(core: str) -> str:
    """``Statement. Question?`` as ``Question? Statement.``, where nothing in the question points back."""
    found = re.fullmatch(r"([^?\n\"]{8,}[.!]) ([A-Z][^.?!\n\"]+\?)", core)
    return f"{found[2]} {found[1]}" if found and not _POINTING_EN.search(found[2]) else ""


def _outside(words: str, change: Callable[[str], str]) -> str:
    """``words`` with ``change`` done to all that stands outside titles, quotations and masked places."""
    out, at = [], 0
    for found in _UNTOUCHED.finditer(words):
        out += [change(words[at : found.start()]), found[0]]
        at = found.end()
    return "".join([*out, change(words[at:])])
