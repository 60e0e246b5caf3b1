"""A conversation with a base model and its adapters: one, a stack, another one at any time, or base and adapter side by
side. It runs on the server's simple engine, so that an answer here is the answer there."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_scripts.adapters.files import find_weights, read_adapter
from lora_scripts.adapters.picture_files import refuse_pictures
from lora_scripts.adapters.provenance import provenance_of
from lora_scripts.assemble.adapters import weighed
from lora_scripts.assemble.text.corrections import train_on_command
from lora_scripts.errors import LoraScriptsError, ModelError, UsageError
from lora_scripts.messages import text
from lora_scripts.models.passing_thread import in_passing_thread
from lora_scripts.models.text import (
    base_fingerprint,
    check_base,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_precision,
)
from lora_scripts.serve.engine.segments import Layout, attach
from lora_scripts.serve.engine.simple import SimpleEngine
from lora_scripts.serve.engine.weights import LoadedAdapter, load_weights
from lora_scripts.serve.generation import FAILED, STOP, Event, Generation, Sampling
from lora_scripts.serve.stacks import check_kinds
from lora_scripts.serve.text_stream import TextStream
from lora_scripts.serve.voices import Voice, voice_of

SAVED_TO = Path("output/chat/saved.jsonl")
QUIT = ("/quit", "/exit", "/退出", "quit", "exit", "退出")
HELP = ("/help", "/帮助")
CONTEXT_TOKENS = 1 << 20  # what the model itself can hold is less
LARGEST_RANK = 4096

Turns = Sequence[tuple[str, str]]
"""(role, content); the last one is the user's."""
Write = Callable[[str], None]


@dataclass(slots=True)
class Partner:
    """A model that answers under the adapters in ``stack`` (name → weight), spelled to as they were in training.

    ``notes`` are lines to show first, ``folders`` where each adapter lies, ``saved`` counts the answers that were kept.
    """

    model: Any
    layout: Layout
    base: Path
    fingerprint: str
    base_voice: Voice
    max_new_tokens: int
    adapters: dict[str, LoadedAdapter] = field(default_factory=dict)
    voices: dict[str, Voice] = field(default_factory=dict)
    stack: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)
    saved: int = 0
    engine: Any = None
    asked: int = 0

    def load(self, path: str) -> str:
        """Load the adapter in ``path``; the name that it has from now on.

        Raises:
            ModelError: It cannot be used on this base.
        """
        refuse_pictures(Path(path))
        folder = find_weights(path).parent if Path(path).is_dir() else Path(path)
        trained_on = provenance_of(folder).get("base", {}).get("fingerprint")
        if trained_on is None:
            self.notes.append(text("cli.no_provenance", folder=folder))
        elif trained_on != self.fingerprint:
            raise ModelError("cli.other_base", where=folder, base=self.base)
        name = folder.stem if folder.is_file() else folder.resolve().name
        name = name if name not in self.adapters else f"{name}-{len(self.adapters)}"
        self.adapters[name] = in_passing_thread(
            lambda: load_weights(name, folder, self.model, largest_rank=LARGEST_RANK)
        )
        self.folders[name] = folder
        self.voices[name] = voice_of(folder, self.base_voice.tokenizer)
        return name

    def use(self, stack: dict[str, float]) -> None:
        """Answer under these adapters from now on.

        Raises:
            UsageError: One is not there, or they cannot act together.
        """
        if unknown := [name for name in stack if name not in self.adapters]:
            raise UsageError("cli.no_such_adapter", where=unknown[0], names=", ".join(self.adapters) or "-")
        check_kinds({n: a.method for n, a in self.adapters.items()}, tuple(stack.items()))
        self.stack = stack

    def reply(self, turns: Turns, write: Write | None = None, stack: dict[str, float] | None = None) -> str:
        """The answer to a conversation; ``write`` is given its words as they come.

        Raises:
            ModelError: The conversation is longer than the model can hold.
        """
        chosen = self.stack if stack is None else stack
        voice = self.voices[next(iter(chosen))] if chosen else self.base_voice
        ids = voice.prompt_ids(turns)
        if len(ids) + self.max_new_tokens > self.engine.limit_tokens:
            raise ModelError("cli.too_long", count=len(ids), limit=self.engine.limit_tokens)
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.asked += 1
        self.engine.submit(
            Generation(
                id=str(self.asked),
                prompt_ids=ids,
                max_new_tokens=self.max_new_tokens,
                stop_ids=voice.stop_ids,
                sampling=Sampling(),
                listen=events.put,
                adapters=tuple((self.adapters[name], weight) for name, weight in chosen.items()),
            )
        )
        try:
            return _read(events, TextStream(voice.tokenizer, strip=True), write or (lambda _: None)).strip()
        finally:
            self.engine.cancel(str(self.asked))

    def close(self) -> None:
        """End the engine's thread: where Python ends while it still computes, the process aborts."""
        self.engine.close()


def _read(events: queue.SimpleQueue[Event], words: TextStream, write: Write) -> str:
    said = ""
    while True:
        event = events.get()
        if event.reason == FAILED:
            raise ModelError("cli.answer_failed", reason=event.detail)
        piece = words.feed(event.token) if event.token is not None and event.reason != STOP else ""
        piece += words.end() if event.reason else ""
        write(piece)
        said += piece
        if event.reason:
            return said


def open_chat(
    adapters: Sequence[str], *, base_model: str | None = None, device: str = "auto", max_new_tokens: int = 256
) -> Partner:
    """Load the base that the first adapter was trained on, and every adapter on it; ``DIR:0.5`` weighs one.

    Whoever opens it closes it.

    Raises:
        ModelError: An adapter or the base cannot be used, or they do not belong together.
    """
    wanted = [weighed(word) for word in adapters]
    for path, _ in wanted:
        refuse_pictures(path)
    first = find_weights(wanted[0][0]).parent
    record = provenance_of(first)
    named = base_model or record.get("base", {}).get("path") or read_adapter(first)[0]["base_model_name_or_path"]
    base = check_base(str(named))
    place, notes = resolve_device(device)
    dtype, _, more = resolve_precision("auto", place)
    quantization = record.get("config", {}).get("quantization", "none")
    fingerprint = base_fingerprint(base)
    for path, _ in wanted:  # before the base is loaded, which takes longer
        trained_on = provenance_of(find_weights(path).parent).get("base", {}).get("fingerprint")
        if trained_on not in (None, fingerprint):
            raise ModelError("cli.other_base", where=path, base=base)
    model = load_model(base, dtype=dtype, device=place, quantization=quantization)
    layout = attach(model)
    partner = Partner(model, layout, base, fingerprint, Voice(load_tokenizer(base)), max_new_tokens)
    partner.notes = [*notes, *more]
    stack: dict[str, float] = {}
    loaded: dict[Path, str] = {}
    for path, weight in wanted:
        name = loaded.get(path) or loaded.setdefault(path, partner.load(str(path)))
        stack[name] = stack.get(name, 0.0) + weight
    partner.use(stack)
    partner.engine = SimpleEngine(model, layout, limit_tokens=CONTEXT_TOKENS)
    return partner


def converse(partner: Partner, ask: Callable[[str], str], say: Write, write: Write) -> None:
    """Talk until one of ``QUIT`` or the end of input. ``say`` prints a line, ``write`` a piece of one."""
    say(text("cli.chat_opening"))
    try:
        _converse(partner, ask, say, write)
    finally:
        for line in _closing(partner):
            say(line)


def _converse(partner: Partner, ask: Callable[[str], str], say: Write, write: Write) -> None:
    turns: list[tuple[str, str]] = []
    while True:
        try:
            words = ask("> ").encode("utf-8", "replace").decode().strip()
        except EOFError:
            return
        command, _, rest = words.partition(" ")
        if words.casefold() in QUIT:
            return
        try:
            if command.startswith("/"):
                turns = _obey(partner, command, rest.strip(), turns, say)
            elif words:
                turns = [*turns, ("user", words)]
                turns.append(("assistant", partner.reply(turns, write)))
                say("")
        except LoraScriptsError as error:
            say(str(error))
            turns = turns[:-1] if turns and turns[-1][0] == "user" else turns


def _obey(partner: Partner, command: str, rest: str, turns: list[tuple[str, str]], say: Write) -> list[tuple[str, str]]:
    """Do what a command says; the conversation as it is afterwards."""
    if command == "/new":
        return []
    if command == "/save":
        say(_keep(partner, turns, rest))
    elif command in HELP:
        say(text("cli.chat_help"))
    elif command == "/adapter":
        _choose(partner, rest, say)
    elif command == "/stack":
        parts = [weighed(word) for word in rest.split()]
        partner.use({_named(partner, str(path)): weight for path, weight in parts})
        say(_state(partner))
    elif command == "/compare":
        _compare(partner, rest, turns, say)
    else:
        say(text("cli.chat_unknown", word=command))
    return turns


def _choose(partner: Partner, word: str, say: Write) -> None:
    """One adapter by name or folder; ``base`` is none of them; without a word they are listed."""
    if word == "base":
        partner.use({})
    elif word:
        partner.use({_named(partner, word): 1.0})
    else:
        for name, adapter in partner.adapters.items():
            say(f"  {name}: {adapter.method}, r={adapter.rank}, {adapter.nbytes / 1e6:.1f} MB")
    say(_state(partner))


def _named(partner: Partner, word: str) -> str:
    """The name of an adapter that is loaded, or of one that lies in this folder and is loaded now."""
    return word if word in partner.adapters or not Path(word).exists() else partner.load(word)


def _state(partner: Partner) -> str:
    named = " ".join(f"{name}:{weight:g}" for name, weight in partner.stack.items())
    return text("cli.chat_now", stack=named or "base")


def _compare(partner: Partner, question: str, turns: list[tuple[str, str]], say: Write) -> None:
    """The same question to the base and to the adapters: a new one, or the last one again."""
    asked = [("user", question)] if question else turns[:-1]
    if not asked:
        say(text("cli.nothing_to_compare"))
        return
    now = " ".join(f"{name}:{weight:g}" for name, weight in partner.stack.items())
    say(f"[base] {partner.reply(asked, stack={})}")
    say(f"[{now or 'base'}] {partner.reply(asked)}")


def _keep(partner: Partner, turns: Turns, better: str) -> str:
    """Add the last question and its answer, or a better one, to the file of training records."""
    if not turns:
        return text("cli.nothing_to_save")
    question, answer = turns[-2][1], better or turns[-1][1]
    file = saved_to(partner)
    file.parent.mkdir(parents=True, exist_ok=True)
    record = {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")
    partner.saved += 1
    return text("cli.saved", path=file)


def saved_to(partner: Partner) -> Path:
    """The file of kept answers: one for each adapter or stack, since what one should say another should not."""
    return SAVED_TO.with_name(f"{'+'.join(partner.stack)}.jsonl") if partner.stack else SAVED_TO


def _closing(partner: Partner) -> list[str]:
    """After a talk in which answers were kept: the command that trains the adapter on them."""
    if not partner.saved or not partner.stack:
        return []
    trained = train_on_command(partner.folders[next(iter(partner.stack))], saved_to(partner))
    return [text("cli.next", command=trained)] if trained else []
