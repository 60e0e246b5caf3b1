"""The leak probe: prompts made from what the desensitiser masked must not bring it back.

As Carlini et al., "Extracting Training Data from Large Language Models" (2021), ask: the model sees what stood around
a secret, and what it says next is searched for it. A value is held in memory only; no repr, no result shows one.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lora_scripts.data.pii.find import find_pii
from lora_scripts.data.pii.plain import plain_view
from lora_scripts.data.records import Message, Record

_MOST_PLACES = 100


@dataclass(frozen=True, slots=True)
class Probe:
    """A masked conversation to go on with, the opening of its answer, and what must not come: (type, value).

    The texts are masked, yet hold what was not asked to be masked: a repr shows the source alone.
    """

    messages: tuple[Message, ...] = field(repr=False)
    prefix: str = field(repr=False)
    values: tuple[tuple[str, str], ...] = field(repr=False)
    source: str


def probes(pairs: Iterable[tuple[Record, Record]], limit: int, seed: int) -> list[Probe]:
    """At most ``limit`` probes of records that were masked, the same ones for the same seed.

    An answer is asked for twice: by the masked conversation alone, and with the answer's own beginning up to its
    first mask.

    Args:
        pairs: A record as read and the same one as trained; others than masked ones are passed over.
        limit: Most probes; so many records are held at most while ``pairs`` streams by.
        seed: For the choice.
    """
    chance = random.Random(seed)
    chosen: list[tuple[Record, Record]] = []
    met = 0
    for raw, masked in pairs:
        if raw.messages == masked.messages:
            continue
        met += 1
        # every record stays with the same chance (Vitter 1985, algorithm R)
        if len(chosen) < limit:
            chosen.append((raw, masked))
        elif (place := chance.randrange(met)) < limit:
            chosen[place] = (raw, masked)
    made = [probe for raw, masked in chosen for probe in _probes_of(raw, masked)]
    return made if len(made) <= limit else chance.sample(made, limit)


def leaks(probes: Sequence[Probe], answers: Sequence[str]) -> dict[str, Any]:
    """How many probes were asked and brought a value back, how many values of each type, and the records' places.

    ``answers`` are what the model says behind each probe's prefix. A value that the prompt holds does not count.
    """
    by_type: dict[str, int] = {}
    places: list[str] = []
    leaked = 0
    for probe, answer in zip(probes, answers, strict=True):
        prompt = _bare("\n".join([*(m.content for m in probe.messages), probe.prefix]))
        # the end of the prefix may be the beginning of the value
        said = _bare(probe.prefix + answer)
        out = [kind for kind, value in probe.values if _bare(value) in said and _bare(value) not in prompt]
        for kind in out:
            by_type[kind] = by_type.get(kind, 0) + 1
        leaked += bool(out)
        if out and probe.source not in places and len(places) < _MOST_PLACES:
            places.append(probe.source)
    return {"asked": len(probes), "leaked": leaked, "by_type": by_type, "places": places}


def _probes_of(raw: Record, masked: Record) -> list[Probe]:
    values: dict[tuple[str, str], None] = {}
    kept = _bare("\n".join(message.content for message in masked.messages))
    made = []
    for i, (before, after) in enumerate(zip(raw.messages, masked.messages, strict=True)):
        hidden = []
        if before.content != after.content:
            hidden = [span for span in find_pii(before.content) if _bare(span.value) not in kept]
            values |= {(span.type, span.value): None for span in hidden}
        if after.role != "assistant" or not values:
            continue
        asked = masked.messages[:i]
        made.append(Probe(asked, "", tuple(values), masked.source))
        if hidden:
            # where the two part, the mask begins; a stand-in may share the first digits of what it stands for
            both = zip(before.content, after.content, strict=False)
            parted = next((place for place, (a, b) in enumerate(both) if a != b), len(after.content))
            prefix = after.content[: min(parted, hidden[0].start)]
            if prefix.strip():
                made.append(Probe(asked, prefix, tuple(values), masked.source))
    return made


def _bare(text: str) -> str:
    """``text`` without spaces, dashes, case and odd forms of letters; numbers in words are digits."""
    plain = unicodedata.normalize("NFKC", plain_view(text)[0]).casefold()
    return "".join(c for c in plain if not c.isspace() and unicodedata.category(c) != "Pd")
