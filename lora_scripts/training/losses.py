"""Losses as sums: the caller divides once, by the learned tokens of the whole step."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _SummedCrossEntropy(torch.autograd.Function):
    """Cross-entropy whose gradient is written over the logits.

    With a vocabulary of 262 thousand the logits are the largest thing in a step; the usual way holds them three
    times (logits, log-softmax, gradient). If anything else still needed them, autograd would raise.
    """

    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, targets_N: Tensor) -> Tensor:
        lse_N = torch.logsumexp(logits_NV, dim=1)
        rows = torch.arange(len(targets_N), device=targets_N.device)
        loss = (lse_N - logits_NV[rows, targets_N]).sum()
        logits_NV.sub_(lse_N[:, None]).exp_()
        logits_NV[rows, targets_N] -= 1
        ctx.gradient_NV = logits_NV
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        return ctx.gradient_NV.mul_(upstream[0]), None


def summed_cross_entropy(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Sum over N learned tokens of the cross-entropy of ``logits_NV``, in float32 nats.

    Where a gradient is wanted, ``logits_NV`` is used up.
    """
    logits_NV = logits_NV.float()
    if logits_NV.requires_grad and torch.is_grad_enabled():
        return _SummedCrossEntropy.apply(logits_NV, targets_N)  # type: ignore[no-any-return, no-untyped-call]
    return F.cross_entropy(logits_NV, targets_N, reduction="sum")
