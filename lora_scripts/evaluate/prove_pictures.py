"""The proof of a picture adapter: the file on the disk, loaded by stock diffusers into a fresh base, does what training
said."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_scripts.adapters.picture_files import read_picture_adapter
from lora_scripts.adapters.pictures import PictureAdapter, merge_pictures, picture_adapter
from lora_scripts.evaluate.prove import Check, Proof, apart, untouched
from lora_scripts.models.diffusion import quiet_diffusers
from lora_scripts.models.probe import Probe, pass_of, trained_parts
from lora_scripts.models.text import quiet

LEAST_CHANGE = 1e-4  # of the largest value; a pass through the U-Net repeats to the last bit


def prove_pictures(
    folder: Path,
    load: Callable[[], Any],
    probe: Probe,
    ours: Tensor,
    trained: PictureAdapter,
    *,
    tolerance: float,
) -> Proof:
    """Check the adapter in ``folder``; ``ours`` is what the trained model made of ``probe``.

    ``tolerance`` is relative to the largest value: 1e-4 in float32. ``load`` gives a fresh stock pipeline.
    """
    pipeline = load()
    parts = trained_parts(pipeline)
    bare = pass_of(pipeline, probe)
    with quiet(), quiet_diffusers():  # they warn of each part that has no adapter, and show bars
        pipeline.load_lora_weights(str(folder), adapter_name="default")
    bound, on = picture_adapter(parts).tensors, pass_of(pipeline, probe)
    pipeline.unload_lora_weights()
    off = pass_of(pipeline, probe)
    read = read_picture_adapter(folder)
    merge_pictures(parts, [("default", read, 1.0)])
    merged = pass_of(pipeline, probe)
    differing = _differing(trained.tensors, bound)
    reread = _differing(trained.tensors, read.tensors)
    broken = sum(not torch.isfinite(value).all() for value in read.tensors.values())
    scale = max(1.0, float(ours.abs().max()))
    within, least = tolerance * scale, LEAST_CHANGE * scale
    checks = [
        Check("every_value_is_finite", not broken, broken, 0),
        Check("every_tensor_is_bound_by_stock_diffusers", not differing, differing, 0),
        Check("every_tensor_reads_back_the_same", not reread, reread, 0),
        untouched(trained.tensors),
        Check("stock_diffusers_denoises_as_ours", apart(on, ours) <= within, apart(on, ours), within),
        Check("adapter_on_differs_from_off_by_at_least", apart(on, off) >= least, apart(on, off), least),
        Check("adapter_off_equals_base", apart(off, bare) == 0, apart(off, bare), 0),
        Check("merged_equals_adapter", apart(merged, on) <= within, apart(merged, on), within),
    ]
    return Proof([c if math.isfinite(c.value) else Check(c.name, False, -1.0, c.bound) for c in checks], {})


def _differing(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> int:
    """How many tensors are missing, strange, or of other values."""
    return sum(
        name not in wanted or name not in found or not torch.equal(wanted[name].float(), found[name].float().cpu())
        for name in {*wanted, *found}
    )
