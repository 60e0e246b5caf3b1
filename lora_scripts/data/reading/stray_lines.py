"""Lines below an answer that are no part of it, as no other answer of the file has any: remarks, comments, mails.

Only evidence over the whole file tells them: where many answers hold blank lines or several lines, nothing is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lora_scripts.data.reading.labels import find_marks
from lora_scripts.data.reading.names import MAIL_HEADERS, role_of

_FEWEST_ANSWERS = 3  # from which one that differs from the others is told
_FEWEST_FOR_FRAGMENTS = 4  # the same for a line that is only no sentence
_RARE = 0.1  # share of the answers up to which these are exceptions
_SENTENCES = 0.8  # share of the answers that end like a sentence, for one that does not to be told
_LONGEST_FRAGMENT = 6  # lines
_LONGEST_LABELLED = 60  # characters of a line such as “记录人：…”
_SENTENCE_END = re.compile(r"[。！？!?…;；~～.]\W*$")
_CLAUSES = re.compile(r"[，；。！？]|[,;] ")
_BRACKETED = re.compile(
    r"\s*(?:[（(][^（）()]*[)）]|[\[［][^\[\]［］]*[\]］]|【[^【】]*】|〔[^〔〕]*〕|<[^<>]*>)[。.]?\s*"
)
_COMMENT = re.compile(r"\s*(?://|/\*|<!--|(?:TODO|FIXME|XXX)\b)")
# Of a list, a table, code or a quotation: it goes on with the answer.
_CONTINUES = re.compile(
    r"\s*(?:[-*•●·>|]|\d{1,3}\s*[.、．)）]|[（(]\d{1,3}[)）]|[①-⑳]|[一二三四五六七八九十]{1,3}\s*[、．)）]|```|~~~)"
)


def stray_line_counts(bodies: Sequence[Sequence[str]], is_title: Callable[[str], bool]) -> list[int]:
    """How many lines at the end of each answer are no part of it.

    Args:
        bodies: The lines of each last answer of a record, in the order of the file; the file's last answer last.
        is_title: Tells a line that is the title of a section.
    """
    counts = [0] * len(bodies)
    if len(bodies) < _FEWEST_ANSWERS:
        return counts
    gapped = {i for i, body in enumerate(bodies) if _has_gap(body)}
    if 0 < len(gapped) <= _most_exceptions(bodies):
        ends = [body[0] if i in gapped else _last(body) for i, body in enumerate(bodies)]
        sentences = sum(bool(_SENTENCE_END.search(end)) for end in ends) >= _SENTENCES * len(ends)
        fragments = sentences and len(bodies) >= _FEWEST_FOR_FRAGMENTS
        for i in gapped:
            counts[i] = _stray_behind_gap(bodies[i], fragments)
    rest = [body[: len(body) - count] for body, count in zip(bodies, counts, strict=True)]
    longer = [i for i, body in enumerate(rest) if len(body) > 1]
    for i in longer:
        counts[i] += _labelled_at_end(rest, i) if i == len(rest) - 1 else 0
    if len(bodies) >= _FEWEST_FOR_FRAGMENTS and len(longer) <= _most_exceptions(bodies):
        for i in longer:
            if not counts[i] and len(rest[i]) == 2 and (_BRACKETED.fullmatch(rest[i][1]) or is_title(rest[i][1])):
                counts[i] = 1
    return counts


def unusual_lines(bodies: Sequence[Sequence[str]]) -> list[int]:
    """For each answer, the position of its first line that no other answer has: a second one, or one behind a gap.

    0 where there is none.
    """
    positions = [0] * len(bodies)
    if len(bodies) < _FEWEST_FOR_FRAGMENTS:
        return positions
    gapped = [i for i, body in enumerate(bodies) if _has_gap(body)]
    if len(gapped) <= _most_exceptions(bodies):
        for i in gapped:
            gap = next(n for n, line in enumerate(bodies[i]) if n and not line.strip())
            positions[i] = next(n for n in range(gap, len(bodies[i])) if bodies[i][n].strip())
    longer = [i for i, body in enumerate(bodies) if len(body) > 1]
    if len(longer) <= _most_exceptions(bodies):
        for i in longer:
            positions[i] = next(n for n, line in enumerate(bodies[i]) if n and line.strip())
    return positions


def _most_exceptions(bodies: Sequence[object]) -> int:
    return max(1 if len(bodies) < 8 else 2, int(_RARE * len(bodies)))


def _has_gap(body: Sequence[str]) -> bool:
    """Whether a blank line stands between two lines of an answer."""
    filled = [n for n, line in enumerate(body) if line.strip()]
    return bool(filled) and filled[-1] - filled[0] >= len(filled)


def _last(body: Sequence[str]) -> str:
    return next((line for line in reversed(body) if line.strip()), "")


def _blocks(body: Sequence[str]) -> list[tuple[int, list[str]]]:
    """The parts of an answer between blank lines, each with the position of its first line."""
    blocks: list[tuple[int, list[str]]] = []
    gap = True
    for position, line in enumerate(body):
        if not line.strip():
            gap = True
            continue
        if gap:
            blocks.append((position, []))
        blocks[-1][1].append(line)
        gap = False
    return blocks


def _stray_behind_gap(body: Sequence[str], fragments: bool) -> int:
    """How many lines behind a blank one are stray; ``fragments`` where what is no sentence is."""
    blocks = _blocks(body)
    first = len(body)
    for start, block in reversed(blocks[1:]):
        if not _is_stray(block, fragments):
            break
        first = start
    mail = next((start for start, block in blocks[1:] if _is_mail_header(block)), first)
    return len(body) - min(first, mail)


def _is_stray(block: Sequence[str], fragments: bool) -> bool:
    if _COMMENT.match(block[0]) or (len(block) == 1 and _BRACKETED.fullmatch(block[0])):
        return True
    return fragments and is_fragment(block)


def is_fragment(block: Sequence[str]) -> bool:
    """Whether a few lines hold neither a sentence, nor clauses of one, nor an item of a list."""
    if len(block) > _LONGEST_FRAGMENT or any(map(_CONTINUES.match, block)):
        return False
    return not any(_SENTENCE_END.search(line) or _CLAUSES.search(line) for line in block)


def _is_mail_header(block: Sequence[str]) -> bool:
    return sum(mark.name in MAIL_HEADERS for mark in find_marks(block)) > 1


def _labelled_at_end(bodies: Sequence[Sequence[str]], last: int) -> int:
    """How many lines at the end of a file name who signed or wrote it down; no other answer holds such lines."""
    if any(find_marks(body[1:]) for i, body in enumerate(bodies) if i != last):
        return 0
    body = bodies[last]
    marks = {mark.line: mark for mark in find_marks(body)}
    count = 0
    for position in range(len(body) - 1, 0, -1):
        mark = marks.get(position)
        if not mark or role_of(mark.name) or len(body[position]) > _LONGEST_LABELLED:
            break
        if _SENTENCE_END.search(body[position]) or mark.numbered:
            break
        count += 1
    return count
