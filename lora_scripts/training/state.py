"""What a run carries from step to step, and how it goes into a checkpoint and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class RunState:
    """Position and memory of a run; everything but adapter and optimiser. Losses in nats a learned token.

    ``window_…`` sum up since the last logged line, ``since_…`` since the last evaluation; ``stopped`` says that the
    coach ended the run. ``micro_batch`` is what memory was found to hold at once, 0 where it never ran out. ``origin``
    is the adapter that an incremental run started from, ``before`` what was measured with it.
    """

    step: int = 0
    tokens: int = 0
    window_loss: float = 0.0
    window_steps: int = 0
    since_loss: float = 0.0
    since_steps: int = 0
    stopped: bool = False
    first_loss: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    last_eval_step: int = -1
    evaluations_without_gain: int = 0
    micro_batch: int = 0
    fingerprints: dict[str, str] = field(default_factory=dict)
    origin: str = ""
    before: dict[str, float] = field(default_factory=dict)

    def see(self, eval_loss: float) -> bool:
        """Take note of a validation loss; True where it is the best so far.

        The loss before the first step is the base's: it is what to beat, never the best.
        """
        self.last_eval_step = self.step
        if self.step == 0:
            self.first_loss = eval_loss
            return False
        if self.best_loss is None or eval_loss < self.best_loss:
            self.best_loss, self.best_step, self.evaluations_without_gain = eval_loss, self.step, 0
            return True
        self.evaluations_without_gain += 1
        return False

    def to_json(self) -> str:
        """The state as JSON text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunState:
        """The state back from its JSON text."""
        return cls(**json.loads(text))


def random_states() -> dict[str, Tensor]:
    """The state of torch's generators, CPU and every CUDA device."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda.{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_random(states: Mapping[str, Tensor]) -> None:
    """Put ``random_states`` back."""
    torch.set_rng_state(states["cpu"])
    for name, state in states.items():
        if name.startswith("cuda.") and torch.cuda.is_available():
            torch.cuda.set_rng_state(state, int(name.removeprefix("cuda.")))
