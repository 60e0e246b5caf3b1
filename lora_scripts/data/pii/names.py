"""Detector for Chinese personal names, by the words around them: best effort, on request.

A name is a surname and one or two characters of given name. Where it ends, the next word decides (jieba's
dictionary); that it is one at all, a label in front (我叫, 被告, 收件人), a title behind (先生, 律师), a field
behind (，男，), an anonymised form (王某某), or the same name elsewhere in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lora_scripts.data.pii.foreign_names import find_foreign_names
from lora_scripts.data.pii.name_score import has_boundary, is_word, name_score, word_tags
from lora_scripts.data.pii.name_words import (
    ACTS,
    COMMON,
    COMPOUND,
    FIELDS,
    LABELS,
    NEXT_WORD,
    NOT_GIVEN,
    ORDINARY,
    SPEAKERS,
    SPEECH,
    SURNAMES,
    TITLES,
    WEAK,
    WORDY,
)
from lora_scripts.data.pii.plain import Found

# What says that a name follows: a field of a form, a word for a person, a verb or the opening of a sentence.
_FIELD, _PERSON, _VERB = "field", "person", "verb"
_LEAST_SCORE = {_FIELD: -1.5, _PERSON: 1.5, _VERB: 3.0}
_SPEAKER_SCORE = 2.5  # "用户：" may be followed by what the user says
_WORD_AS_NAME_SCORE = 3.5  # 高峰 and 白雪 are words, and names in a field of a form

_FIRST = "".join(sorted(SURNAMES | {name[0] for name in COMPOUND}))
_HAN = "[一-鿿]"
_LABELLED = re.compile(
    rf"(?:{LABELS})(?P<link>(?:\([^()]{{1,8}}\))?(?:的?名字|姓名|本人)?(?:叫做|叫作|名叫|叫|系|是|为"
    rf"|即)?(?:[ :\"“'「()·\-]{{0,3}}|\n{{1,2}}))(?=[{_FIRST}])",
    re.IGNORECASE,
)
_SPEAKER = re.compile(rf"(?:{SPEAKERS})")
_AFTER_WEAK = re.compile(rf"(?:{WEAK})(?:了|过)?(?=[{_FIRST}])")
_OPENING = re.compile(
    rf"(?:^|(?<=[\s,。;:!?、(]))(?:我|我们)?(?:和|与|跟|同|向|给|被|找|把|对|让|叫)?(?=[{COMMON}]{_HAN})"
)
_PERSON_ACTS = re.compile(ACTS)
_TITLED = re.compile(rf"(?<={_HAN}{_HAN})(?:{TITLES})")
_WITH_FIELD = re.compile(
    rf"(?:^|(?<=[\s,。;:、(“\"\])|/>!?]))(?P<name>[{_FIRST}]{_HAN}{{1,3}})(?=[ ,(|\t/:、]{{1,2}}(?:{FIELDS}))"
)
_BEHIND_NUMBER = re.compile(rf"[0-9]{{4}}[ ,(:、]{{1,2}}(?P<name>[{_FIRST}]{_HAN}{{1,3}})(?=[),。;、\s]|$)")
_ANONYMISED = re.compile(
    rf"(?P<name>(?:{'|'.join(COMPOUND)}|[{_FIRST}])(?:某(?:[某甲乙丙丁戊己庚辛]|[0-9](?![0-9年月日]))?|[XxＸ*＊○]{{2}}(?![A-Za-z0-9*])))"
)
_NOT_ANONYMISED = re.compile(
    r"公司|日|年|月|市|个|些|种|地|时|处|县|区|省|医|科|项|一|方|人力|机|物业|快递|银行|集团|小区|厂"
)
_FIRM = re.compile("科技|股份|集团|公司|有限|投资")
_CHAIN = re.compile(rf"(?:、|和|与|及|以及|以及其|跟)(?=[{_FIRST}])")
_ORGANISATION = re.compile(
    rf"{_HAN}{{0,6}}?(?:公司|科技|股份|投资|集团|工厂|医院|银行|大学|学校|学院|中学|小学|中心|事务所|委员会|法院|分局|派出所"
    rf"|超市|酒店)"
)


def find_names(text: str) -> Iterator[Found]:
    """Names in plain text."""
    found: dict[int, int] = {}
    for match in _ANONYMISED.finditer(text):
        name = match["name"]
        if name[0] == "第" or (name[0] in WORDY and "某" not in name):  # 第XX条, 中华人民共和国××
            continue
        if "*" in name and text.count("**", text.rfind("\n", 0, match.start()) + 1, match.start()) % 2:
            continue  # the end of bold words in Markdown
        if name[0] in WORDY and is_word(text[max(0, match.start() - 1) : match.start() + 1], 100):
            continue
        if name[0] in WORDY and _NOT_ANONYMISED.match(text, match.end()):
            continue
        found[match.start()] = match.end()
    for match in _LABELLED.finditer(text):
        _take_labelled(text, match, found)
    for match in _AFTER_WEAK.finditer(text):
        _take(text, match.end(), found, _VERB)
    for match in _OPENING.finditer(text):
        if match.end() not in found:
            _take_confirmed(text, match.end(), found)
    for pattern in (_WITH_FIELD, _BEHIND_NUMBER):
        for match in pattern.finditer(text):
            name = match["name"]
            if _length_fits(name) and _is_given(name) and _is_plausible(text, *match.span("name"), _PERSON):
                found[match.start("name")] = match.end("name")
    for match in _TITLED.finditer(text):
        start = _before_title(text, match.start())
        if start is not None:
            found.setdefault(start, match.start())
    for end in list(found.values()):
        chain = _CHAIN.match(text, end)
        while chain and chain.end() not in found and _take(text, chain.end(), found, _PERSON):
            chain = _CHAIN.match(text, found[chain.end()])
    yield from _everywhere(text, found)
    yield from find_foreign_names(text)


def _everywhere(text: str, found: dict[int, int]) -> Iterator[Found]:
    """What was found, and the same full names where nothing stands around them."""
    for start, end in found.items():
        yield start, end, "name", 40
    full = {text[a:b] for a, b in found.items()}
    sure = {n for n in full if n[0] not in WORDY and not any(is_word(n[i : i + 2]) for i in range(len(n) - 1))}
    if sure:
        names = sorted(sure, key=len, reverse=True)[:200]
        for match in re.finditer("|".join(map(re.escape, names)), text):
            if match.start() not in found and not _FIRM.match(text, match.end()):
                yield match.start(), match.end(), "name", 38


def _is_given(name: str) -> bool:
    if name[0] in WORDY and (len(name) < 3 or is_word(name[1:])):
        return False
    return not any(char in NOT_GIVEN for char in name[1:])


def _length_fits(name: str) -> bool:
    return len(name) in (2, 3) or (len(name) == 4 and name[:2] in COMPOUND)


def _take(text: str, start: int, found: dict[int, int], evidence: str) -> bool:
    """Enter the name that begins at ``start``, if one does."""
    end = _end_of_name(text, start, evidence == _FIELD)
    if end is None or not _is_plausible(text, start, end, evidence):
        return False
    found.setdefault(start, end)
    return True


def _take_labelled(text: str, match: re.Match[str], found: dict[int, int]) -> None:
    link = match["link"]
    label = match[0][: len(match[0]) - len(link)]
    if ":" in link and _SPEAKER.fullmatch(label):
        end = _end_of_name(text, match.end(), True)
        ends = end is not None and not _is_han(text[end : end + 1])
        if end is not None and ends and name_score(text[match.end() : end]) >= _SPEAKER_SCORE:
            _take(text, match.end(), found, _PERSON)
        return
    plain_to_see = bool(re.search(r"[:叫]", link) or re.match("我叫|我姓|名叫|叫|.叫|落款|敬礼", match[0]))
    _take(text, match.end(), found, _FIELD if plain_to_see else _PERSON)


def _is_plausible(text: str, start: int, end: int, evidence: str) -> bool:
    """Whether the characters look like a name for what stands in front of them."""
    name, score = text[start:end], name_score(text[start:end])
    ends_clearly = not _is_han(text[end : end + 1])
    if is_word(name) or name in ORDINARY:
        return evidence == _FIELD and ends_clearly and score >= _WORD_AS_NAME_SCORE and name not in ORDINARY
    if score < (_LEAST_SCORE[evidence] if ends_clearly else max(1.0, _LEAST_SCORE[evidence])):
        return False
    return ends_clearly or has_boundary(text, start, end)


def _take_confirmed(text: str, start: int, found: dict[int, int]) -> None:
    """Enter the name that begins at ``start`` if jieba, too, takes it for one: nothing in front says that it is."""
    import jieba.posseg

    end = _end_of_name(text, start, False)
    if end is None or not _PERSON_ACTS.match(text, end) or any(is_word(text[i : i + 2]) for i in range(start, end - 1)):
        return
    clause = re.match(rf"{_HAN}+", text[start : start + 10])
    first = jieba.posseg.lcut(clause[0])[0] if clause else None
    confirmed = first is not None and first.flag == "nr" and first.word == text[start:end]
    if confirmed and _is_plausible(text, start, end, _VERB):
        found.setdefault(start, end)


def _end_of_name(text: str, start: int, plain_to_see: bool) -> int | None:
    compound = text[start : start + 2] in COMPOUND
    if not compound and text[start] not in SURNAMES:
        return None
    given = start + (2 if compound else 1)
    one, two, three = (text[i : i + 1] for i in range(given, given + 3))
    if not _is_han(one) or one in NOT_GIVEN:
        return None
    if re.match(TITLES, text[given : given + 3]) or one == "某":
        return None
    short, long = text[start : given + 1], text[start : given + 2]
    if not _is_han(two):
        end = given + 1
    else:
        end = given + (2 if _goes_on(text, one, two, three, given) else 1)
    rest = text[end : end + 1]
    ends_clearly = not _is_han(rest) or rest in NEXT_WORD
    wordy = not compound and text[start] in WORDY
    if plain_to_see and ends_clearly and not (wordy and is_word(one + two, 100)):
        return end
    if is_word(text[start:end]) or (is_word(long) and len(long) == given + 2 - start and _is_han(two)):
        return None
    everyday = is_word(short, 300) and word_tags().get(short) not in ("ns", "nt", "nz")
    if is_word(short) and (wordy or everyday or not (end == given + 2 and ends_clearly)):
        return None
    if wordy and ((end < given + 2 and text[start] not in "于方安常严康") or one in NEXT_WORD or not ends_clearly):
        return None
    if wordy and _is_han(two) and is_word(one + two):
        return None
    if start and _is_han(two) and is_word(text[start - 1 : start + 1], 100) and is_word(one + two, 100):
        return None
    if _ORGANISATION.match(text, end) and not re.match("[在与和的于诉向因是到从去对被将把给上读考进任,]", rest):
        return None
    return end


def _goes_on(text: str, one: str, two: str, three: str, given: int) -> bool:
    """Whether ``two`` is the second character of the given name."""
    if not _is_han(three):
        return two not in SPEECH
    if re.match(TITLES, text[given + 1 : given + 4]):
        return False
    if re.match(TITLES, text[given + 2 : given + 5]):
        return True
    if two in NEXT_WORD:
        return False
    if one + two in word_tags():
        return True
    next_is_word = is_word(two + three) or is_word(text[given + 1 : given + 4])
    rest = text[given + 2 : given + 4]
    rest_is_word = len(rest) == 2 and is_word(rest)
    return not next_is_word or rest_is_word


def _before_title(text: str, end: int) -> int | None:
    """Where the name in front of a title begins."""
    if end >= 4 and text[end - 4 : end - 2] in COMPOUND:
        return end - 4
    if end >= 3 and text[end - 3 : end - 1] in COMPOUND:
        return end - 3
    for length in (3, 2):
        start = end - length
        alone = start <= 0 or not _is_han(text[start - 1])
        if start < 0 or text[start] not in SURNAMES or (text[start] in WORDY and not alone):
            continue
        given = text[start + 1 : end]
        if any(not _is_han(char) or char in NOT_GIVEN for char in given) or is_word(text[start:end]):
            continue
        if not alone and is_word(text[start - 1 : start + 1], 50):
            continue
        if length == 3 and (
            is_word(text[start : start + 2], 100 if alone else 5) or (text[start] in WORDY and is_word(given))
        ):
            continue
        if name_score(text[start:end]) < _LEAST_SCORE[_PERSON]:
            continue
        return start
    return None


def _is_han(char: str) -> bool:
    return "一" <= char <= "鿿"
