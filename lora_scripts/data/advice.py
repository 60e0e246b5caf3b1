"""Settings that suit the size of a set, as lines for the config file."""

from __future__ import annotations

FEW = 200  # records below which a set teaches a form rather than knowledge
SMALL = 1000  # records below which over-fitting is the first thing to watch

# Below so many records: rank, dropout, epochs, rate, share to validate on. docs/advice.md holds the runs behind it: on
# 50 to 200 rows adapters on all linear layers and a larger rank were better at their best, and there sooner. So it is
# stopping in time that a small set needs, not a small adapter: the fewer records, the more of them validate.
_BY_SIZE: tuple[tuple[float, int, float, int, float, float], ...] = (
    (50, 16, 0.1, 10, 1e-4, 0.2),
    (FEW, 16, 0.1, 8, 1.5e-4, 0.15),
    (SMALL, 16, 0.1, 5, 1.5e-4, 0.1),
    (10_000, 16, 0.05, 3, 2e-4, 0.05),
    (float("inf"), 32, 0.0, 2, 2e-4, 0.02),
)
_PATIENT_BELOW = 10_000
SMALL_BASE = 1_000_000_000  # parameters below which a base wants ten times the rate (docs/advice.md)


def advice(records: int, base_parameters: int | None = None) -> dict[str, object]:
    """Config keys and values for a set of ``records`` and a base of this size (None: some billions of parameters)."""
    _, rank, dropout, epochs, rate, ratio = next(row for row in _BY_SIZE if records < row[0])
    if base_parameters is not None and base_parameters < SMALL_BASE:
        rate = round(10 * rate, 9)
    keys: dict[str, object] = {
        "lora_rank": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": dropout,
        "target_modules": "all-linear",
        "epochs": epochs,
        "learning_rate": rate,
        "eval_ratio": ratio,
    }
    return keys | {"early_stopping_patience": 3} if records < _PATIENT_BELOW else keys


def advice_lines(records: int, base_parameters: int | None = None) -> str:
    """``advice`` as lines of YAML."""
    return "\n".join(f"{key}: {plain(value)}" for key, value in advice(records, base_parameters).items())


def plain(value: object) -> str:
    """A value as people write it in a config: ``1.5e-4``, ``0.1``, ``8``."""
    if isinstance(value, float) and 0 < value < 1e-2:
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{digits.removesuffix('.0')}e{int(power)}"
    return str(value)
