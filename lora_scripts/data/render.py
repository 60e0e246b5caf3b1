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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise

from lora_scripts.data.chat_format import ChatFormat, Tokenizer, ids_of, template_of
from lora_scripts.data.records import Message, Record
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


@dataclass(slots=True)
class _Talk:
    """A conversation in turns: ``turns`` are (question, answer); the last answer is None where it is asked for."""

    system: str
    turns: list[tuple[str, str | None]]
    joined: bool = False
    trailing: bool = False


@dataclass(frozen=True, slots=True)
class _Spelled:
    """A conversation's text; ``cuts`` are the ends of its prompts and its own end, ``breaks`` lie inside forged
    markers; ``marks`` is the number of control tokens that the turns need."""

    text: str
    cuts: list[int]
    breaks: list[int]
    marks: int


def render(messages: Sequence[Message], tokenizer: Tokenizer, *, max_length: int | None = None) -> Document:
    """The training document of one conversation.

    Learned are every assistant turn's words and its end-of-turn token, nothing else.

    Raises:
        DataError: Longer than ``max_length`` tokens (never cut silently), an empty or missing answer, an order of
            roles that cannot be rendered.
    """
    form = template_of(tokenizer)
    document = _documents([(_training_talk(messages), "")], tokenizer, form)[0]
    if isinstance(document, Problem):
        raise DataError([document])
    if max_length is not None and len(document.input_ids) > max_length:
        raise DataError("render.too_long", length=len(document.input_ids), limit=max_length)
    return document


def render_prompt(messages: Sequence[Message], tokenizer: Tokenizer) -> list[int]:
    """The ids that chat and serving send: the conversation up to where the model speaks.

    For every assistant turn ``i`` of a conversation these ids of ``messages[:i]`` are a prefix of `render`'s,
    which begins to learn right behind them.

    Raises:
        DataError: The last message is not the user's, or the roles cannot be rendered.
    """
    form = template_of(tokenizer)
    talk = _talk(messages)
    if talk.turns[-1][1] is not None:
        raise DataError("render.prompt_ends", role="assistant")
    spelled = _spell(talk, form)
    ids = _ids_at_cuts(spelled, tokenizer)[-1]
    wrong = _wrong_marks(ids, spelled, form)
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
    if too_long not in POLICIES:
        raise DataError("render.bad_policy", policy=too_long)
    form = template_of(tokenizer)
    account.notes += form.note.splitlines()
    problems: list[Problem] = []
    noted: Counter[str] = Counter()
    stream = iter(records)
    while batch := list(islice(stream, _BATCH)):
        talks = _talks(batch, system_prompt.strip(), problems)
        noted.update(_noted([talk for talk, _ in talks], form))
        for (talk, source), document in zip(talks, _documents(talks, tokenizer, form), strict=True):
            if isinstance(document, Problem):
                problems.append(document)
            elif max_length is None or len(document.input_ids) <= max_length:
                yield document
            elif too_long == "stop":
                problems.append(problem("render.too_long", source, length=len(document.input_ids), limit=max_length))
            elif shorter := _shorten(document, talk, max_length, too_long, tokenizer, form, account):
                yield shorter
    if problems:
        raise DataError(problems)
    account.notes += [text(f"render.note_{name}", count=count) for name, count in noted.items() if count]


def _talks(records: Sequence[Record], system_prompt: str, problems: list[Problem]) -> list[tuple[_Talk, str]]:
    talks: list[tuple[_Talk, str]] = []
    for record in records:
        try:
            talk = _training_talk(record.messages)
        except DataError as error:
            problems += [Problem(p.text, record.source, p.fix) for p in error.problems]
            continue
        talk.system = talk.system or system_prompt
        talks.append((talk, record.source))
    return talks


def _shorten(
    document: Document,
    talk: _Talk,
    max_length: int,
    too_long: str,
    tokenizer: Tokenizer,
    form: ChatFormat,
    account: Rendering,
) -> Document | None:
    length = len(document.input_ids)
    shorter = _cut_prompt(talk, document.source, max_length, tokenizer, form) if too_long == "cut_prompt" else None
    if shorter is None:
        account.too_long.append((document.source, length))
    else:
        account.cut.append((document.source, length - len(shorter.input_ids)))
    return shorter


def _cut_prompt(talk: _Talk, source: str, max_length: int, tokenizer: Tokenizer, form: ChatFormat) -> Document | None:
    """The document with the fewest characters cut from the front of the user's words, the earliest turn first;
    each question keeps its last character. None where that does not fit either."""

    def cut(characters: int) -> _Talk:
        turns: list[tuple[str, str | None]] = []
        for question, answer in talk.turns:
            taken = max(0, min(characters, len(question) - 1))
            characters -= taken
            turns.append((question[taken:].lstrip() or question[-1:], answer))
        return _Talk(talk.system, turns)

    def documented(characters: int) -> Document | None:
        made = _documents([(cut(characters), source)], tokenizer, form)[0]
        return made if isinstance(made, Document) and len(made.input_ids) <= max_length else None

    low, high = 0, sum(max(0, len(question) - 1) for question, _ in talk.turns)
    best = documented(high)
    if best is None:
        return None
    while high - low > 1:  # low is too long, high fits
        middle = (low + high) // 2
        made = documented(middle)
        if made is None:
            low = middle
        else:
            best, high = made, middle
    return best


def _noted(talks: list[_Talk], form: ChatFormat) -> dict[str, int]:
    """How many conversations a note tells of, by note."""

    def thinks(talk: _Talk) -> bool:
        return "</think>" in form.strings.ask and any("</think>" in (answer or "") for _, answer in talk.turns)

    return {
        "joined": sum(talk.joined for talk in talks),
        "trailing": sum(talk.trailing for talk in talks),
        "markers": sum(bool(_spell(talk, form).breaks) for talk in talks),
        "thinking": sum(map(thinks, talks)),
    }


def _talk(messages: Sequence[Message]) -> _Talk:
    """The conversation in turns; neighbours of one role are joined by a line break."""
    talk = _Talk("", [])
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
        last = role
    if not talk.turns:
        raise DataError("render.no_question", role=last or "-")
    return talk


def _training_talk(messages: Sequence[Message]) -> _Talk:
    """The conversation up to its last answer."""
    talk = _talk(messages)
    if any(message.role == "assistant" and not message.content.strip() for message in messages):
        raise DataError("render.empty_answer")
    if talk.turns[-1][1] is None:
        talk.turns.pop()
        talk.trailing = True
    if not talk.turns:
        raise DataError("render.no_answer")
    return talk


def _spell(talk: _Talk, form: ChatFormat) -> _Spelled:
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
    return _Spelled("".join(pieces), cuts, breaks, marks + has_end * m["close"])


def _documents(talks: Sequence[tuple[_Talk, str]], tokenizer: Tokenizer, form: ChatFormat) -> list[Document | Problem]:
    """The document of each conversation, or what is wrong with it; all texts go to the tokenizer at once."""
    made: list[Document | Problem | _Spelled] = []
    for talk, source in talks:
        try:
            made.append(_spell(talk, form))
        except DataError as error:
            made.append(Problem(error.problems[0].text, source, error.problems[0].fix))
    wholes = [[s.text[:cut] for cut in s.cuts] for s in made if isinstance(s, _Spelled) and not s.breaks]
    flat = iter(ids_of(tokenizer, [part for parts in wholes for part in parts]))
    done: list[Document | Problem] = []
    for spelled, (_, source) in zip(made, talks, strict=True):
        if not isinstance(spelled, _Spelled):
            done.append(spelled)
            continue
        at_cuts = [] if spelled.breaks else [next(flat) for _ in spelled.cuts]
        if spelled.breaks or not _nested(at_cuts):
            at_cuts = _ids_at_cuts(spelled, tokenizer)
        done.append(_masked(at_cuts, spelled, form, source))
    return done


def _nested(at_cuts: list[list[int]]) -> bool:
    """Whether each is a prefix of the next."""
    return all(longer[: len(shorter)] == shorter for shorter, longer in pairwise(at_cuts))


def _ids_at_cuts(spelled: _Spelled, tokenizer: Tokenizer) -> list[list[int]]:
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


def _wrong_marks(ids: list[int], spelled: _Spelled, form: ChatFormat, source: str = "") -> Problem | None:
    found = sum(map(form.control_ids.__contains__, ids))
    if found == spelled.marks:
        return None
    return problem("render.control_tokens", source, found=found, expected=spelled.marks)


def _masked(at_cuts: list[list[int]], spelled: _Spelled, form: ChatFormat, source: str) -> Document | Problem:
    ids = at_cuts[-1]
    wrong = _wrong_marks(ids, spelled, form, source)
    if wrong is not None:
        return wrong
    mask = [False] * len(ids)
    for prompt in at_cuts[:-1]:
        begin = len(prompt)
        end = ids.index(form.end_id, begin) + 1  # the first one after the prompt: no answer can hold its id
        mask[begin:end] = [True] * (end - begin)
    return Document(ids, mask, source)
