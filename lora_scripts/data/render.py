"""Rendering: conversations become token ids and a mask of what is learned.

One function spells a conversation for training, chat and serving alike, so that what the model is asked at inference
is, id by id, a prefix of what it was trained on:

* The text is the chat template's own (`chat_format.py`); outer white space of each turn is left off, as most
  templates do themselves.
* It is tokenised whole, as every other server would do it, wherever the prompt's ids then really are a prefix
  of the document's; a seam that the tokenizer would merge across is tokenised on either side apart, at inference too.
* Text of the user's that spells a control token (``<|im_end|>``, ``</s>``) is tokenised in two parts, cut inside
  the marker, so that it stays plain text; the count of control tokens is checked afterwards.

Learned is what the model has to say by itself: an answer, and the token that ends it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from lora_scripts.data.chat_format import ChatFormat, Tokenizer, template_of
from lora_scripts.data.records import Message, Record
from lora_scripts.data.spelling import Talk, Tokens, ids_at_cuts, spell, talk_of, tokens_of, training_talk, wrong_marks
from lora_scripts.errors import DataError, Problem, problem
from lora_scripts.messages import text

POLICIES = ("stop", "drop", "cut_prompt")
_BATCH = 1024  # records tokenised together: enough to keep the tokenizer's threads busy


@dataclass(frozen=True, slots=True)
class Document:
    """One rendered record. ``loss_mask[i]`` is True where ``input_ids[i]`` is learned; both have one length."""

    input_ids: list[int]
    loss_mask: list[bool]
    source: str = ""


@dataclass(slots=True)
class Rendering:
    """Many rendered records.

    ``too_long`` are those left out, with their length in tokens; ``cut`` those that lost so many tokens of the
    question's beginning; ``notes`` are sentences for the user.
    """

    documents: list[Document] = field(default_factory=list)
    too_long: list[tuple[str, int]] = field(default_factory=list)
    cut: list[tuple[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def render(messages: Sequence[Message], tokenizer: Tokenizer, *, max_length: int | None = None) -> Document:
    """The training document of one conversation.

    Learned are every assistant turn's words and its end-of-turn token, nothing else.

    Raises:
        DataError: Longer than ``max_length`` tokens (never cut silently), an empty or missing answer, an order of
            roles that cannot be rendered.
    """
    form = template_of(tokenizer)
    tokens = tokens_of([training_talk(messages)], tokenizer, form)[0]
    if isinstance(tokens, Problem):
        raise DataError([tokens])
    if max_length is not None and len(tokens.ids) > max_length:
        raise DataError("render.too_long", length=len(tokens.ids), limit=max_length)
    return _document(tokens.ids, tokens.answers)


def render_prompt(messages: Sequence[Message], tokenizer: Tokenizer) -> list[int]:
    """The ids that chat and serving send: the conversation up to where the model speaks.

    For every assistant turn ``i`` of a conversation these ids of ``messages[:i]`` are a prefix of `render`'s,
    which begins to learn right behind them.

    Raises:
        DataError: The last message is not the user's, or the roles cannot be rendered.
    """
    form = template_of(tokenizer)
    talk = talk_of(messages)
    if talk.turns[-1][1] is not None:
        raise DataError("render.prompt_ends", role="assistant")
    spelled = spell(talk, form)
    ids = ids_at_cuts(spelled, tokenizer)[-1]
    wrong = wrong_marks(ids, spelled, form)
    if wrong is not None:
        raise DataError([wrong])
    return ids


def render_records(
    records: Iterable[Record],
    tokenizer: Tokenizer,
    *,
    max_length: int | None = None,
    too_long: str = "stop",
    system_prompt: str = "",
) -> Rendering:
    """Render many records in one pass; see ``iter_documents``.

    Raises:
        DataError: As ``iter_documents``.
    """
    rendering = Rendering()
    rendering.documents += iter_documents(
        records, tokenizer, rendering, max_length=max_length, too_long=too_long, system_prompt=system_prompt
    )
    return rendering


def iter_documents(
    records: Iterable[Record],
    tokenizer: Tokenizer,
    account: Rendering,
    *,
    max_length: int | None = None,
    too_long: str = "stop",
    system_prompt: str = "",
) -> Iterator[Document]:
    """The documents of ``records``, one by one; some thousand are in memory at once.

    A record longer than ``max_length`` tokens is, by ``too_long``: ``stop`` — refused, all such records in one
    error; ``drop`` — left out and listed; ``cut_prompt`` — shortened at the beginning of the user's words, never in the
    answer or the template, and listed with the tokens it lost (left out where that is not enough).
    ``system_prompt`` is given to each record that brings none. ``account`` is complete when the iterator has ended.

    Raises:
        DataError: Records that cannot be rendered, or are too long under ``stop``; all of them at once, at the end.
    """
    limits = _Limits(max_length, too_long, system_prompt.strip())
    for (tokens,), source in _rendered(records, _whole, tokenizer, account, limits):
        yield _document(tokens.ids, tokens.answers, source)


def iter_pairs(
    records: Iterable[Record],
    tokenizer: Tokenizer,
    account: Rendering,
    *,
    max_length: int | None = None,
    too_long: str = "stop",
    system_prompt: str = "",
) -> Iterator[tuple[Document, Document]]:
    """Preference records as two documents each: with the chosen and with the rejected answer, behind the same ids.

    Learned is the last answer only: earlier ones are the same in both. The longer of the two decides what is too
    long, and both lose the same words where the question is cut; otherwise as ``iter_documents``.

    Raises:
        DataError: As ``iter_documents``; or a record has no rejected answer.
    """
    limits = _Limits(max_length, too_long, system_prompt.strip())
    for (chosen, rejected), source in _rendered(records, _both, tokenizer, account, limits):
        yield (
            _document(chosen.ids, chosen.answers[-1:], source),
            _document(rejected.ids, rejected.answers[-1:], source),
        )


def joined(chosen: Document, rejected: Document) -> Document:
    """A pair of `iter_pairs` as one document, end to end: what is counted, kept and shown as one record."""
    return Document(chosen.input_ids + rejected.input_ids, chosen.loss_mask + rejected.loss_mask, chosen.source)


def halves(pair: Document) -> tuple[Document, Document]:
    """The chosen and the rejected document of which `joined` made ``pair``.

    Both have one learned run, behind prompts of one length: the second begins that much before its run.
    """
    ids, mask = pair.input_ids, pair.loss_mask
    prompt = mask.index(True)
    middle = mask.index(True, mask.index(False, prompt)) - prompt
    return Document(ids[:middle], mask[:middle], pair.source), Document(ids[middle:], mask[middle:], pair.source)


@dataclass(frozen=True, slots=True)
class _Limits:
    max_length: int | None
    too_long: str
    system_prompt: str


def _document(ids: list[int], answers: Sequence[tuple[int, int]], source: str = "") -> Document:
    mask = [False] * len(ids)
    for begin, end in answers:
        mask[begin:end] = [True] * (end - begin)
    return Document(ids, mask, source)


def _whole(record: Record) -> list[Talk]:
    return [training_talk(record.messages)]


def _both(record: Record) -> list[Talk]:
    """The conversation with its last answer, and with the rejected one in its place."""
    chosen = training_talk(record.messages)
    if record.rejected is None:
        raise DataError("render.no_rejected")
    if not (rejected := record.rejected.strip()):
        raise DataError("render.empty_answer")
    return [chosen, replace(chosen, turns=[*chosen.turns[:-1], (chosen.turns[-1][0], rejected)])]


def _rendered(
    records: Iterable[Record],
    talks_of: Callable[[Record], list[Talk]],
    tokenizer: Tokenizer,
    account: Rendering,
    limits: _Limits,
) -> Iterator[tuple[list[Tokens], str]]:
    """The conversations that ``talks_of`` makes of each record, as ids, with the record's place."""
    if limits.too_long not in POLICIES:
        raise DataError("render.bad_policy", policy=limits.too_long)
    form = template_of(tokenizer)
    account.notes += form.note.splitlines()
    problems: list[Problem] = []
    noted: Counter[str] = Counter()
    stream = iter(records)
    while batch := list(islice(stream, _BATCH)):
        groups = _groups(batch, talks_of, limits.system_prompt, problems)
        noted.update(_noted([talks for talks, _ in groups], form))
        made = iter(tokens_of([talk for talks, _ in groups for talk in talks], tokenizer, form))
        for talks, source in groups:
            found = [next(made) for _ in talks]
            wrong = next((f for f in found if isinstance(f, Problem)), None)
            whole = [f for f in found if isinstance(f, Tokens)]
            longest = max((len(tokens.ids) for tokens in whole), default=0)
            if wrong:
                problems.append(replace(wrong, where=source))
            elif limits.max_length is None or longest <= limits.max_length:
                yield whole, source
            elif limits.too_long == "stop":
                problems.append(problem("render.too_long", source, length=longest, limit=limits.max_length))
            elif shorter := _shorten(talks, source, longest, tokenizer, form, account, limits):
                yield shorter, source
    if problems:
        raise DataError(problems)
    account.notes += [text(f"render.note_{name}", count=count) for name, count in noted.items() if count]


def _groups(
    records: Sequence[Record], talks_of: Callable[[Record], list[Talk]], system_prompt: str, problems: list[Problem]
) -> list[tuple[list[Talk], str]]:
    groups: list[tuple[list[Talk], str]] = []
    for record in records:
        try:
            talks = talks_of(record)
        except DataError as error:
            problems += [replace(p, where=record.source) for p in error.problems]
            continue
        for talk in talks:
            talk.system = talk.system or system_prompt
        groups.append((talks, record.source))
    return groups


def _shorten(
    talks: Sequence[Talk],
    source: str,
    length: int,
    tokenizer: Tokenizer,
    form: ChatFormat,
    account: Rendering,
    limits: _Limits,
) -> list[Tokens] | None:
    cut = limits.too_long == "cut_prompt" and limits.max_length
    shorter = _cut_prompt(talks, cut, tokenizer, form) if cut else None
    if shorter is None:
        account.too_long.append((source, length))
    else:
        account.cut.append((source, length - max(len(tokens.ids) for tokens in shorter)))
    return shorter


def _cut_prompt(talks: Sequence[Talk], max_length: int, tokenizer: Tokenizer, form: ChatFormat) -> list[Tokens] | None:
    """``talks`` (the same questions) with the fewest characters cut from the front of the user's words, the earliest
    turn first; each question keeps its last character. None where that does not fit either."""

    def cut(talk: Talk, characters: int) -> Talk:
        turns: list[tuple[str, str | None]] = []
        for question, answer in talk.turns:
            taken = max(0, min(characters, len(question) - 1))
            characters -= taken
            turns.append((question[taken:].lstrip() or question[-1:], answer))
        return replace(talk, turns=turns)

    def fitting(characters: int) -> list[Tokens] | None:
        made = tokens_of([cut(talk, characters) for talk in talks], tokenizer, form)
        fits = [tokens for tokens in made if isinstance(tokens, Tokens) and len(tokens.ids) <= max_length]
        return fits if len(fits) == len(talks) else None

    low, high = 0, sum(max(0, len(question) - 1) for question, _ in talks[0].turns)
    best = fitting(high)
    if best is None:
        return None
    while high - low > 1:  # low is too long, high fits
        middle = (low + high) // 2
        made = fitting(middle)
        if made is None:
            low = middle
        else:
            best, high = made, middle
    return best


def _noted(groups: Sequence[Sequence[Talk]], form: ChatFormat) -> dict[str, int]:
    """How many records a note tells of, by note."""

    def thinks(talk: Talk) -> bool:
        return "</think>" in form.strings.ask and any("</think>" in (answer or "") for _, answer in talk.turns)

    return {
        "joined": sum(any(talk.joined for talk in talks) for talks in groups),
        "trailing": sum(any(talk.trailing for talk in talks) for talks in groups),
        "markers": sum(any(spell(talk, form).breaks for talk in talks) for talks in groups),
        "thinking": sum(any(map(thinks, talks)) for talks in groups),
    }
