"""From a request to its answers: guarded, routed, spelled, generated, guarded again, word by word.

Nothing here knows HTTP or torch. An answer is a series of ``Delta``; whoever stops reading closes the ``Answers``, and
the engine stops with them.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lora_scripts.errors import UsageError
from lora_scripts.serve.generation import FAILED, LENGTH, STOP, Engine, Event, Generation, Sampling
from lora_scripts.serve.guardrails import Guardrails, OutputGuard
from lora_scripts.serve.limits import Admission, ApiKey
from lora_scripts.serve.routing.rules import Router
from lora_scripts.serve.stacks import Models, Pairs, UnknownModel, check_kinds, resolve
from lora_scripts.serve.store import AdapterStore, Entry
from lora_scripts.serve.text_stream import TextStream, token_text
from lora_scripts.serve.voices import Voice

ROUTED = "auto"
CONTENT_FILTER = "content_filter"


class TooLong(Exception):
    """Prompt and answer do not fit together; ``limit`` tokens do."""

    def __init__(self, prompt: int | str, answer: int, limit: int) -> None:
        super().__init__(prompt)
        self.prompt, self.answer, self.limit = prompt, answer, limit


class NotAllowed(Exception):
    """The key may not ask for this model."""


class AnswerFailed(Exception):
    """The engine could not go on."""


@dataclass(slots=True)
class Service:
    """What answers requests, put together once.

    ``grammar`` makes one from a tokenizer, stop ids and a schema; ``vocabulary``: how many token ids the model knows.
    """

    engine: Engine
    store: AdapterStore
    models: Models
    voice: Voice
    admission: Admission
    guardrails: Guardrails
    grammar: Callable[[Any, frozenset[int], Mapping[str, Any] | None], Any]
    router: Router | None = None
    vocabulary: int = 0
    default_max_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, read: ``messages`` of a chat, or ``prompts`` of completions (text or ids).

    ``schema``: None for free text, ``{}`` for any JSON object, else a JSON schema.
    """

    model: str
    pairs: list[tuple[str, float]] | None
    sampling: Sampling
    messages: tuple[tuple[str, str], ...] = ()
    prompts: tuple[str | list[int], ...] = ()
    choices: int = 1
    stops: tuple[str, ...] = ()
    max_tokens: int | None = None
    schema: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token as text and bytes with its log-probability, and the likeliest in its place."""

    text: str
    raw: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """What is new of choice ``index``; ``finish`` is empty until its end."""

    index: int
    text: str
    finish: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(slots=True)
class _Choice:
    """One answer on its way."""

    generation_id: str
    words: TextStream
    guard: OutputGuard
    tokens: int = 0
    done: bool = False
    unsent: list[TokenLogprob] = field(default_factory=list)


class Answers:
    """The answers to one request; ``async for`` gives their deltas. ``close`` must be called at the end."""

    def __init__(self, service: Service, asked: Asked, key: ApiKey | None) -> None:
        self._service, self._asked, self._key = service, asked, key
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._choices: list[_Choice] = []
        self._held: list[Entry] = []
        self._entered = 0
        self._refusal: str | None = None
        self.id = secrets.token_hex(12)
        self.created = int(time.time())
        self.began = time.monotonic()
        self.first_token: float | None = None
        self.model = asked.model
        self.route = ""
        self.pairs: Pairs = ()
        self.digests: list[str] = []
        self.prompts: list[list[int]] = []
        self.hits: list[Any] = []
        self.finishes: dict[int, str] = {}

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompts, each counted once."""
        return sum(map(len, self.prompts))

    @property
    def completion_tokens(self) -> int:
        """Tokens that were made."""
        return sum(choice.tokens for choice in self._choices)

    async def begin(self) -> None:
        """Check everything that can be refused, then let the engine begin.

        Raises:
            Busy, NotAllowed, UnknownModel, UsageError, ModelError, DataError, StoreFull, TooLong, EngineDown.
        """
        service, asked = self._service, self._asked
        count = asked.choices * max(1, len(asked.prompts))
        service.admission.enter(self._key, count)
        self._entered = count
        if asked.sampling.top_logprobs is not None and service.guardrails.guards_output:
            raise UsageError("serve.logprobs_guarded")
        self._check_size()
        self._check_ids(asked.sampling.logit_bias)
        self._check_ids(itertools.chain.from_iterable(p for p in asked.prompts if not isinstance(p, str)))
        messages = self._guarded_input()
        self._choose_model(messages)
        messages = messages if asked.messages else ()
        if self._refusal is not None:
            return
        adapters = await self._adapters()
        voice: Voice = next((e.voice for e in self._held if e.voice is not None), service.voice)
        self.prompts = await asyncio.to_thread(_prompts, voice, messages, self._asked.prompts)
        self._check_ids(itertools.chain.from_iterable(self.prompts))
        if not all(self.prompts):
            raise UsageError("serve.empty_prompt")
        most = self._most_tokens()
        stops = voice.stop_ids
        grammar = await self._grammar(voice, stops)
        loop = asyncio.get_running_loop()
        for number, prompt in enumerate(itertools.chain.from_iterable([p] * asked.choices for p in self.prompts)):
            guard = service.guardrails.open_output()
            words = TextStream(voice.tokenizer, asked.stops, strip=bool(asked.messages))
            self._choices.append(_Choice(f"{self.id}-{number}", words, guard))
            generation = Generation(
                id=self._choices[-1].generation_id,
                prompt_ids=prompt,
                max_new_tokens=most,
                stop_ids=stops,
                sampling=_seeded(asked.sampling, number),
                listen=_listener(loop, self._events, number),
                adapters=adapters,
                grammar=grammar(),
            )
            service.engine.submit(generation)

    def _guarded_input(self) -> Sequence[tuple[str, str]]:
        """The messages as the guardrails let them in; of completions the prompts are looked at as a user's words, ids
        as the text that they stand for."""
        asked, decode = self._asked, self._service.voice.tokenizer.decode
        spoken = asked.messages or tuple(("user", p if isinstance(p, str) else decode(p)) for p in asked.prompts)
        verdict = self._service.guardrails.check_input(spoken)
        self.hits += verdict.hits
        if verdict.refused is not None:
            self._refusal = verdict.refused
        if not asked.messages:
            pairs = zip(asked.prompts, spoken, verdict.messages, strict=True)
            self._asked = replace(asked, prompts=tuple(p if old == new else new[1] for p, old, new in pairs))
        return verdict.messages

    def _choose_model(self, messages: Sequence[tuple[str, str]]) -> None:
        service, asked = self._service, self._asked
        if asked.model == ROUTED and service.router is not None:
            question = next((words for role, words in reversed(messages) if role == "user"), "")
            choice = service.router.choose(question, asked.headers, self._key.name if self._key else None)
            self.model, self.route = choice.to or service.models.base, choice.why
        self.pairs = resolve(service.models, self.model, asked.pairs)
        allowed = self._key.adapters if self._key is not None else None
        if allowed is not None:
            # a stack of the request's own wants each of its adapters allowed, a named one only its name
            wanted = {name for name, _ in self.pairs} if asked.pairs is not None else set()
            if not wanted | {self.model.removeprefix(f"{service.models.base}:")} <= allowed:
                raise NotAllowed(self.model)

    async def _adapters(self) -> tuple[tuple[Any, float], ...]:
        """The adapters of the request, in memory and held until ``close``."""
        store = self._service.store
        for name, _ in self.pairs:
            try:
                held = store.hold(name)
                entry = held if held is not None else await asyncio.to_thread(store.fetch, name)
            except KeyError as error:
                raise UnknownModel(name) from error
            self._held.append(entry)
        self.digests = [entry.digest for entry in self._held]
        check_kinds({e.name: getattr(e.loaded, "method", "lora") for e in self._held}, self.pairs)
        return tuple((entry.loaded, weight) for entry, (_, weight) in zip(self._held, self.pairs, strict=True))

    def _check_size(self) -> None:
        """What can never fit is refused before it is read, which takes long: a turn is at least one token, and a token
        at most so many characters."""
        asked, limit = self._asked, self._service.engine.limit_tokens
        longest = _longest_token(self._service.voice.tokenizer)
        spoken = sum(len(words.strip()) for _, words in asked.messages) // longest
        prompts = (len(p) // longest if isinstance(p, str) else len(p) for p in asked.prompts)
        least = max(len(asked.messages), spoken, *prompts)
        if least > limit:
            raise TooLong(f"≥ {least}", asked.max_tokens or 1, limit)

    def _check_ids(self, ids: Iterable[int]) -> None:
        """An id that the model does not know would end the engine's step, and every answer in it."""
        if strange := next((i for i in ids if not 0 <= i < self._service.vocabulary), None):
            raise UsageError("serve.strange_id", id=strange, count=self._service.vocabulary)

    def _most_tokens(self) -> int:
        limit = self._service.engine.limit_tokens
        longest = max(map(len, self.prompts))
        wanted = self._asked.max_tokens
        if longest + (wanted or 1) > limit:
            raise TooLong(longest, wanted or 1, limit)
        return wanted or min(self._service.default_max_tokens, limit - longest)

    async def _grammar(self, voice: Voice, stops: frozenset[int]) -> Callable[[], Any]:
        schema, make = self._asked.schema, self._service.grammar
        if schema is None:
            return lambda: None
        await asyncio.to_thread(make, voice.tokenizer, stops, schema)  # the first one of a tokenizer is slow
        return lambda: make(voice.tokenizer, stops, schema)

    async def __aiter__(self) -> AsyncIterator[Delta]:
        if self._refusal is not None:
            count = self._asked.choices * max(1, len(self._asked.prompts))
            for index in range(count):
                yield self._finished(Delta(index, self._refusal, CONTENT_FILTER))
            return
        open_choices = len(self._choices)
        while open_choices:
            index, event = await self._events.get()
            choice = self._choices[index]
            if choice.done:
                continue
            delta = self._delta(index, choice, event)
            if delta.finish:
                choice.done = True
                open_choices -= 1
                self.hits += choice.guard.hits
                self._finished(delta)
            if delta.text or delta.finish:
                yield delta

    def _finished(self, delta: Delta) -> Delta:
        self.finishes[delta.index] = delta.finish
        return delta

    def _delta(self, index: int, choice: _Choice, event: Event) -> Delta:
        if event.reason == FAILED:
            raise AnswerFailed(event.detail)
        assert event.token is not None
        self.first_token = self.first_token or time.monotonic()
        choice.tokens += 1
        words = choice.words
        text = words.feed(event.token) if event.reason != STOP else ""
        self._note_logprob(choice, event)
        guarded = choice.guard.feed(text) if text else ""
        ended = bool(event.reason) or words.stopped or choice.guard.refused
        if not ended:
            return Delta(index, guarded, logprobs=self._logprobs(choice) if guarded else ())
        if not event.reason:
            self._service.engine.cancel(choice.generation_id)
        rest = words.end()
        guarded += (choice.guard.feed(rest) if rest else "") + choice.guard.end()
        finish = choice.guard.finish_reason or (LENGTH if event.reason == LENGTH and not words.stopped else STOP)
        return Delta(index, guarded, finish, self._logprobs(choice))

    def _note_logprob(self, choice: _Choice, event: Event) -> None:
        if event.logprob is None or event.token is None or event.reason == STOP:
            return
        tokenizer = self._service.voice.tokenizer
        top = tuple(TokenLogprob(*token_text(tokenizer, token), value) for token, value in event.top)
        choice.unsent.append(TokenLogprob(*token_text(tokenizer, event.token), event.logprob, top))

    def _logprobs(self, choice: _Choice) -> tuple[TokenLogprob, ...]:
        sent, choice.unsent = tuple(choice.unsent), []
        return sent

    def close(self) -> None:
        """Stop what still runs and give back what was held."""
        for choice in self._choices:
            if not choice.done:
                choice.done = True
                self._service.engine.cancel(choice.generation_id)
        for entry in self._held:
            self._service.store.release(entry)
        self._held = []
        if self._entered:
            self._service.admission.leave(self._key, self._entered, self.prompt_tokens + self.completion_tokens)
            self._entered = 0


def _listener(
    loop: asyncio.AbstractEventLoop, events: asyncio.Queue[tuple[int, Event]], number: int
) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        try:
            loop.call_soon_threadsafe(events.put_nowait, (number, event))
        except RuntimeError:  # the server's loop has ended, nobody waits
            return

    return listen


@functools.lru_cache(maxsize=64)
def _longest_token(tokenizer: Any) -> int:
    """Characters of the longest token, at most."""
    return max(map(len, tokenizer.get_vocab()))


def _prompts(voice: Voice, messages: Sequence[tuple[str, str]], prompts: Sequence[str | list[int]]) -> list[list[int]]:
    if messages:
        return [voice.prompt_ids(messages)]
    return [voice.tokenizer(p)["input_ids"] if isinstance(p, str) else list(p) for p in prompts]


def _seeded(sampling: Sampling, number: int) -> Sampling:
    """Each choice draws its own numbers, also under one seed."""
    return sampling if sampling.seed is None or not number else replace(sampling, seed=sampling.seed + number)
