"""Products of frozen float32 layers: oneDNN, as this package calls it, against torch's own ``linear``.

    python bench/onednn.py [--runs 7]

For each size (tokens × inner × outer features) both take turns on the same values, forth and back; weights are many,
so that none waits in the cache. The figure is torch's time over ours, the median of the runs. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from training_speed import machine  # type: ignore[import-not-found]  # it lies beside this file

from lora_scripts.models.frozen_linear import product, use_onednn

SIZES = [
    (640, 768, 768),
    (640, 768, 2048),
    (640, 2048, 768),
    (256, 768, 32_000),
    (256, 640, 262_144),
    (1, 768, 2048),
    (1, 640, 262_144),
]
MOST_WEIGHTS, MOST_VALUES = 12, 1 << 28

Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def seconds(call: Product, x: torch.Tensor, weights: list[torch.Tensor]) -> float:
    """Time of one call, over all weights."""
    began = time.perf_counter()
    for weight in weights:
        call(x, weight)
    return (time.perf_counter() - began) / len(weights)


def ratio(x: torch.Tensor, weights: list[torch.Tensor], runs: int) -> float:
    """torch's time over ours; a first run of each is not counted."""
    pairs = [(seconds(F.linear, x, weights), seconds(product, x, weights)) for _ in range(runs + 1)]
    return round(median(theirs / ours for theirs, ours in pairs[1:]), 2)


def main() -> None:
    """Print the table and its JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each side (default 7)")
    runs = parser.parse_args().runs
    use_onednn(torch.nn.Module())  # limits its caches, as loading a model does
    print(f"{machine()}\n\n{'tokens':>6} {'inner':>7} {'outer':>7}  {'forth':>6} {'back':>6}")
    told = {}
    for tokens, inner, outer in SIZES:
        count = max(1, min(MOST_WEIGHTS, MOST_VALUES // (inner * outer)))
        weights = [torch.randn(outer, inner) for _ in range(count)]
        forth = ratio(torch.randn(tokens, inner), weights, runs)
        back = ratio(torch.randn(tokens, outer), [weight.t() for weight in weights], runs)
        print(f"{tokens:>6} {inner:>7} {outer:>7}  {forth:>6.2f} {back:>6.2f}", flush=True)
        told[f"{tokens}x{inner}x{outer}"] = [forth, back]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
