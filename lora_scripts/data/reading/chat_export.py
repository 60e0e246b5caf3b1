"""Chats exported as text: a time and a nickname in front of each message (WeChat, QQ, WhatsApp).

Times and nicknames are metadata. Messages of one speaker in a row are one turn; long pauses part conversations.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median_low

from lora_scripts.data.clean import scrub
from lora_scripts.data.reading.ambiguity import Settings, ambiguous, try_alternatives
from lora_scripts.data.reading.dialogues import Remarks, Turn
from lora_scripts.data.reading.line_roles import LineRoles, line_range, listed_lines
from lora_scripts.data.reading.names import THIRD_NAMES, given_roles, listed, person_role, plain_name, role_of
from lora_scripts.data.reading.notices import is_line_of_program, is_notice, without_notices
from lora_scripts.data.reading.questions import asks
from lora_scripts.data.reading.timestamps import DATE_LINE, STAMP, day_number, minutes_of_day
from lora_scripts.data.reading.turn_evidence import CLEAR, degenerate, role_score, swapped
from lora_scripts.data.records import Draft, Message, Parsed
from lora_scripts.messages import text as say

_OFTEN_ASKS = 0.3  # share of somebody's messages that ask, from which a title makes him no assistant
PAUSE_MINUTES = 6 * 60  # between messages from which a new conversation begins
_NIGHT_MINUTES = 30  # the same where midnight lies between them
_FEWEST = 3  # messages
_CARRIED = 0.6  # share of the changes of speaker that are between two people who carry a chat
_PASSING = 5  # how often these two speak for one message of somebody who passes by
_LEAST_SHARE = 0.15  # of the non-blank lines that begin a message
# In front of a time in brackets, which ends it: it may hold a colon.
_TIMED_NAME = r"(?P<name>[^\s\[\]()（）【】<>〔〕][^\n\[\]()（）【】<>〔〕]{0,39}?)"
_NAME = r"(?P<name>[^\s:：\[\]][^\n:：\[\]]{0,39}?)"
# How a message begins: with its words on the same line, or below.
_LAYOUTS = {
    "inline": re.compile(rf"[\s\u200e]*[\[【(（]?{STAMP}[\]】)）]?\s*[-–—|]?\s*{_NAME}\s*(?:[:：]|\s\|\s)(?P<text>.*)"),
    "boxed_name": re.compile(
        rf"[\s\u200e]*[\[【<〔]{_TIMED_NAME}[\]】>〕]\s*[:：]?\s*[\[(（]?{STAMP}[\])）]?\s*(?:[:：]\s*)?(?P<text>.*)"
    ),
    "name_and_time": re.compile(rf"[\s\u200e]*{_TIMED_NAME}\s*[\[(（]{STAMP}[\])）]\s*[:：](?P<text>.*)"),
    # A number of the other side may follow, as in lists of short messages.
    "name_time_text": re.compile(
        rf"[\s\u200e]*(?!\d{{4}}[-/.年]){_NAME}[\s,，|]+{STAMP}(?:\s+[:：]|\s*[:：](?!\d)|\s*\|)\s*"
        r"(?:\+?\d[\d \-]{5,}\s*\|\s*)?(?P<text>\S.*)"
    ),
    "time_first": re.compile(rf"[\s\u200e]*[\[【(（]?{STAMP}[\]】)）]?\s*[-–—]?\s*{_NAME}\s*(?P<text>)"),
    "name_first": re.compile(rf"[\s\u200e]*{_NAME}[\s:：,，|]+[\[【(（]?{STAMP}[\]】)）]?\s*(?P<text>)"),
}
_TIME_LINE = re.compile(rf"\s*{STAMP}\s*")
_ACCOUNT = re.compile(r"\s*(?:[(（<]\s*(?:\d{5,12}|[^()<>（）\s]+@[^()<>（）\s]+)\s*[)）>])\s*$")
_NOT_TELLING = frozenset({"我", "me", "you", "自己", "本人", "a", "b"})


@dataclass(slots=True)
class _Post:
    """One message: line (0-based) of its beginning, name, minutes since some day, its words, blank lines above it."""

    line: int
    name: str
    minutes: int
    words: str
    blank: int
    divided: bool
    stop: int = 0


def read_chat_export(text: str, where: str, roles: Mapping[str, str | Sequence[str]] | None = None) -> Parsed | None:
    """The conversations of a chat that was exported as text; None where the text is none.

    Args:
        text: A whole file.
        where: Its name, for messages.
        roles: Nicknames by role; where both user and assistant are named, others are left out.

    Raises:
        AmbiguousDataError: Who asks and who answers is not certain.
    """
    text, _ = scrub(text)
    written = text.split("\n")
    lines, times = _with_times_beside_names(written)
    layout = _layout(lines)
    if layout is None:
        return None
    account = LineRoles(written)
    posts, notices = _posts(lines, _LAYOUTS[layout], account)
    given = given_roles(roles)
    counts = Counter(p.name for p in posts)
    if len(counts) < 2:
        return None
    names, remarks = _roles_of(posts, given, counts, text, where)
    absent = [name for name in given if name not in {plain_name(n) for n in counts}]
    if absent:
        remarks.append(("warning", "names_not_there", 0, {"names": listed(absent, 12)}))
    account.assign_preamble(posts[0].line)
    turns, silent = without_notices(_turns([p for p in posts if p.words.strip()], names))
    heard = {t.line for t in turns}
    for post in posts:
        account.assign(post.line, post.stop, names[post.name] if post.line + 1 in heard else "left_out")
        if layout in ("time_first", "name_first"):
            account.assign(post.line, post.line + 1, "metadata")
    for number in times:
        account.assign(number, number + 1, "metadata")
    for number in notices:
        account.assign(number - 1, number, "left_out")
    notices = sorted([*notices, *silent])
    third = [t for t in turns if t.role == "other"]
    if third:
        who = listed(dict.fromkeys(t.shown for t in third))
        stops = {post.line + 1: post.stop for post in posts}
        ranges = [line_range(t.line, stops[t.line]) for t in third]
        values: dict[str, object] = {"count": len(third), "names": who, "lines": listed_lines(ranges)}
        remarks.append(("warning", "third_speakers", third[0].line, values))
    if notices:
        remarks.append(("info", "media_left_out", notices[0], {"count": len(notices), "lines": listed_lines(notices)}))
    if any(line.strip() for line in lines[: posts[0].line]):
        remarks.append(("info", "preamble", 1, {"lines": posts[0].line}))
    remarks.append(("info", "chat_export", posts[0].line + 1, {"count": len(posts)}))
    drafts = _cut([t for t in turns if t.role != "other"])
    who_by_role = {r: listed(n for n, _ in counts.most_common() if names[n] == r) for r in ("user", "assistant")}
    detail = say("data.detail.transcript", mode=say("data.detail.conversations"), **who_by_role)
    return account.account(Parsed("chat_export", detail, drafts, remarks))


def _with_times_beside_names(lines: Sequence[str]) -> tuple[Sequence[str], list[int]]:
    """``lines`` with times that stand alone below a name moved beside it, and the (0-based) lines of these times."""
    times = [n for n, line in enumerate(lines) if n and len(line) < 40 and _TIME_LINE.fullmatch(line)]
    names = Counter(lines[n - 1].strip() for n in times)
    named = [n for n in times if 0 < len(lines[n - 1].strip()) <= 20]
    again = sum(names[lines[n - 1].strip()] > 1 for n in named)
    if again < max(_FEWEST, 0.7 * len(times)):
        return lines, []
    out = list(lines)
    for n in named:
        out[n - 1], out[n] = f"{lines[n - 1].strip()} {lines[n].strip()}", ""
    return out, named


def _layout(lines: Sequence[str]) -> str | None:
    """The layout in which most messages begin, if these are enough for a chat and few names come again and again."""
    sample = [line for line in lines[:20_000] if line.strip()]
    best, most = None, 0
    for layout, pattern in _LAYOUTS.items():
        names = Counter(
            _nickname(m["name"])
            for line in sample
            if len(line) < 2000 and not DATE_LINE.fullmatch(line) and (m := pattern.fullmatch(line))
        )
        again = sum(n for name, n in names.items() if n > 1 and not is_notice(name, True))
        if again > most and again >= max(_FEWEST, 0.7 * names.total(), _LEAST_SHARE * len(sample)):
            best, most = layout, again
    return best


def _nickname(raw: str) -> str:
    return _ACCOUNT.sub("", raw).strip(" \t\u200e~")


def _posts(lines: Sequence[str], pattern: re.Pattern[str], account: LineRoles) -> tuple[list[_Post], list[int]]:
    """The messages, and the numbers of the lines of notices between them."""
    posts: list[_Post] = []
    notices: list[int] = []
    body: list[str] = []
    day, minutes, blank, divided, dated = 0, 0, 1, False, False

    def close(stop: int) -> None:
        if posts:
            posts[-1].words, posts[-1].stop = "\n".join([posts[-1].words, *body]).strip("\n"), stop
            body.clear()

    for number, line in enumerate(lines):
        divider = DATE_LINE.fullmatch(line) if len(line) < 60 else None
        found = pattern.fullmatch(line) if not divider and line.strip() and len(line) < 4000 else None
        if found or divider:
            close(number - blank if blank < number else number)
            stamp = found or divider
            assert stamp is not None
            before = minutes
            if stamp["date"]:
                day, dated = day_number(stamp["date"]) or day, True
            if stamp["clock"] and dated:  # without any date, times tell nothing about pauses
                clock = minutes_of_day(stamp["clock"])
                if not stamp["date"] and day * 1440 + clock < before - 1:  # past midnight
                    day += 1
                minutes = day * 1440 + clock
            elif stamp["date"]:
                minutes = max(minutes, day * 1440)
        if found and is_notice(found["text"].strip() or _nickname(found["name"]), not found["text"]):
            notices.append(number + 1)
        elif found:
            posts.append(_Post(number, _nickname(found["name"]), minutes, found["text"].strip(), blank, divided))
            divided = False
        elif divider:
            account.assign(number, number + 1, "metadata")
            divided = True
        elif posts:
            body.append(line)
            if line.strip() and is_line_of_program(line):
                body[-1] = ""
                notices.append(number + 1)
        blank = blank + 1 if not line.strip() else 0
    close(len(lines))
    return posts, notices


def _turns(posts: Sequence[_Post], names: Mapping[str, str]) -> list[Turn]:
    """A turn for each message; ``divided`` where a conversation may begin."""
    turns = []
    for before, post in pairwise([None, *posts]):
        assert post is not None
        pause = post.minutes - before.minutes if before else 0
        night = before is not None and post.minutes // 1440 != before.minutes // 1440 and pause >= _NIGHT_MINUTES
        divided = post.divided or pause >= PAUSE_MINUTES or night
        turns.append(
            Turn(names[post.name], post.name, post.name, post.line + 1, post.words, post.blank, False, divided)
        )
    return turns


def _roles_of(
    posts: Sequence[_Post], given: Mapping[str, str], counts: Counter[str], text: str, where: str
) -> tuple[dict[str, str], Remarks]:
    """Nickname → role (``other`` for people beside the two), and what is to be said about it.

    Raises:
        AmbiguousDataError: It is not certain.
    """
    by_role = {name: given.get(plain_name(name)) or "" for name in counts}
    if {"user", "assistant"} <= set(by_role.values()):
        return {name: role or "other" for name, role in by_role.items()}, []
    if not {"user", "assistant"} <= set(given.values()):
        for name, role in by_role.items():
            plain = plain_name(name)
            if not role and plain not in _NOT_TELLING:
                known = role_of(plain) or _role_of_title(name, posts)
                if known in given.values():
                    known = ""  # that side is named by the user
                # a system's messages between those of people are notices
                by_role[name] = "other" if _is_third(plain) or known == "system" else known
        by_role |= dict.fromkeys(_passers_by(posts, counts), "other")

    def ask(key: str, readings: Sequence[dict[str, str]]) -> Exception:
        sides = ("user", "assistant")
        named = [{r: [n for n, role in reading.items() if role == r] for r in sides} for reading in readings]
        settings: list[Settings] = [{"roles": one} for one in named if all(one.values())]

        def drafts(chosen: Settings) -> Sequence[Draft]:
            parsed = read_chat_export(text, where, chosen["roles"])
            return list(parsed.drafts) if parsed else ()

        names = listed(n for n, _ in counts.most_common(6))
        place = f"{where}:{posts[0].line + 1}"
        return ambiguous(key, place, try_alternatives(settings, drafts, where), names=names)

    readings = _readings(by_role, counts, posts)
    if len(readings) > 1:
        scored = sorted(((_fit(posts, reading), n) for n, reading in enumerate(readings)), reverse=True)
        readings = [readings[n] for _, n in scored]
        if scored[0][0] < CLEAR or scored[0][0] - scored[1][0] < CLEAR:
            raise ask("reading.which_speaker_asks", readings)
    names = readings[0]
    turns = _turns(posts, names)
    if role_score(turns) < -CLEAR and not given:
        raise ask("reading.which_speaker_asks", [names, swapped(names)])
    if not given and degenerate([t.words for t in turns if t.role == "assistant"]):
        raise ask("reading.degenerate_answers", [names])
    remarks: Remarks = []
    if not any(by_role.values()):
        who = {r: listed(n for n, role in names.items() if role == r) for r in ("user", "assistant")}
        remarks.append(("warning", "roles_by_evidence", posts[0].line + 1, dict(who)))
    return names, remarks


def _role_of_title(name: str, posts: Sequence[_Post]) -> str:
    """The role that a title in a nickname tells; nothing where such a person (赵师傅 of the workshop) mostly asks."""
    role = person_role(plain_name(name)) or ""
    texts = [post.words for post in posts if post.name == name]
    if role == "assistant" and sum(map(asks, texts)) >= _OFTEN_ASKS * len(texts):
        return ""
    return role


def _fit(posts: Sequence[_Post], names: Mapping[str, str]) -> float:
    """``role_score`` less the share of messages that a reading leaves out."""
    return role_score(_turns(posts, names)) - 2 * sum(names[p.name] == "other" for p in posts) / len(posts)


def _passers_by(posts: Sequence[_Post], counts: Counter[str]) -> list[str]:
    """Who says next to nothing in a chat that two others carry, whatever the name is known for."""
    if len(counts) < 3:
        return []
    two = [name for name, _ in counts.most_common(2)]
    changes = sum({a.name, b.name} == set(two) for a, b in pairwise(posts))
    if changes < _CARRIED * (len(posts) - 1):
        return []
    return [name for name, count in counts.items() if name not in two and count * _PASSING <= counts[two[1]]]


def _is_third(name: str) -> bool:
    return name in THIRD_NAMES or any(len(t) > 1 and (name.startswith(t) or name.endswith(t)) for t in THIRD_NAMES)


def _readings(by_role: Mapping[str, str], counts: Counter[str], posts: Sequence[_Post]) -> list[dict[str, str]]:
    """The ways to give the unknown speakers a role, with who is rare beside the others as ``other``."""
    there = set(by_role.values())
    unknown = [n for n, _ in counts.most_common() if not by_role[n]]
    names = {n: r or "other" for n, r in by_role.items()}
    if {"user", "assistant"} <= there:
        return [names]
    main = [n for n in unknown if 4 * counts[n] > counts[unknown[0]]]
    if there & {"user", "assistant"}:
        missing = "user" if "assistant" in there else "assistant"
        everyone = names | dict.fromkeys(main if _meet(posts, main) else unknown, missing)
        if len(main) < 2 or not _meet(posts, main):
            return [everyone]
        return [everyone, names | {main[0]: missing}]
    readings = []
    if len(main) > 2:  # one talks with all others
        everyone = names | dict.fromkeys(unknown, "user")
        readings = [everyone | {main[0]: "assistant"}]
    readings += [names | {a: "user", b: "assistant"} for i, a in enumerate(main[:3]) for b in main[i + 1 : 3]]
    return [reading for one in readings for reading in (one, swapped(one))] or [names]


def _meet(posts: Sequence[_Post], names: Sequence[str]) -> bool:
    """Whether two of ``names`` speak in one conversation."""
    inside: set[str] = set()
    for before, post in pairwise([None, *posts]):
        assert post is not None
        if before and (post.divided or post.minutes - before.minutes >= PAUSE_MINUTES):
            inside = set()
        if post.name in names:
            inside.add(post.name)
        if len(inside) > 1:
            return True
    return False


def _cut(turns: Sequence[Turn]) -> list[Draft]:
    """Conversations: parted by pauses and days, and by blank lines that stand in front of questions alone."""
    usual = median_low([t.blank for t in turns if t.role == "assistant"] or [0])
    gaps = [t for t in turns[1:] if t.blank > usual]
    parted = bool(gaps) and sum(t.role == "user" for t in gaps) >= 0.9 * len(gaps)
    drafts: list[Draft] = []
    block: list[Turn] = []

    def close() -> None:
        if block:
            drafts.append(Draft(block[0].line, tuple(Message(t.role, t.words) for t in block)))
            block.clear()

    asking = ""  # another customer is another conversation
    pending = False  # a pause in front of something that was left out or an answer that came late
    for turn in turns:
        pending |= turn.divided or (parted and turn.blank > usual)
        late = bool(block) and block[-1].role == "user" and turn.role == "assistant"
        other = bool(block) and block[-1].role == "assistant" and turn.role == "user" and turn.name != asking
        if (pending and not late) or other:
            close()
        asking = turn.name if turn.role == "user" else asking
        pending = False
        if block and block[-1].role == turn.role:
            block[-1] = replace(block[-1], words=f"{block[-1].words}\n{turn.words}")
        else:
            block.append(turn)
    close()
    return drafts
