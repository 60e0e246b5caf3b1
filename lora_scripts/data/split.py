"""Training and validation: by the content of the question, so that no question stands on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from lora_scripts.data.clean import finding, normal
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.records import Record

FEWEST = 8  # below this many records none is set aside
_TELLING = 8  # a later question shorter than this ("and then?") says nothing about its conversation


def split_records(
    records: Sequence[Record], ratio: float, seed: int = 0, ledger: Ledger | None = None
) -> tuple[list[Record], list[Record]]:
    """``(training, validation)``, both in the order of ``records``.

    A record's side follows from its first question and ``seed`` alone, so order does not matter and new records
    never move old ones. Questions that differ in spaces, punctuation or case only count as one; a conversation
    whose later question is asked in training goes to training too. With ``ratio`` above 0 and at least 8 records
    at least one stands on each side where there are two different questions.

    Args:
        records: What was kept.
        ratio: Wanted share of validation, 0 to below 1.
        seed: Another seed, another split.
        ledger: Where given, ``validation`` is set, and a finding says so when nothing could be set aside.
    """
    chosen: set[str] = set()
    keys = [normal(r.question) for r in records]
    if ratio > 0 and len(records) >= FEWEST:
        draw = {key: _draw(key, seed) for key in keys}
        chosen = {key for key, u in draw.items() if u < ratio}
        order = sorted(draw, key=draw.__getitem__)
        if len(order) > 1:
            chosen = (chosen or {order[0]}) - (set(order[-1:]) if len(chosen) == len(order) else set())
        else:
            chosen = set()
    held = _without_shared_questions(records, keys, chosen)
    training = [r for r, out in zip(records, held, strict=True) if not out]
    validation = [r for r, out in zip(records, held, strict=True) if out]
    if ledger is not None:
        ledger.validation = len(validation)
        if ratio > 0 and not validation:
            ledger.findings.append(finding("warning", "no_validation", "", count=len(records)))
    return training, validation


def _draw(key: str, seed: int) -> float:
    return (
        int.from_bytes(blake2b(f"{seed}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        / 2**64
    )


def _without_shared_questions(records: Sequence[Record], keys: list[str], chosen: set[str]) -> list[bool]:
    """Which records are validation, after moving those that share a later question with training."""
    later = [
        [q for m in r.messages if m.role == "user" and len(q := normal(m.content)) >= _TELLING]
        if len(r.messages) > 3
        else []
        for r in records
    ]
    held = [key in chosen for key in keys]
    moved = True
    while moved:
        moved = False
        trained = {q for out, key, more in zip(held, keys, later, strict=True) if not out for q in (key, *more)}
        for i, out in enumerate(held):
            if out and any(q in trained for q in (keys[i], *later[i])):
                held[i], moved = False, True
    return held
