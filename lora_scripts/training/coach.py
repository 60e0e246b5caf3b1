"""What the figures of a run say about it: pure decisions, plain words, and the config lines to change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lora_scripts.messages import text

_AFTER_BEST = 3  # evaluations that must have come since the best one
_FEWEST = 5  # evaluations, the base's own included, below which nothing is said
_SURE, _LONG_ENOUGH = 0.02, 8  # share by which the loss must have risen, once so many evaluations are there
_UNSURE = 0.05  # the same while there are fewer: their noise cannot be told from their course
_SPREADS = 4.5  # standard deviations of the noise that a rise must exceed
_RECENT = 24  # evaluations that the noise is taken from
_STILL = 0.005  # share by which the loss falls in the last quarter of a run that was too short
_LEARNED = 0.005  # share below the base's loss from which a run has learned something
_COPIES = 0.1  # rise of the copy rate that is told
# parameters of the base below which this range of learning rates is advised
_RATES = ((50e6, (5e-4, 1e-2)), (1e9, (2e-4, 3e-3)), (4e9, (5e-5, 1e-3)), (math.inf, (2e-5, 5e-4)))


@dataclass(frozen=True, slots=True)
class Figures:
    """One evaluation; the base's own, at step 0, comes first. Losses in nats a learned token, rates from 0 to 1.

    ``train_loss`` is the mean since the evaluation before, ``copy_rate`` the share of answers with long stretches of
    training answers, ``house_form`` the share in the house form.
    """

    step: int
    epoch: float
    train_loss: float | None
    eval_loss: float
    copy_rate: float | None = None
    house_form: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What of a run's settings advice is derived from.

    ``steps`` is the length of the plan, ``base_parameters`` the size of the frozen base (None: not known).
    """

    steps: int
    epochs: int
    max_steps: int | None
    learning_rate: float
    lora_rank: int
    lora_dropout: float
    max_grad_norm: float = 1.0
    base_parameters: int | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """``verdict``: over_fitting, harmful, diverging, not_learning, still_learning, levelled, done, unwatched.

    ``harmful`` is over-fitting from the first evaluation on: the base itself has the lowest validation loss.
    ``levelled`` means that validation was at its lowest before the end and has not clearly risen since.

    ``told`` are lines for the user, ``changes`` the config keys to change with their new values.
    """

    verdict: str
    told: tuple[str, ...]
    changes: dict[str, int | float]

    @property
    def spoils(self) -> bool:
        """Whether going on makes it worse: what ends a run under ``coach: stop``."""
        return self.verdict in ("over_fitting", "harmful", "diverging")

    def lines(self, *, stops: bool | None = None) -> list[str]:
        """What is told, and the lines to change in the config; ``stops`` says whether the run ends here (None: did)."""
        changes = [text("coach.change"), *(f"    {key}: {plain(value)}" for key, value in self.changes.items())]
        end = [] if stops is None or not self.spoils else [text("coach.stops" if stops else "coach.goes_on")]
        return [*self.told, *end, *(changes if self.changes else [])]


def plain(value: int | float) -> str:
    """A number as people write it in a config: ``5e-5``, ``0.1``, ``8``."""
    return f"{value:.3g}".replace("e-0", "e-") if isinstance(value, float) else str(value)


def advise(figures: Sequence[Figures], settings: Settings) -> Advice | None:
    """What should be said while the run goes on; None where there is nothing to say.

    Over-fitting means that validation loss has risen above its best by more than its noise explains, in at least
    three evaluations, while training loss went on falling; where that rose too, the run is diverging.
    """
    losses = [f.eval_loss for f in figures]
    if rise(losses) > 1:
        return _risen(figures, settings)
    if len(figures) > _AFTER_BEST and figures[-1].step >= 0.3 * settings.steps and _idle(figures):
        return _not_learning(figures, settings)
    return None


def rise(losses: Sequence[float], *, after_best: int = _AFTER_BEST) -> float:
    """How far the last losses stand above the best ones, in units of what counts as a clear rise; 0 at least.

    Medians of three are compared, so that one lucky evaluation is not the measure. A clear rise is 2 % (5 % of a
    short series), and 4.5 standard deviations of the noise, more where few evaluations tell about the noise.
    """
    best = min(range(len(losses)), key=losses.__getitem__, default=0)
    if len(losses) < _FEWEST or len(losses) - 1 - best < after_best:
        return 0.0
    level = median(losses[max(0, best - 1) : best + 2])
    spread, seen = _noise(losses[1:])
    share = _SURE if len(losses) >= _LONG_ENOUGH else _UNSURE
    clear = max(share * abs(level), _SPREADS * (1 + 4 / max(seen, 1)) * spread)
    return max(0.0, median(losses[-3:]) - level) / max(clear, 1e-12)


def _noise(losses: Sequence[float]) -> tuple[float, int]:
    """Standard deviation of the noise of recent losses, and the number of places that it was seen at.

    Second differences of white noise have 6 times its variance. Only the negative ones are taken: those of a curve
    that falls ever slower, or turns upwards, are positive.
    """
    recent = losses[-_RECENT:]
    bends = [a - 2 * b + c for a, b, c in zip(recent, recent[1:], recent[2:], strict=False)]
    against = [bend for bend in bends if bend < 0]
    return (math.sqrt(sum(b * b for b in against) / len(against) / 6) if against else 0.0), len(against)


def _train_change(figures: Sequence[Figures], since: int) -> float:
    """Relative change of the training loss from evaluation ``since`` to the last three; 0 where it is not known."""
    before = [f.train_loss for f in figures[max(0, since - 1) : since + 2] if f.train_loss is not None]
    now = [f.train_loss for f in figures[-3:] if f.train_loss is not None]
    return median(now) / max(median(before), 1e-12) - 1 if before and now else 0.0


def _best(figures: Sequence[Figures]) -> int:
    return min(range(len(figures)), key=lambda i: figures[i].eval_loss)


def _idle(figures: Sequence[Figures]) -> bool:
    """Whether neither validation nor training loss has moved since the start."""
    base = figures[0].eval_loss
    learned = base - min(f.eval_loss for f in figures) > _LEARNED * abs(base)
    moved = figures[-1].eval_loss > (1 + _SURE) * base
    return not learned and not moved and -0.02 < _train_change(figures, 1) < 0.05


def _risen(figures: Sequence[Figures], settings: Settings) -> Advice:
    """Validation stands above its best: over-fitting where training loss fell meanwhile, else diverging."""
    best, last = figures[_best(figures)], figures[-1]
    values = {"best": best.eval_loss, "epoch": best.epoch, "last": last.eval_loss, "now": last.epoch}
    if _train_change(figures, _best(figures)) > 0.05:
        return Advice("diverging", (text("coach.diverging", **values),), _calmer(settings))
    if best is figures[0]:
        harm = text("coach.harmful", base=best.eval_loss, last=last.eval_loss, now=last.epoch)
        return Advice("harmful", (harm, *_copying(figures)), _gentler(settings))
    told = [text("coach.over_fitting", **values, train=last.train_loss or math.nan), *_copying(figures)]
    return Advice("over_fitting", tuple(told), _less(best, settings))


def _not_learning(figures: Sequence[Figures], settings: Settings) -> Advice:
    told = text("coach.not_learning", base=figures[0].eval_loss, last=figures[-1].eval_loss, now=figures[-1].epoch)
    _, highest = usual_rates(settings.base_parameters)
    rate = settings.learning_rate
    if rate * 1.5 < highest:
        return Advice("not_learning", (told,), {"learning_rate": min(rate * 3, highest)})
    return Advice("not_learning", (told,), {"lora_rank": min(1024, settings.lora_rank * 2)})


def usual_rates(base_parameters: int | None) -> tuple[float, float]:
    """Lowest and highest learning rate that is advised for an adapter on a base of this size.

    Small bases need higher rates: on 6 million parameters 1.5e-3 to 5e-3 was best, on 135 and 270 million 1e-3
    (docs/advice.md); for billions 1e-4 to 2e-4 is usual (docs/sources.md).
    """
    if base_parameters is None:
        return 0.0, 6e-3
    return next(rates for most, rates in _RATES if base_parameters < most)


def _lower(settings: Settings, divisor: int) -> dict[str, int | float]:
    """A lower rate, not below what suits the base; nothing where the rate is that low already."""
    lowest, _ = usual_rates(settings.base_parameters)
    rate = max(settings.learning_rate / divisor, min(lowest, settings.learning_rate))
    return {"learning_rate": rate} if rate < settings.learning_rate * 0.9 else {}


def _gentler(settings: Settings) -> dict[str, int | float]:
    """Where validation was worse than the base from the start: a lower rate, one epoch, more dropout."""
    changes = _lower(settings, 3)
    if not settings.max_steps and settings.epochs > 1:
        changes["epochs"] = 1
    return changes if settings.lora_dropout >= 0.1 else changes | {"lora_dropout": 0.1}


def _copying(figures: Sequence[Figures]) -> list[str]:
    rates = [f.copy_rate for f in figures if f.copy_rate is not None]
    if len(rates) < 2 or rates[-1] - rates[0] < _COPIES:
        return []
    return [text("coach.copying", before=rates[0] * 100, after=rates[-1] * 100)]


def _less(best: Figures, settings: Settings) -> dict[str, int | float]:
    """Against over-fitting: stop where it was best, more dropout.

    No smaller rank: it was worse at its best, and only later there (docs/advice.md).
    """
    changes: dict[str, int | float] = {}
    if settings.max_steps:
        changes["max_steps"] = max(1, best.step)
    elif (epochs := max(1, math.ceil(best.epoch))) < settings.epochs:
        changes["epochs"] = epochs
    if best.epoch <= 1:  # the first round was too much already
        changes |= _lower(settings, 2)
    if settings.lora_dropout < 0.1:
        changes["lora_dropout"] = 0.1
    return changes


def _calmer(settings: Settings) -> dict[str, int | float]:
    changes = _lower(settings, 3)
    return changes if 0 < settings.max_grad_norm <= 1 else changes | {"max_grad_norm": 1.0}


def closing(figures: Sequence[Figures], settings: Settings) -> Advice:
    """What happened in a run that is over, in plain words, and what to change next time."""
    if len(figures) < 2:
        return Advice("unwatched", (text("coach.unwatched"),), {})
    best, last = figures[_best(figures)], figures[-1]
    told = [_account(figures, best, last, settings), *_copying(figures)]
    forms = [f.house_form for f in figures if f.house_form is not None]
    if len(forms) > 1:
        told.append(text("coach.form", before=forms[0] * 100, after=forms[-1] * 100))
    verdict, changes = _judged(figures, best, settings)
    if verdict in ("still_learning", "done"):
        told.append(text(f"coach.{verdict}"))
    elif verdict == "levelled":
        told.append(_levelled(figures, best, last))
    else:
        told.append(text(f"coach.was_{verdict}"))
    return Advice(verdict, tuple(told), changes)


def _levelled(figures: Sequence[Figures], best: Figures, last: Figures) -> str:
    """The end of a run whose best evaluation was not its last one."""
    above = last.eval_loss - best.eval_loss
    fell = best.train_loss is not None and last.train_loss is not None and last.train_loss < best.train_loss
    return text("coach.levelled_train_fell" if fell else "coach.levelled", epoch=best.epoch, above=above)


def _account(figures: Sequence[Figures], best: Figures, last: Figures, settings: Settings) -> str:
    values = {"best": best.eval_loss, "epoch": best.epoch, "last": last.eval_loss, "now": last.epoch}
    base = figures[0].eval_loss
    if best.train_loss is None:
        return text("coach.account", **values, base=base)
    gap = best.eval_loss - best.train_loss
    return text("coach.account_gap", **values, base=base, train=best.train_loss, gap=gap)


def _judged(figures: Sequence[Figures], best: Figures, settings: Settings) -> tuple[str, dict[str, int | float]]:
    losses = [f.eval_loss for f in figures]
    if _idle(figures):
        return "not_learning", _not_learning(figures, settings).changes
    few = len(losses) < _FEWEST and losses[-1] > (1 + _UNSURE) * best.eval_loss
    # half of what speaks up in the middle of a run; few evaluations are judged by the size of the rise alone
    if best is figures[0] or few or rise(losses, after_best=2) > 0.5:
        risen = _risen(figures, settings)
        return risen.verdict, risen.changes
    if best is not figures[-1]:
        return "levelled", {}
    quarter = losses[-max(2, len(losses) // 4) - 1 :]
    fell = quarter[0] - quarter[-1]
    if fell > max(_STILL * abs(best.eval_loss), 2 * _noise(losses[1:])[0]):
        longer = {"max_steps": settings.max_steps * 3 // 2} if settings.max_steps else {"epochs": _longer(settings)}
        return "still_learning", dict(longer)
    return "done", {}


def _longer(settings: Settings) -> int:
    return min(100_000, math.ceil(settings.epochs * 1.5))
