"""Who speaks in a role-prefixed text, and in which role."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise

from lora_scripts.data.reading.labels import Mark, match_number
from lora_scripts.data.reading.names import (
    FIELDS,
    SALUTATIONS,
    STATUS_FIELDS,
    THIRD_NAMES,
    is_field_name,
    person_role,
    role_of,
)
from lora_scripts.data.reading.questions import ends_asking

_SURNAMES = (
    "王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万"
    "钱严覃武戴莫孔向汤"
)
_PERSON = re.compile(
    r"(?:护士|科|班|队|组|院|校|店|园|处|部|厂|站|行|所|局|会|团)长|[\u4e00-\u9fff]{2,3}(?:(?<!人)(?<!成)员|总监|主管|督导)"
    rf"|[{_SURNAMES}][\u4e00-\u9fff]?(?:总|工|经理|主管|主任|队长?|局长?|处长?|科长|院长|师傅|姐|哥|女士|先生|律师|医生|老师|助理|书记)"
)

_LONGEST_PERSON = 7  # characters of a Chinese nickname with a title
_FEWEST_ASKING = 3  # names of people who ask one speaker
_CLAUSE = re.compile(r"\s*第[\d一二三四五六七八九十百]{1,4}条(?:\s|：|:|$)")
_LEAST_CLAUSES = 0.15  # share of the lines that begin a clause, from which a text is a contract or a statute
_LEAST_SHARE = 0.02  # of the lines that an unknown pair has to open


def speaker_candidates(marks: Sequence[Mark], lines: Sequence[str], given: Mapping[str, str]) -> list[dict[str, str]]:
    """Plain name → role for the speakers of a text; several where they are equally good, empty where there are none.

    Roles are user, assistant, system, and ``other`` for people beside the two who speak.
    """
    if {"user", "assistant"} <= set(given.values()):
        found = [dict(given)]
    else:
        found = _speakers(marks, lines, given) or [_lone_speaker(marks, lines)]
    return [names | _third_speakers(marks, names, bool(given)) for names in found if names]


def _third_speakers(marks: Sequence[Mark], names: Mapping[str, str], given: bool) -> dict[str, str]:
    """Names of people who stand beside the speakers, as in ``主管：…``; not where such words are items of a list."""
    strange = {m.line for m in marks if m.name not in names and not is_third(m.name, given)}
    alone: Counter[str] = Counter()
    met: Counter[str] = Counter()
    for mark in marks:
        if mark.name not in names and is_third(mark.name, given):
            met[mark.name] += 1
            alone[mark.name] += not {mark.line - 1, mark.line + 1} & strange
    return {name: "other" for name, count in met.items() if alone[name] > count / 2}


def is_third(name: str, given: bool = False) -> bool:
    """Whether a name is one of people who comment; with ``given`` speakers, also one that is known to ask."""
    known = role_of(name) if len(name) > 1 and not is_field_name(name) else None
    return known == "assistant" or (given and known == "user") or name in THIRD_NAMES or bool(_PERSON.fullmatch(name))


def is_told_in_text(name: str) -> bool:
    """Whether it is told that a label was kept as text: it may have been a speaker, or a remark about the record."""
    return bool(role_of(name)) or is_third(name) or name in STATUS_FIELDS


def _lone_speaker(marks: Sequence[Mark], lines: Sequence[str]) -> dict[str, str]:
    """One unknown name in front of nearly every line: its answers may stand in the same lines."""
    counts = Counter(m.name for m in marks if m.name not in FIELDS).most_common(1)
    if counts and counts[0][1] >= max(3, 0.8 * sum(bool(line.strip()) for line in lines)):
        return {counts[0][0]: "user"}
    return {}


def _speakers(marks: Sequence[Mark], lines: Sequence[str], given: Mapping[str, str]) -> list[dict[str, str]]:
    names = dict(given) | {
        m.name: role for m in marks if m.name not in given and (role := role_of(m.name)) and role not in given.values()
    }
    two_letters = any(m.name == "b" for m in marks)
    if two_letters and "a" not in given and [n for n, r in names.items() if r != "system"] == ["a"]:
        del names["a"]  # "A: … B: …" with nobody who asks: two letters for two speakers
    if not {"user", "assistant"} & set(names.values()):
        counts = Counter(m.name for m in marks)
        usual = [n for n, c in counts.items() if c >= max(2, 0.2 * max(counts.values())) and n not in FIELDS]
        names |= {n: role for n in usual if (role := _role_by_title(n))}
    if not {"user", "assistant"} & set(names.values()):
        if sum(bool(_CLAUSE.match(line)) for line in lines) >= _LEAST_CLAUSES * sum(map(bool, lines)):
            return []  # the parties of a contract
        return _learned_pairs(marks, sum(map(bool, lines))) or _one_answers_many(marks, lines)
    # Gaps first: a speaker nobody knows leaves two questions in a row, and neither of them is a quotation.
    answering = _below_questions(marks, lines)
    sides = ("assistant",) if _asked_without_label(marks, names, lines) else ("user", "assistant")
    names = _fill_gaps(marks, _without_quotes(marks, _fill_gaps(marks, names, sides), answering), sides)
    return [names | _other_side(marks, names, sides)]


def _role_by_title(name: str) -> str | None:
    """The role that a short name tells by a word in it; a longer one may be a clause (客服建议就诊科室)."""
    return person_role(name) if name.isascii() or len(name) <= _LONGEST_PERSON else None


def _other_side(marks: Sequence[Mark], names: Mapping[str, str], fillable: Sequence[str]) -> dict[str, str]:
    """Where one side has no name: the unknown name that takes turns with the other side."""
    sides = {role for role in names.values() if role in ("user", "assistant")}
    if len(sides) != 1:
        return {}
    missing = "user" if sides == {"assistant"} else "assistant"
    if missing not in fillable:
        return {}
    titled = [m.name for m in marks if m.name not in names and _role_by_title(m.name) == missing]
    if len(titled) >= max(3, 0.5 * len(_in(marks, names))):  # 网友“小花”, 网友“小草”, …: each may come once
        return dict.fromkeys(titled, missing)
    unknown = Counter(m.name for m in marks if m.name not in names and m.name not in FIELDS).most_common(5)
    for name, count in unknown:
        spoken = [here for here, _ in groupby(m.name == name for m in marks if m.name == name or m.name in names)]
        if count >= 2 and min(sum(spoken), len(spoken) - sum(spoken)) >= max(2, 0.4 * len(_in(marks, names))):
            return {name: missing}
    return {}


def _asked_without_label(marks: Sequence[Mark], names: Mapping[str, str], lines: Sequence[str]) -> bool:
    """Whether a numbered question without a label stands above most answers."""
    labelled = {m.line for m in marks}
    answers = [m.line for m in marks if names.get(m.name) == "assistant"]
    above = [number - 1 for number in answers if number and number - 1 not in labelled]
    return len(above) >= 3 and sum(bool(match_number(lines[n])) for n in above) >= 0.6 * len(answers)


def _in(marks: Iterable[Mark], names: Mapping[str, str]) -> list[Mark]:
    return [m for m in marks if names.get(m.name) in ("user", "assistant")]


def _violations(marks: Iterable[Mark], names: Mapping[str, str]) -> int:
    spoken = [names[m.name] for m in _in(marks, names)]
    return sum(a == b for a, b in pairwise(spoken)) + (spoken[:1] == ["assistant"])


def _below_questions(marks: Sequence[Mark], lines: Sequence[str]) -> set[str]:
    """Known names of answers most of which stand right below a question without a label: they are no quotations."""
    labelled = {m.line for m in marks}
    met: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for mark in marks:
        if role_of(mark.name) == "assistant":
            above = mark.line - 1
            while above > 0 and not lines[above].strip():
                above -= 1
            met[mark.name] += 1
            below[mark.name] += above >= 0 and above not in labelled and ends_asking(lines[above])
    return {name for name, count in met.items() if below[name] >= 0.5 * count}


def _without_quotes(marks: Sequence[Mark], names: dict[str, str], answering: set[str]) -> dict[str, str]:
    """Take out known names that are only quoted: they break the alternation, or never open after a gap."""
    counts = Counter(m.name for m in _in(marks, names))
    opened = Counter(m.name for m in marks if m.blank or m.numbered)
    for name in sorted(counts, key=counts.__getitem__):
        if name not in names:  # went with the question that it answers
            continue
        role = names[name]
        opens = opened if role == "user" else Counter[str]()
        main = max((n for n in names if names[n] == role), key=lambda n: (opens[n], counts[n]))
        if name == main or name in answering:
            continue
        rest = {n: r for n, r in names.items() if n != name}
        saved = _violations(marks, names) - _violations(marks, rest)
        spoken = _in(marks, names)
        after = Counter(names[a.name] for a, b in pairwise(spoken) if b.name == name)
        if role == "user" and not opened[name] and opened[main] >= max(3, 0.9 * counts[main]):
            # What answers a quoted question is quoted too.
            replies = Counter(b.name for a, b in pairwise(spoken) if a.name == name)
            kept = {n: r for n, r in rest.items() if r == "user" or replies[n] < 0.8 * counts[n]}
            names = kept if "assistant" in kept.values() else rest
        elif saved >= 0.8 * counts[name] and (counts[name] <= counts[main] / 2 or after[role] >= 0.8 * counts[name]):
            names = rest
    return names


def _fill_gaps(marks: Sequence[Mark], names: dict[str, str], fillable: Sequence[str]) -> dict[str, str]:
    """Add unknown names that stand where a turn of a ``fillable`` role is missing, and nearly only there."""
    unknown = Counter(m.name for m in marks if m.name not in names and m.name not in FIELDS and not role_of(m.name))
    while unknown:
        filled: Counter[tuple[str, str]] = Counter()
        previous, between = "assistant", list[str]()
        for mark in [*marks, None]:
            role = names.get(mark.name) if mark else "user"
            if role not in ("user", "assistant"):
                if mark and mark.name in unknown:
                    between.append(mark.name)
                continue
            if role == previous and between:
                once = [n for n in dict.fromkeys(between) if between.count(n) == 1]
                # An answer follows its question at once; a question is the last to open before its answer.
                pick = once[:1] if role == "user" else once[-1:]
                filled.update((n, "assistant" if role == "user" else "user") for n in pick)
            previous, between = role, []
        if not filled:
            break
        (name, role), count = filled.most_common(1)[0]
        if role not in fillable:
            break
        if count < 2 or count < 0.6 * unknown[name]:
            break
        names = {**names, name: role}
        del unknown[name]
    return names


def _learned_pairs(marks: Sequence[Mark], line_count: int) -> list[dict[str, str]]:
    """Two unknown names that alternate through the file, the first to speak asking; several where they are as good."""
    likely = [n for n, c in Counter(m.name for m in marks if m.name not in FIELDS).most_common(8) if c >= 2]
    greeting = Counter(m.name for m in marks if m.name in SALUTATIONS).most_common(1)
    if len(likely) == 1 and greeting and greeting[0][1] >= max(3, 0.8 * sum(m.name == likely[0] for m in marks)):
        likely.append(greeting[0][0])
    best: list[tuple[int, str, str]] = []
    for first in likely:
        for second in likely:
            spoken = [name for name, _ in groupby(m.name for m in marks if m.name in (first, second))]
            turns = sum(pair == (first, second) for pair in pairwise(spoken))
            if (
                first != second
                and spoken[0] == first
                and turns >= max(0.8 * max(2, len(spoken) // 2), _LEAST_SHARE * line_count)
            ):
                best.append((turns, first, second))
    best.sort(key=lambda b: -b[0])
    return [{first: "user", second: "assistant"} for n, first, second in best if n >= 0.8 * best[0][0]]


def _one_answers_many(marks: Sequence[Mark], lines: Sequence[str]) -> list[dict[str, str]]:
    """One unknown name that takes turns with many others, who ask: a spokesman and reporters."""
    counts = Counter(m.name for m in marks if m.name not in FIELDS)
    if len(counts) <= _FEWEST_ASKING:
        return []
    answering = counts.most_common(1)[0][0]
    spoken = [m for m in marks if m.name in counts]
    turns = [m.name == answering for m in spoken]
    changes = sum(a != b for a, b in pairwise(turns))
    asking = [ends_asking(lines[m.line]) for m in spoken if m.name != answering]
    if turns[0] or changes < 0.9 * (len(turns) - 1) or sum(asking) < 0.6 * len(asking):
        return []
    return [dict.fromkeys(counts, "user") | {answering: "assistant"}]


def unmarked_speakers(text: str) -> tuple[str, str] | None:
    """Names of speakers that stand in front of most lines without a colon (``用户公司没签…``), for an error's guess."""
    begins: list[tuple[str, str]] = []
    lines = 0
    for line in text.split("\n"):
        head = line.strip()[:12].casefold()
        lines += bool(head)
        name = next((head[:n] for n in range(min(6, len(head)), 1, -1) if role_of(head[:n])), "")
        if name:
            begins.append((role_of(name) or "", name))
    turns = sum(a[0] == "user" and b[0] == "assistant" for a, b in pairwise(begins))
    if turns < 2 or len(begins) < 0.3 * lines or turns < 0.3 * len(begins):
        return None
    named = {role: Counter(n for r, n in begins if r == role).most_common(1)[0][0] for role in ("user", "assistant")}
    return named["user"], named["assistant"]
