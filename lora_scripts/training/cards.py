"""Which cards would hold a run, and which keys would make it fit a smaller one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lora_scripts.messages import text
from lora_scripts.training.memory import Forecast, Shape, Way, Work, forecast

CARDS_GIB = (8, 12, 16, 24)
RESERVED = 1 << 30
"""Of a card's memory, what the driver, the CUDA context and the gaps between tensors take: an estimate. Cards tell
of 0.2 to 0.4 GiB less than their name, a context takes 0.3 to 0.5 GiB."""
LENGTHS = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256)


@dataclass(frozen=True, slots=True)
class CardFit:
    """One size of card: whether it holds the run as it is, and else which config keys would make it (None: none do).

    ``predicted`` is the peak with those keys, without them where they are None; ``usable`` is what the card has for it.
    """

    gib: int
    usable: int
    fits: bool
    predicted: int
    phase: str
    fixes: dict[str, object] | None


def cards(shape: Shape, work: Work, way: Way, *, accumulation: int, half: bool) -> list[CardFit]:
    """What cards of 8, 12, 16 and 24 GB would hold this run, whatever device it is planned for.

    ``accumulation`` is the config's gradient_accumulation_steps, ``half`` whether a card would compute in 16 bits.
    """
    shape = replace(shape, bytes_per_parameter=2 if half else 4)
    way = replace(way, device="cuda")
    as_is = forecast(shape, work, way)
    fits = []
    for gib in CARDS_GIB:
        usable = (gib << 30) - RESERVED
        if as_is.peak <= usable:
            fits.append(CardFit(gib, usable, True, as_is.peak, as_is.phase, {}))
            continue
        chosen = next((c for c in _cheaper(shape, work, way, accumulation) if c[1].peak <= usable), None)
        keys, found = chosen if chosen else (None, as_is)
        fits.append(CardFit(gib, usable, False, found.peak, found.phase, keys))
    return fits


def _cheaper(shape: Shape, work: Work, way: Way, accumulation: int) -> Iterator[tuple[dict[str, object], Forecast]]:
    """Changed keys and what they would take, those that harm least first.

    Checkpointing costs time only, smaller micro-batches too (the step stays the same), 8 and 4 bits cost exactness,
    shorter texts cost content. So nothing that costs more is changed where what costs less is enough.
    """
    lengths = [work.longest, *(n for n in LENGTHS if n < work.longest)]
    kinds = [way.quantization, *(("int8", "nf4") if way.quantization == "none" else ())]
    for length in lengths:
        for kind in kinds:
            for size in _halves(work.batch_size):
                for checkpointing in (True,) if way.checkpointing or size < work.batch_size else (False, True):
                    keys: dict[str, object] = {}
                    if checkpointing and not way.checkpointing:
                        keys["gradient_checkpointing"] = True
                    if size < work.batch_size:
                        keys["batch_size"] = size
                        keys["gradient_accumulation_steps"] = accumulation * work.batch_size // size
                    if kind != way.quantization:
                        keys["quantization"] = kind
                    if length < work.longest:
                        keys["max_seq_length"] = length
                    if keys:
                        less = replace(way, checkpointing=checkpointing, quantization=kind)
                        yield keys, forecast(shape, _smaller(work, size, length), less)


def _halves(size: int) -> Iterator[int]:
    """The micro-batches that cut a step evenly, from the largest: size, and its halves as long as they are whole."""
    yield size
    while size % 2 == 0:
        size //= 2
        yield size
    if size > 1:
        yield 1


def _smaller(work: Work, batch_size: int, length: int) -> Work:
    """The work of smaller micro-batches of shorter texts, at most: the longest documents may come together."""
    longest = min(work.longest, length)
    tokens = min(work.tokens, batch_size * longest)
    held_out = min(work.validation_tokens, batch_size * longest)
    return replace(
        work,
        batch_size=batch_size,
        longest=longest,
        shortest=min(work.shortest, longest),
        tokens=tokens,
        learned=min(work.learned, tokens),
        validation_tokens=held_out,
        validation_learned=min(work.validation_learned, held_out),
    )


def card_lines(fits: Sequence[CardFit]) -> list[str]:
    """What to tell the user: a line a card."""
    return [_line(fit) for fit in fits]


def _line(fit: CardFit) -> str:
    sizes = {"card": fit.gib, "gib": fit.predicted / 2**30, "usable": fit.usable / 2**30}
    if fit.fits:
        return text("memory.card_holds", **sizes)
    if fit.fixes is None:
        return text("memory.card_too_small", **sizes)
    keys = ", ".join(f"{name}: {str(value).lower()}" for name, value in fit.fixes.items())
    return text("memory.card_holds_with", keys=keys, **sizes)


PHASES = {
    "load": "memory.phase_load",
    "train": "memory.phase_train",
    "validate": "memory.phase_validate",
    "answer": "memory.phase_answer",
    "prove": "memory.phase_prove",
}


def forecast_line(found: Forecast) -> str:
    """The predicted peak in words, and the phase that rules."""
    weights, peak = found.weights / 2**30, found.peak / 2**30
    return text("memory.predicted", gib=peak, weights=weights, phase=text(PHASES[found.phase]))


def measured_line(predicted: int, measured: int) -> str:
    """Predicted against measured peak in words; both in bytes above what the process held before."""
    ratio = predicted / max(1, measured)
    return text("memory.measured", predicted=predicted / 2**30, measured=measured / 2**30, ratio=ratio)
