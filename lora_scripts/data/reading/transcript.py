"""Role-prefixed text: ``用户：… 律师：…`` with any names.

A line may open a turn when it begins with a label (``labels.py``). Which labels are speakers, and in which role, is
decided over the whole file (``speakers.py``, ``turn_evidence.py``). Which lines open turns is then the cheapest path
through the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lora_scripts.data.clean import scrub
from lora_scripts.data.reading.ambiguity import Settings, ambiguous, try_alternatives
from lora_scripts.data.reading.dialogues import Remarks, Turn, drafts_of
from lora_scripts.data.reading.inline import split_inline
from lora_scripts.data.reading.labels import Mark, find_marks, unlabelled_questions, weak_marks, without_options
from lora_scripts.data.reading.line_roles import LineRoles, line_range, listed_lines
from lora_scripts.data.reading.names import given_roles, listed, role_of
from lora_scripts.data.reading.notices import without_notices
from lora_scripts.data.reading.questions import asks
from lora_scripts.data.reading.record_headers import header_shapes, header_start, trailing_labels
from lora_scripts.data.reading.record_marks import without_common_marks, without_quotes
from lora_scripts.data.reading.speakers import is_told_in_text, speaker_candidates
from lora_scripts.data.reading.stray_lines import unusual_lines
from lora_scripts.data.reading.turn_evidence import CLEAR, degenerate, is_to_fill_in, known_names, role_score, swapped
from lora_scripts.data.reading.turns import account_for_turns, footer_start, title_names, turns_of, without_pages
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

Roles = Mapping[str, str | Sequence[str]] | None

_SAMPLED_LINES = 4_000  # from which roles are judged
_FEWEST = 3
_LONGEST_TURN = 100  # lines, in the mean, of what may be a transcript


@dataclass(frozen=True, slots=True)
class Layout:
    """How a transcript is written, as its first part shows: speakers by plain name, shapes of record headers."""

    names: dict[str, str]
    header: tuple[str, ...] = ()
    remarks: tuple[tuple[str, str, int, dict[str, object]], ...] = ()


def read_transcript(
    text: str, where: str, roles: Roles = None, layout: Layout | None = None, first: int = 1
) -> Parsed | None:
    """The turns of a role-prefixed text, or None where no speakers can be seen in it.

    Args:
        text: A whole file, or a part of it.
        where: Its name, for messages.
        roles: Names by role; where both user and assistant are named, nobody else asks or answers.
        layout: What ``layout_of`` found in an earlier part of the file, which is then not asked again.
        first: Number of the text's first line in its file.

    Raises:
        AmbiguousDataError: Several readings are equally good.
    """
    text, touched = scrub(text)
    lines, pages = without_pages(text)
    remarks: Remarks = []
    given = given_roles(roles)
    seen = without_options(find_marks(lines), given)
    if layout is None:
        layout = layout_of(lines, where, roles, seen)
        if layout is None:
            return None
        remarks += layout.remarks
    account = LineRoles(text.split("\n") if pages else lines, first)
    parsed = _read(lines, where, seen, layout, given, account, pages, first - 1)
    if parsed is None:
        return None
    if pages:
        remarks.append(("info", "page_lines", pages[0], {"count": len(pages)}))
    if touched:
        remarks.append(("info", "invisible_characters", 1, {"count": touched}))
    parsed.remarks[:0] = remarks
    return parsed


def layout_of(lines: Sequence[str], where: str, roles: Roles, seen: Sequence[Mark] | None = None) -> Layout | None:
    """The speakers of a text and their roles, by the evidence of its first lines; None where there are none.

    Raises:
        AmbiguousDataError: As for ``read_transcript``.
    """
    given = given_roles(roles)
    marks = without_options(find_marks(lines), given) if seen is None else seen
    candidates = speaker_candidates(marks, lines, given)
    if not candidates:
        return None
    names = candidates[0]
    remarks: Remarks = []
    if {"user", "assistant"} <= set(given.values()):
        met = {m.name for m in marks} | {m.name for m in weak_marks(lines, marks, names, set(given))}
        absent = [name for name in given if name not in met]
        if absent:
            remarks.append(("warning", "names_not_there", 0, {"names": listed(absent, 12)}))
        header = header_shapes(lines, marks, names)
        fields, others = trailing_labels(lines, marks, names, header)
        return Layout(
            names | dict.fromkeys(fields, "metadata") | dict.fromkeys(others, "other"), header, tuple(remarks)
        )
    header = header_shapes(lines, marks, names)
    fields, others = trailing_labels(lines, marks, names, header)
    names |= dict.fromkeys(fields, "metadata")
    sample = lines[:_SAMPLED_LINES]
    turns = _all_turns(sample, [m for m in marks if m.line < len(sample)], names, given)[0]
    shown = {t.name: t.shown for t in turns if t.shown} | {m.name: m.shown for m in marks if m.name not in names}

    def ask(key: str, readings: Sequence[Mapping[str, str]], **values: object) -> Exception:
        named = [_as_roles(reading, shown) for reading in readings]
        settings: list[Settings] = [{"roles": one} for one in named if all(one.values())]
        text = "\n".join(sample)
        alternatives = try_alternatives(settings, lambda s: _drafts(text, where, s["roles"]), where)
        return ambiguous(key, f"{where}:{marks[0].line + 1 if marks else 1}", alternatives, **values)

    if len(candidates) > 1:
        raise ask("data.ambiguous_roles", candidates)
    if others:
        learned = names | dict.fromkeys(others, "assistant")
        raise ask("reading.part_of_the_answer", [names, learned], names=listed(shown.get(n, n) for n in others))
    both = {t.role for t in turns if t.shown} >= {"user", "assistant"}
    score = role_score(turns) if both else CLEAR
    if score <= -CLEAR and abs(known_names(turns)) < 1:
        names = swapped(names)
        who = {role: listed(shown.get(n, n) for n, r in names.items() if r == role) for role in ("user", "assistant")}
        remarks.append(("warning", "roles_by_evidence", turns[0].line, dict(who)))
    elif score < CLEAR:
        both_sides = listed(shown.get(n, n) for n, r in names.items() if r in ("user", "assistant") and n in shown)
        raise ask("reading.which_speaker_asks", [names, swapped(names)], names=both_sides)
    asked = [t for t in turns if names.get(t.name) == "user"]
    if len(asked) > 1 and not any(asks(t.words) for t in asked) and any(not role_of(n) for n in shown if n in names):
        raise ask("reading.which_speaker_asks", [names, swapped(names)], names=listed(shown.values()))
    answers = [t.words for t in turns if names.get(t.name) == "assistant"]
    if is_to_fill_in(answers) or degenerate(answers, [t.words for t in turns if t.role == "user"]):
        raise ask("reading.degenerate_answers", [names])
    return Layout(names, header, tuple(remarks))


def _drafts(text: str, where: str, roles: Roles) -> Sequence[Draft]:
    parsed = read_transcript(text, where, roles)
    return list(parsed.drafts) if parsed else ()


def _as_roles(names: Mapping[str, str], shown: Mapping[str, str]) -> dict[str, list[str]]:
    return {role: [shown[n] for n, r in names.items() if r == role and n in shown] for role in ("user", "assistant")}


def cut_in_front_of_last_record(lines: Sequence[str], layout: Layout) -> int | None:
    """The line that begins the last record, or its header: one behind a blank line or a number if there is any."""
    asked = [m for m in find_marks(lines) if layout.names.get(m.name) == "user"]
    apart = [m for m in asked if m.line and (m.blank or m.numbered)]
    last = max((m.line for m in apart or asked), default=None)
    return last if last is None else header_start(lines, 0, last, layout.header)


def _all_turns(
    lines: Sequence[str],
    seen: Sequence[Mark],
    names: Mapping[str, str],
    given: Mapping[str, str],
    layout: Layout | None = None,
) -> tuple[list[Turn], bool]:
    """The turns of a text, and whether its lines hold whole pairs."""
    marks = _chosen([m for m in seen if m.name in names] + weak_marks(lines, seen, names, set(given)), names)
    marks = sorted([*marks, *unlabelled_questions(lines, marks, names)], key=lambda m: m.line)
    turns = turns_of(lines, marks, names, layout.header if layout else ())
    turns, inline = split_inline(turns, names, learn=not given)
    return _with_answers_of_one_line_questions(_with_unlabelled_answers(turns)), inline


def _read(
    lines: Sequence[str],
    where: str,
    seen: Sequence[Mark],
    layout: Layout,
    given: Mapping[str, str],
    account: LineRoles,
    pages: Sequence[int],
    above: int,
) -> Parsed | None:
    names = layout.names
    turns, inline = _all_turns(lines, seen, names, given, layout)
    turns, quoted = _without_marks(turns)
    said = _of_the_two(_matched_by_number(turns, where))
    answered = any(t.role == "assistant" for t in said)
    if not given and len(lines) > _LONGEST_TURN * len(said):
        return None
    if not answered and all(t.name not in given and not role_of(t.name) for t in said):
        return None
    headers = account_for_turns(lines, turns, layout.header, account)
    for number in pages:
        account.assign(number - 1, number, "left_out")
    spoken, notices = without_notices(said)
    drafts, mode, remarks = drafts_of(spoken, inline)
    first = turns[0].line
    top = header_start(lines, 0, first - 1, layout.header)
    if headers:
        names_of_headers = listed([*layout.header, *title_names(lines, headers)])
        values: dict[str, object] = {"count": len(headers), "names": names_of_headers}
        values["lines"] = listed_lines(number + above for number in headers)
        remarks.append(("info", "headings", headers[0], values))
    if any(line.strip(" \t-=*#_~　") for line in lines[:top]):
        remarks.append(("info", "preamble", 1, {"lines": top}))
    footer = footer_start(lines, turns[-1].line)
    if footer < len(lines):
        remarks.append(("info", "footer", footer + 1, {"count": sum(bool(line.strip()) for line in lines[footer:])}))
    if quoted:
        remarks.append(("info", "record_marks", first, {"marks": quoted}))
    remarks += _remarks(turns, seen, names, notices, above)
    remarks += _line_remarks(turns, above)
    shown: dict[str, Counter[str]] = {"user": Counter(), "assistant": Counter(), "system": Counter()}
    for turn in spoken:
        shown[turn.role][turn.shown or say("data.detail.unlabelled")] += 1
    users, assistants = (listed(n for n, _ in shown[r].most_common(6)) for r in ("user", "assistant"))
    learned = sorted({t.shown for t in spoken if t.shown and t.name not in given and role_of(t.name) is None})
    if learned:
        remarks.append(("warning", "learned_roles", first, {"names": listed(learned, 8)}))
    detail = say("data.detail.transcript", user=users, assistant=assistants, mode=say(f"data.detail.{mode}"))
    return account.account(Parsed("transcript", detail, drafts, remarks))


def _remarks(
    turns: Sequence[Turn], seen: Sequence[Mark], names: Mapping[str, str], notices: Sequence[int], above: int
) -> Remarks:
    """What was not learned, or not as its label says; ``above``: lines of the file in front of the text."""
    remarks: Remarks = []
    values: dict[str, object]
    third = [t for t in turns if t.role == "other"]
    if third:
        who = listed(dict.fromkeys(t.shown for t in third))
        ranges = [line_range(t.line + above, (t.stop or t.line) + above) for t in third]
        values = {"count": len(third), "names": who, "lines": listed_lines(ranges)}
        remarks.append(("warning", "third_speakers", third[0].line, values))
    fields = [t for t in turns if t.role == "metadata"]
    if fields:
        who = listed(dict.fromkeys(t.shown for t in fields))
        remarks.append(("warning", "record_fields", fields[0].line, {"count": len(fields), "names": who}))
    opened = {t.line - 1 for t in turns} | {number - 1 for t in turns for number in t.left_out}
    inside = [m for m in seen if m.line not in opened and len(m.name) > 1 and is_told_in_text(m.name)]
    if inside:
        values = {"count": len(inside), "names": listed(dict.fromkeys(m.shown for m in inside))}
        remarks.append(("info", "labels_in_text", inside[0].line + 1, values))
    for role, kind in (("user", "unlabelled_questions"), ("assistant", "unlabelled_answers")):
        unlabelled = [t for t in turns if t.role == role and not t.shown]
        if unlabelled:
            remarks.append(("warning", kind, unlabelled[0].line, {"count": len(unlabelled)}))
    if notices:
        values = {"count": len(notices), "lines": listed_lines(number + above for number in notices)}
        remarks.append(("info", "media_left_out", notices[0], values))
    return remarks


def _line_remarks(turns: Sequence[Turn], above: int) -> Remarks:
    """The lines below answers that were left out, and those that were kept though no other answer has any.

    ``above``: lines of the file in front of the text.
    """
    left_out = [number for turn in turns for number in turn.left_out]
    answers = [t for t in turns if t.role == "assistant" and not t.inline]
    positions = unusual_lines([t.words.split("\n") for t in answers])
    kept = [turn.line + position for turn, position in zip(answers, positions, strict=True) if position]
    return [
        (severity, kind, numbers[0], {"count": len(numbers), "lines": listed_lines(n + above for n in numbers)})
        for severity, kind, numbers in (("warning", "stray_lines", left_out), ("info", "unusual_lines", kept))
        if numbers
    ]


def _chosen(marks: list[Mark], names: Mapping[str, str]) -> list[Mark]:
    """The marks that open turns: all with a colon, and those without where that mends the alternation.

    Cheapest path over the marks, state = who spoke last. Costs: two turns of one speaker in a row 1, taking an
    unsure mark its cost, passing one over 0.4. So "Answer 依据…" behind a question is a turn, and a paragraph
    that begins with such a word is not.
    """
    marks.sort(key=lambda m: m.line)
    costs = {"assistant": 0.0}
    steps: list[dict[str, tuple[str, bool]]] = []
    for mark in marks:
        role = names[mark.name]
        after: dict[str, float] = {}
        step: dict[str, tuple[str, bool]] = {}
        for last, cost in costs.items():
            options = [(role if role != "system" else last, cost + (role == last) + mark.cost, True)]
            if not mark.sure:
                options.append((last, cost + 0.4, False))
            for state, total, taken in options:
                if total < after.get(state, 1e9):
                    after[state], step[state] = total, (last, taken)
        costs = after
        steps.append(step)
    out = []
    state = min(costs, key=costs.__getitem__)
    for mark, step in zip(reversed(marks), reversed(steps), strict=True):
        state, taken = step[state]
        if taken:
            out.append(mark)
    return out[::-1]


def _with_answers_of_one_line_questions(turns: list[Turn]) -> list[Turn]:
    """Where nearly all questions without a label have one line, an unanswered one's further lines are its answer."""
    followed = zip(turns, [*turns[1:], None], strict=True)
    open_ones = {i for i, (t, after) in enumerate(followed) if t.role == "user" and (not after or after.role == "user")}
    asked = [t for i, t in enumerate(turns) if t.role == "user" and not t.shown and i not in open_ones]
    if len(asked) < _FEWEST or sum("\n" not in t.words for t in asked) < 0.9 * len(asked):
        return turns
    out: list[Turn] = []
    for i, turn in enumerate(turns):
        head, _, rest = turn.words.partition("\n")
        if i in open_ones and not turn.shown and turn.numbered and rest.strip():
            out.append(replace(turn, words=head, stop=turn.line, left_out=()))
            out.append(Turn("assistant", "", "", turn.line + 1, rest, 0, False, stop=turn.stop, left_out=turn.left_out))
        else:
            out.append(turn)
    return out


def _of_the_two(turns: Sequence[Turn]) -> list[Turn]:
    """What is learned; a question below what is not has the gap that stands above that."""
    out: list[Turn] = []
    blank = 0
    for turn in turns:
        if turn.role not in ("user", "assistant", "system"):
            blank = max(blank, turn.blank)
            continue
        out.append(replace(turn, blank=max(turn.blank, blank)) if turn.role == "user" else turn)
        blank = 0
    return out


def _matched_by_number(turns: list[Turn], where: str) -> list[Turn]:
    """Where all questions stand in front of all answers: each question in front of the answer of its number.

    Raises:
        DataError: Their labels have not the same numbers.
    """
    roles = [turn.role for turn in turns]
    count = roles.count("user")
    if min(count, len(roles) - count) < _FEWEST or roles != ["user"] * count + ["assistant"] * (len(roles) - count):
        return turns
    numbers = [tuple(re.findall(r"\d+", turn.shown)) for turn in turns]
    if numbers[:count] != numbers[count:] or len(set(numbers)) < count or not all(numbers):
        place = f"{where}:{turns[count].line}"
        raise DataError("reading.answers_apart", where=place, questions=count, answers=len(turns) - count)
    pairs = zip(turns[:count], turns[count:], strict=True)
    return [turn for question, answer in pairs for turn in (replace(question, divided=True), replace(answer, blank=0))]


def _without_marks(turns: list[Turn]) -> tuple[list[Turn], str]:
    """``turns`` without the signs in front of, and the quotes around, all words of a side; and what these were."""
    out, marks = list(turns), list[str]()
    for role in ("user", "assistant"):
        at = [i for i, turn in enumerate(turns) if turn.role == role]
        bare = [i for i in at if not turns[i].shown]
        texts, sign = without_common_marks([turns[i].words for i in bare], numbers=False)
        changed = dict(zip(bare, texts, strict=True)) if sign else {}
        texts, quoted = without_quotes([changed.get(i, turns[i].words) for i in at])
        changed |= zip(at, texts, strict=True) if quoted else ()
        marks += [mark for mark in (sign, '"' if quoted else "") if mark]
        for i, words in changed.items():
            stop = turns[i].stop or turns[i].line + turns[i].words.count("\n")
            out[i] = replace(turns[i], words=words, stop=stop)
    return out, " ".join(dict.fromkeys(marks))


def _with_unlabelled_answers(turns: list[Turn]) -> list[Turn]:
    """Where nobody answers: the first line of each turn as question, the lines below as its answer."""
    parts = [t.words.strip("\n").split("\n", 1) for t in turns]
    longer = [head for head, *rest in parts if rest]
    if (
        any(t.role == "assistant" for t in turns)
        or len(longer) < max(_FEWEST, 0.8 * len(turns))
        or sum(map(asks, longer)) < 0.6 * len(longer)
    ):
        return turns
    out: list[Turn] = []
    for turn, (head, *rest) in zip(turns, parts, strict=True):
        out.append(replace(turn, words=head))
        if rest:
            line = turn.line + turn.words[: turn.words.index(head)].count("\n") + 1
            out.append(Turn("assistant", "", "", line, rest[0], 0, False))
    return out
