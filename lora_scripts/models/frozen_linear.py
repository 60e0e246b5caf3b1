"""Linear layers whose weights do not train, multiplied by oneDNN on a CPU.

torch multiplies float32 matrices by MKL, which knows AMD's processors badly: oneDNN, which torch carries too, does the
same product faster there (bench/onednn.py), and an answer of one token at a time gains most. The result is the same
but for the order of summation. Shapes: … leading dimensions, I inner and O outer features.
"""

from __future__ import annotations

import os
import platform
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST_WEIGHT = 1 << 16  # below it, the call costs more than the product gains
# oneDNN keeps what it prepared for a shape, about 1 MB, and torch keeps it too. Steps differ in their number of tokens:
# at 1024 shapes, the default, a gigabyte would fill with what no step asks for again. One step has about 15 shapes.
CACHES = {"LRU_CACHE_CAPACITY": "24", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "24"}


def _onednn_linear() -> Any:
    """The operator that torch's own compiler calls, or None where this build has none."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_LINEAR = _onednn_linear()


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight_OI)
        return product(x, weight_OI, bias_O)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weight_OI,) = ctx.saved_tensors
        return product(gradients[0], weight_OI.t()), None, None


def product(x: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """``F.linear`` of x […, I] for use where autograd does not look; [..., O] in x's dtype."""
    if _LINEAR is None or x.is_cuda or x.dtype != torch.float32 or weight_OI.numel() < SMALLEST_WEIGHT:
        return F.linear(x, weight_OI, bias_O)
    y: Tensor = _LINEAR(x.flatten(0, -2), weight_OI, bias_O, "none", [], "")
    return y.view(*x.shape[:-1], -1)


def _forward(layer: nn.Linear, x: Tensor) -> Tensor:
    if layer.weight.requires_grad or x.dtype != torch.float32:
        return F.linear(x, layer.weight, layer.bias)
    return _FrozenLinear.apply(x, layer.weight, layer.bias)  # type: ignore[no-any-return, no-untyped-call]


class _FrozenInt8(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, codes_OI: Tensor, scale_O: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(codes_OI, scale_O)
        return product(x, _from_codes(codes_OI, scale_O, x.dtype), bias_O)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        codes_OI, scale_O = ctx.saved_tensors
        return product(gradients[0], _from_codes(codes_OI, scale_O, gradients[0].dtype).t()), None, None, None


def _from_codes(codes_OI: Tensor, scale_O: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight that bitsandbytes holds as int8: a code of 127 is the largest absolute value of its row."""
    return codes_OI.to(dtype).mul_(scale_O[:, None] / 127)


def int8_forward(layer: Any, x: Tensor) -> Tensor:
    """Output of a ``bitsandbytes.nn.Linear8bitLt`` with its weight rounded and its input exact.

    Its own code for a CPU rounds the input too, but only outside training: what is validated would then not be what
    is trained.
    """
    return _FrozenInt8.apply(x, layer.state.CB, layer.state.SCB, layer.bias)  # type: ignore[no-any-return, no-untyped-call]


def use_onednn(model: nn.Module) -> None:
    """Let the linear layers of a model on a CPU go through oneDNN while they are frozen and in float32."""
    if _LINEAR is None:
        return
    for name, capacity in CACHES.items():  # both are read at the first product
        os.environ.setdefault(name, capacity)
    for module in model.modules():
        if type(module) is nn.Linear:
            module.forward = partial(_forward, module)  # type: ignore[method-assign]
