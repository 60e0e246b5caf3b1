"""From rows to documents: what the model will see, what it is asked, and whether two runs learn the same."""

from __future__ import annotations

import hashlib
import inspect
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, starmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_scripts.assemble.pictures.records import preview_pictures
from lora_scripts.assemble.text.survey import Rows, rows_of, survey_for
from lora_scripts.config import Config
from lora_scripts.data import chat_format, render, spelling
from lora_scripts.data.cache import cache_key
from lora_scripts.data.chat_format import ChatFormat, template_of
from lora_scripts.data.ledger import Finding
from lora_scripts.data.preview import preview_lines
from lora_scripts.data.records import Message, Record
from lora_scripts.data.render import Document, Rendering, iter_documents, iter_pairs, joined, render_prompt
from lora_scripts.data.rendered_cache import CachedDocuments, cached_documents
from lora_scripts.data.split import TRAINING, VALIDATION
from lora_scripts.errors import DataError
from lora_scripts.messages import text
from lora_scripts.models.text import check_base, load_tokenizer

MOST_ASKED = 1000  # held-out records that are kept as text, to be asked


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rows as documents. ``form`` is how conversations are spelled; ``notes`` are lines for the user."""

    training: Sequence[Document]
    validation: Sequence[Document]
    questions: list[Record]
    form: ChatFormat
    notes: list[str]


def render_rows(rows: Rows, tokenizer: Any, config: Config) -> Rendered:
    """Rows as documents; records that are too long go where ``too_long`` says, and the ledger with them.

    Raises:
        DataError: A document is too long under ``too_long: stop``, or none is left.
    """
    notes: list[str] = []
    sides = [_render_side(rows, side, tokenizer, config, notes) for side in (TRAINING, VALIDATION)]
    rows.ledger.check_sum()
    if not sides[0]:
        raise DataError("run.nothing_left", where=config.data_path, limit=config.max_seq_length)
    kept = {document.source for document in sides[1][: 2 * MOST_ASKED]}
    questions = list(islice((record for record in rows.of(VALIDATION) if record.source in kept), MOST_ASKED))
    return Rendered(sides[0], sides[1], questions, template_of(tokenizer), notes)


def _render_side(rows: Rows, side: int, tokenizer: Any, config: Config, notes: list[str]) -> Sequence[Document]:
    """The documents of one side: a list, or for a large set a file that is mapped into memory."""
    rendering = Rendering()

    def make() -> Iterator[Document]:
        nonlocal rendering
        rendering = Rendering()
        if preference:
            return starmap(joined, iter_pairs(rows.of(side), tokenizer, rendering, **settings))
        return iter_documents(rows.of(side), tokenizer, rendering, **settings)

    def account() -> dict[str, Any]:
        return {"too_long": rendering.too_long, "cut": rendering.cut, "notes": rendering.notes}

    preference = config.task_type == "preference"
    settings: dict[str, Any] = {
        "max_length": config.max_seq_length,
        "too_long": config.too_long,
        "system_prompt": config.system_prompt or "",
    }
    documents: Sequence[Document]
    if rows.large:
        key = cache_key(
            content=rows.content,
            side=side,
            tokenizer=tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else tokenizer.get_vocab(),
            template=template_of(tokenizer).template,
            code=[inspect.getsource(room) for room in (render, spelling, chat_format)],
            preference=preference,
            **settings,
        )
        documents = cached_documents(key, make, account=account, say=notes.append)
        if isinstance(documents, CachedDocuments):
            rendering = Rendering(**documents.account)
    else:
        documents = list(make())
    for source, length in rendering.too_long:
        note = text("run.too_long", length=length, limit=config.max_seq_length)
        rows.ledger.take_back(source, "too_long", note, validation=side == VALIDATION)
    for source, count in rendering.cut:
        said = text("run.cut", count=count)
        rows.ledger.findings.append(Finding("warning", "prompt_cut", source, said))
    notes += [note for note in rendering.notes if note not in notes]
    return documents


def prompt_of(record: Record, tokenizer: Any, system_prompt: str | None) -> list[int]:
    """The ids that ask for the last answer of ``record``."""
    messages: Sequence[Message] = record.messages
    last = max(i for i, message in enumerate(messages) if message.role == "assistant")
    return question_prompt(messages[:last], tokenizer, system_prompt)


def question_prompt(messages: Sequence[Message], tokenizer: Any, system_prompt: str | None) -> list[int]:
    """The ids of a conversation that ends with a question, under the run's system prompt."""
    has_own = any(message.role == "system" for message in messages)
    opening = [Message("system", system_prompt)] if system_prompt and not has_own else []
    return render_prompt([*opening, *messages], tokenizer)


def identities(rendered: Rendered) -> tuple[str, dict[str, NDArray[np.int64]]]:
    """sha256 over all documents and masks, and a number for each document of each side.

    The first is equal where the same things are learned and validated; a number tells a document in another run.
    """
    whole = hashlib.sha256()
    numbers = {}
    for side, documents in (("training", rendered.training), ("validation", rendered.validation)):
        digests = [_digest(document) for document in documents]
        whole.update(b"".join(digests) + b"|")
        numbers[side] = np.frombuffer(b"".join(digest[:8] for digest in digests), dtype=np.int64)
    return f"sha256:{whole.hexdigest()}", numbers


def _digest(document: Document) -> bytes:
    learned = bytes(document.loss_mask)
    return hashlib.sha256(array("i", document.input_ids).tobytes() + learned).digest()


def preview_records(config: Config, count: int) -> Iterator[tuple[str, list[tuple[str, bool]], int, int]]:
    """The first ``count`` training records as the model sees them: source, (text, learned) runs, learned, total."""
    if config.draws:
        yield from preview_pictures(config, count)
        return
    tokenizer = load_tokenizer(check_base(config.base_model))
    rows = rows_of(survey_for(config))
    for document in render_rows(rows, tokenizer, config).training[:count]:
        pieces = preview_lines(document, tokenizer)
        yield document.source, pieces, sum(document.loss_mask), len(document.input_ids)
