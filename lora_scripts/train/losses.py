"""Losses as sums: the caller divides once, by the learned tokens of the whole step."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def summed_cross_entropy(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Sum over N learned tokens of the cross-entropy of ``logits_NV``, in float32 nats."""
    return F.cross_entropy(logits_NV.float(), targets_N, reduction="sum")
