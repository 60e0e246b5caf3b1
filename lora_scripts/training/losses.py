"""Losses of single tokens: the caller sums them, and divides once, by the count of the whole step.

Shapes: N learned tokens, D hidden width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lora_scripts.models.frozen_linear import product
from lora_scripts.models.head import Head

ROWS = 256


class _HeadCrossEntropy(torch.autograd.Function):
    """Losses and gradients, ``ROWS`` tokens at a time: at no time are the logits of all tokens in memory.

    With a vocabulary of 262 thousand they are the largest thing in a step, three times over (logits, log-softmax,
    gradient). The idea is that of Liger Kernel (Hsu et al. 2024, arXiv:2410.10989, section 3.2).
    """

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, head: Head, targets_N: Tensor) -> Tensor:
        losses, gradients = [], []
        for hidden, targets in zip(torch.split(hidden_ND, ROWS), torch.split(targets_N, ROWS), strict=True):
            losses_R, gradient_RV = _losses_and_gradient(hidden, head, targets)
            losses.append(losses_R)
            if ctx.needs_input_grad[0]:
                gradients.append(product(gradient_RV.to(head.weight.dtype), head.weight.t()))
            del gradient_RV  # or it is held while the next logits are made
        if gradients:
            ctx.gradient_ND = torch.cat(gradients)
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        return (ctx.gradient_ND * upstream[0][:, None]).to(ctx.gradient_ND.dtype), None, None


def _losses_and_gradient(hidden_ND: Tensor, head: Head, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """The losses [N], and the gradient of their sum by the head's product [N, V], both in float32."""
    logits_NV = product(hidden_ND.to(head.weight.dtype), head.weight, head.bias).float()
    if head.cap:
        logits_NV = logits_NV.div_(head.cap).tanh_().mul_(head.cap)
    slope_NV = 1 - (logits_NV / head.cap).square_() if head.cap else None
    rows = torch.arange(len(targets_N), device=targets_N.device)
    wanted_N = logits_NV[rows, targets_N]
    highest_N1 = logits_NV.amax(1, keepdim=True)
    exponentials_NV = logits_NV.sub_(highest_N1).exp_()
    sums_N1 = exponentials_NV.sum(1, keepdim=True)
    losses_N = (sums_N1.log() + highest_N1)[:, 0] - wanted_N
    gradient_NV = exponentials_NV.div_(sums_N1)
    gradient_NV[rows, targets_N] -= 1
    return losses_N, gradient_NV if slope_NV is None else gradient_NV.mul_(slope_NV)


def head_cross_entropy(hidden_ND: Tensor, head: Head, targets_N: Tensor) -> Tensor:
    """The cross-entropy of what ``head`` makes of ``hidden_ND``, for each of N tokens, in float32 nats."""
    return _HeadCrossEntropy.apply(hidden_ND, head, targets_N)  # type: ignore[no-any-return, no-untyped-call]


def cross_entropy(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """The cross-entropy of ``logits_NV``, for each of N tokens, in float32 nats."""
    return F.cross_entropy(logits_NV.float(), targets_N, reduction="none")
