"""Settings that suit the size of a set, as lines for the config file."""

from __future__ import annotations

FEW = 200  # records below which a set teaches a form rather than knowledge
SMALL = 1000  # records below which over-fitting is the first thing to watch

# Below so many records: rank, dropout, epochs, rate, share to validate on. The fewer there are, the sooner an adapter
# knows them by heart: a smaller rank, more dropout, more to validate on, and a stop when validation turns. 200 rows
# of statute questions were best after 5 rounds and worse after 15. More rank helps little, adapters on every linear
# layer do more (PEFT's MetaMathQA benchmark).
_BY_SIZE: tuple[tuple[float, int, float, int, float, float], ...] = (
    (50, 4, 0.1, 10, 1e-4, 0.2),
    (FEW, 8, 0.1, 8, 1.5e-4, 0.15),
    (SMALL, 16, 0.1, 5, 1.5e-4, 0.1),
    (10_000, 16, 0.05, 3, 2e-4, 0.05),
    (float("inf"), 32, 0.0, 2, 2e-4, 0.02),
)
_PATIENT_BELOW = 10_000
_LONG = 200  # characters of an answer that says more than a form


def advice(records: int, *, answer_length: float = 0) -> dict[str, object]:
    """Config keys and values for a set of ``records``; the rate is for a base of some billions of parameters.

    Args:
        records: How many are there to train on.
        answer_length: Middle length of an answer in characters; long answers teach words and facts, which need more
            layers than a short form does.
    """
    _, rank, dropout, epochs, rate, ratio = next(row for row in _BY_SIZE if records < row[0])
    keys: dict[str, object] = {"lora_rank": rank, "lora_alpha": 2 * rank, "lora_dropout": dropout}
    if records >= FEW or answer_length > _LONG:
        keys["target_modules"] = "all-linear"
    keys |= {"epochs": epochs, "learning_rate": rate, "eval_ratio": ratio}
    if records < _PATIENT_BELOW:
        keys["early_stopping_patience"] = 3
    return keys


def advice_lines(records: int, *, answer_length: float = 0) -> str:
    """``advice`` as lines of YAML."""
    return "\n".join(f"{key}: {_plain(value)}" for key, value in advice(records, answer_length=answer_length).items())


def _plain(value: object) -> str:
    if isinstance(value, float) and 0 < value < 1e-3:
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{digits}e{int(power)}"
    return str(value)
