"""A conversation's text and ids: in turns, spelled by the base's own template, tokenised so that prompts stay prefixes.

See `render.py` for what that is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from lora_scripts.data.chat_format import ChatFormat, Tokenizer, ids_of
from lora_scripts.data.records import Message
from lora_scripts.errors import DataError, Problem, problem


@dataclass(slots=True)
class Talk:
    """A conversation in turns: ``turns`` are (question, answer); the last answer is None where it is asked for.

    ``context_only`` holds the places in ``turns`` whose answers are not trained on.
    """

    system: str
    turns: list[tuple[str, str | None]]
    joined: bool = False
    trailing: bool = False
    context_only: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Spelled:
    """A conversation's text; ``cuts`` are the ends of its prompts and its own end, ``breaks`` lie inside forged
    markers; ``marks`` is the number of control tokens that the turns need."""

    text: str
    cuts: list[int]
    breaks: list[int]
    marks: int


class Tokens(NamedTuple):
    """The ids of a conversation; ``answers`` are where each trained answer with its end token begins and ends."""

    ids: list[int]
    answers: list[tuple[int, int]]


def talk_of(messages: Sequence[Message]) -> Talk:
    """The conversation in turns; neighbours of one role are joined by a line break.

    Raises:
        DataError: An order of roles that cannot be rendered.
    """
    talk = Talk("", [])
    last = ""
    for number, message in enumerate(messages, start=1):
        role, words = message.role, message.content.strip()
        if role not in ("system", "user", "assistant"):
            raise DataError("render.unknown_role", role=role)
        if role == "system" and last not in ("", "system"):
            raise DataError("render.late_system", turn=number)
        if role == "assistant" and last in ("", "system"):
            raise DataError("render.no_question", role=role)
        talk.joined |= role == last
        if role == "system":
            talk.system = f"{talk.system}\n{words}".strip()
        elif role == "user" and role != last:
            talk.turns.append((words, None))
        elif role == "user":
            talk.turns[-1] = (f"{talk.turns[-1][0]}\n{words}".strip(), None)
        else:
            question, before = talk.turns[-1]
            talk.turns[-1] = (question, words if before is None else f"{before}\n{words}".strip())
            if not message.trained:
                talk.context_only.add(len(talk.turns) - 1)
        last = role
    if not talk.turns:
        raise DataError("render.no_question", role=last or "-")
    return talk


def training_talk(messages: Sequence[Message]) -> Talk:
    """The conversation up to its last answer.

    Raises:
        DataError: An empty or missing answer, an order of roles that cannot be rendered.
    """
    talk = talk_of(messages)
    if any(message.role == "assistant" and not message.content.strip() for message in messages):
        raise DataError("render.empty_answer")
    if talk.turns[-1][1] is None:
        talk.turns.pop()
        talk.trailing = True
    if not talk.turns:
        raise DataError("render.no_answer")
    return talk


def spell(talk: Talk, form: ChatFormat) -> Spelled:
    """The conversation as text.

    Raises:
        DataError: Several questions where the base's template takes one.
    """
    if form.strings.next is None and len(talk.turns) > 1:
        raise DataError("render.one_turn_only", turns=len(talk.turns))
    pieces: list[str] = []
    cuts: list[int] = []
    breaks: list[int] = []
    at = 0
    for kind, piece in form.strings.spell(talk.system, talk.turns):
        if kind in ("user", "answer"):
            forged = form.reserved if kind == "user" else form.reserved_in_answers
            breaks += [at + match.start() + 1 for match in forged.finditer(piece)]
        pieces.append(piece)
        at += len(piece)
        if kind == "ask":
            cuts.append(at)
    if talk.turns[-1][1] is not None:
        cuts.append(at)
    n, m, has_end = len(talk.turns), form.marks, talk.turns[-1][1] is not None
    marks = (m["pre"] + m["post"] if talk.system else m["opening"]) + n * m["ask"] + (n - 1) * m["next"]
    return Spelled("".join(pieces), cuts, breaks, marks + has_end * m["close"])


def tokens_of(talks: Sequence[Talk], tokenizer: Tokenizer, form: ChatFormat) -> list[Tokens | Problem]:
    """The ids of each conversation, or what is wrong with it; all texts go to the tokenizer at once."""
    made: list[Spelled | Problem] = []
    for talk in talks:
        try:
            made.append(spell(talk, form))
        except DataError as error:
            made.append(error.problems[0])
    wholes = [[s.text[:cut] for cut in s.cuts] for s in made if isinstance(s, Spelled) and not s.breaks]
    flat = iter(ids_of(tokenizer, [part for parts in wholes for part in parts]))
    done: list[Tokens | Problem] = []
    for talk, spelled in zip(talks, made, strict=True):
        if not isinstance(spelled, Spelled):
            done.append(spelled)
            continue
        at_cuts = [] if spelled.breaks else [next(flat) for _ in spelled.cuts]
        if spelled.breaks or not _nested(at_cuts):
            at_cuts = ids_at_cuts(spelled, tokenizer)
        tokens = _with_answers(at_cuts, spelled, form)
        if talk.context_only and isinstance(tokens, Tokens):
            trained = [span for turn, span in enumerate(tokens.answers) if turn not in talk.context_only]
            tokens = Tokens(tokens.ids, trained)
        done.append(tokens)
    return done


def _nested(at_cuts: list[list[int]]) -> bool:
    """Whether each is a prefix of the next."""
    return all(longer[: len(shorter)] == shorter for shorter, longer in pairwise(at_cuts))


def ids_at_cuts(spelled: Spelled, tokenizer: Tokenizer) -> list[list[int]]:
    """The ids up to each cut, each a prefix of the next.

    Whether a cut needs a seam is decided by the text up to the cut after it and no further, so a prompt and the
    document that goes on from it always decide alike.
    """
    seams = list(spelled.breaks)
    at_cuts: list[list[int]] = []
    for number, cut in enumerate(spelled.cuts):
        ids = _ids_in_parts(spelled.text[:cut], seams, tokenizer)
        if number and ids[: len(at_cuts[-1])] != at_cuts[-1]:
            seams.append(spelled.cuts[number - 1])
            ids = _ids_in_parts(spelled.text[:cut], seams, tokenizer)
        at_cuts.append(ids)
    return at_cuts


def _ids_in_parts(whole: str, seams: list[int], tokenizer: Tokenizer) -> list[int]:
    bounds = [0, *sorted({s for s in seams if s < len(whole)}), len(whole)]
    first, *rest = [whole[a:b] for a, b in pairwise(bounds)]
    ids = ids_of(tokenizer, [first])[0]
    for part in rest:
        ids = ids + _going_on(part, tokenizer)
    return ids


def _going_on(part: str, tokenizer: Tokenizer) -> list[int]:
    """The ids of text that goes on from other text: without the space that SentencePiece puts before a first word."""
    for anchor in ("\n", "\x02", "="):
        alone, both = ids_of(tokenizer, [anchor, anchor + part])
        if alone and both[: len(alone)] == alone:
            return both[len(alone) :]
    return ids_of(tokenizer, [part])[0]


def wrong_marks(ids: list[int], spelled: Spelled, form: ChatFormat) -> Problem | None:
    """What is wrong where ``ids`` hold more or fewer control tokens than the turns need."""
    found = sum(map(form.control_ids.__contains__, ids))
    if found == spelled.marks:
        return None
    return problem("render.control_tokens", found=found, expected=spelled.marks)


def _with_answers(at_cuts: list[list[int]], spelled: Spelled, form: ChatFormat) -> Tokens | Problem:
    ids = at_cuts[-1]
    wrong = wrong_marks(ids, spelled, form)
    if wrong is not None:
        return wrong
    begins = [len(prompt) for prompt in at_cuts[:-1]]
    # an answer ends with the first end token after its prompt: no answer can hold its id
    return Tokens(ids, [(begin, ids.index(form.end_id, begin) + 1) for begin in begins])
