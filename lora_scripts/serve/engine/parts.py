"""What adapters do to some rows of a linear layer's output, one class for each method.

Shapes: T rows of the batch, I inner and O outer features, R rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Scattered:
    """Rows of a batch that do not lie together: their int64 indices, and for a small batch how often each row of it is
    among them, [T, 1]."""

    indices: Tensor
    times_T1: Tensor | None


Rows = slice | Scattered
"""Rows of a batch."""


def picked(rows: Rows) -> slice | Tensor:
    """What selects the rows of a tensor."""
    return rows if isinstance(rows, slice) else rows.indices


class Part(Protocol):
    """What an adapter does to one layer."""

    nbytes: int

    def act(self, x_TI: Tensor, y_TO: Tensor, rows: Rows, weight: float) -> None:
        """Change ``rows`` of the layer's output in place."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """LoRA: adds ``weight`` · x A B to the rows, the scale folded into B. ``a_IR`` [I, R] and ``b_RO`` [R, O]."""

    a_IR: Tensor
    b_RO: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return self.a_IR.nbytes + self.b_RO.nbytes

    def act(self, x_TI: Tensor, y_TO: Tensor, rows: Rows, weight: float) -> None:
        """Add the product of these rows."""
        if isinstance(rows, slice):
            y_TO[rows].addmm_(x_TI[rows] @ self.a_IR, self.b_RO, alpha=weight)
        elif rows.times_T1 is not None:
            y_TO.addmm_((x_TI @ self.a_IR).mul_(rows.times_T1), self.b_RO, alpha=weight)
        else:
            y_TO.index_add_(0, rows.indices, (x_TI[rows.indices] @ self.a_IR) @ self.b_RO, alpha=weight)


@dataclass(frozen=True, slots=True)
class Directed:
    """DoRA (Liu et al. 2024): the weight of length ``m`` in the direction of W + sBA, by rows of the weight.

    ``magnitude_O`` is m / ‖W + sBA‖, computed once where the adapter is loaded; the base's bias is not rescaled.
    """

    low_rank: LowRank
    magnitude_O: Tensor
    bias_O: Tensor | None

    @property
    def nbytes(self) -> int:
        """Bytes of its own tensors."""
        return self.low_rank.nbytes + self.magnitude_O.nbytes

    def act(self, x_TI: Tensor, y_TO: Tensor, rows: Rows, weight: float) -> None:
        """Rescale these rows; ``weight`` is 1."""
        at = picked(rows)
        y = y_TO[at].clone()
        y += (x_TI[at] @ self.low_rank.a_IR) @ self.low_rank.b_RO
        if self.bias_O is not None:
            y = (y - self.bias_O) * self.magnitude_O + self.bias_O
        else:
            y *= self.magnitude_O
        y_TO[at] = y


@dataclass(frozen=True, slots=True)
class Factors:
    """IA3: one factor for each outer feature."""

    factors_O: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of its own tensors."""
        return self.factors_O.nbytes

    def act(self, x_TI: Tensor, y_TO: Tensor, rows: Rows, weight: float) -> None:
        """Multiply these rows by 1 + ``weight`` · (factor - 1)."""
        at = picked(rows)
        y_TO[at] = y_TO[at] * (1 + weight * (self.factors_O - 1))


@dataclass(frozen=True, slots=True)
class InnerFactors:
    """IA3 of a feed-forward layer: one factor for each inner feature, before the layer."""

    factors_I: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of its own tensors."""
        return self.factors_I.nbytes
