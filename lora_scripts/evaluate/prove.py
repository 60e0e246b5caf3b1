"""The proof: the adapter on the disk, loaded by stock peft into a fresh base, does what training said."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from lora_scripts.adapters.files import LINKED_FILE, WEIGHTS_FILE, adapter_tensors
from lora_scripts.errors import Problem, problem
from lora_scripts.messages import text


@dataclass(frozen=True, slots=True)
class Check:
    """One thing proven or not: ``value`` against ``bound`` (what is told by the name)."""

    name: str
    ok: bool
    value: float
    bound: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What was checked, and by its name what could not be, with the reason."""

    checks: list[Check]
    left_out: dict[str, str]


@torch.no_grad()
def logits_of(model: PreTrainedModel | PeftModel, ids: Sequence[int]) -> Tensor:
    """Logits [L, V] in float32 on the CPU for one document of L tokens, without dropout."""
    was_training = model.training
    model.eval()
    out = model(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False).logits[0].float().cpu()
    model.train(was_training)
    return out  # type: ignore[no-any-return]


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference between two tensors."""
    return float((a - b).abs_().max())


def prove(
    folder: Path,
    load_base: Callable[[], PreTrainedModel],
    ids: Sequence[int],
    ours: Tensor,
    *,
    tolerance: float,
    training_prompt: str,
    chat_prompt: str,
) -> Proof:
    """Check the adapter in ``folder``; ``ours`` are the trained model's logits [L, V] on the document ``ids``.

    ``tolerance`` is relative to the largest logit: 1e-4 in float32. The base is loaded afresh by ``load_base``.
    """
    scale = max(1.0, float(ours.abs().max()))
    base = load_base()
    bare = logits_of(base, ids)
    model = PeftModel.from_pretrained(base, str(folder))
    on = logits_of(model, ids)
    from_ours = apart(on, ours)
    with model.disable_adapter():
        off = logits_of(model, ids)
    from_off, from_bare = apart(on, off), apart(off, bare)
    del bare, off  # whole logits are what a proof needs memory for
    saved = load_file(folder / WEIGHTS_FILE)
    bound = adapter_tensors(model)
    differing = [n for n in {*saved, *bound} if n not in saved or n not in bound or not torch.equal(saved[n], bound[n])]
    broken = sum(not torch.isfinite(value).all() for value in saved.values())
    same_bytes = (folder / WEIGHTS_FILE).read_bytes() == (folder / LINKED_FILE).read_bytes()
    within, least = tolerance * scale, 1e-3 * scale
    other_prompt = training_prompt != chat_prompt
    checks = [
        Check("every_value_is_finite", not broken, broken, 0),
        Check("every_tensor_is_bound_by_stock_peft", not differing, len(differing), 0),
        untouched(saved),
        Check("stock_peft_logits_equal_ours", from_ours <= within, from_ours, within),
        Check("adapter_on_differs_from_off_by_at_least", from_off >= least, from_off, least),
        Check("adapter_off_equals_base", from_bare == 0, from_bare, 0),
        Check("both_weight_files_are_the_same", same_bytes, float(not same_bytes), 0),
        Check("chat_sends_the_prompt_of_training", not other_prompt, other_prompt, 0),
    ]
    left_out = {}
    if getattr(base, "is_quantized", False):
        left_out["merged_equals_adapter"] = text("adapters.merge_left_out")
    else:
        merged = apart(logits_of(model.merge_and_unload(), ids), on)
        checks.append(Check("merged_equals_adapter", merged <= within, merged, within))
    finite = [c if math.isfinite(c.value) else Check(c.name, False, -1.0, c.bound) for c in checks]
    return Proof(finite, left_out)


def untouched(saved: Mapping[str, Tensor]) -> Check:
    """Tensors that training left as they began: B at zero, the factors of IA3 at one."""
    factors = any(name.endswith(".ia3_l") for name in saved)
    dead = sum(not (value != 1).any() if factors else not value.any() for value in saved.values())
    return Check("no_factors_are_all_one" if factors else "no_tensor_is_all_zero", not dead, dead, 0)


def proof_of(proof: Proof) -> Mapping[str, Any]:
    """The content of proof.json."""
    return {
        "ok": all(check.ok for check in proof.checks),
        "checks": [asdict(check) for check in proof.checks],
        "left_out": proof.left_out,
    }


def failed_checks(proof: Proof) -> list[Problem]:
    """What each failed check means, and what to do about it."""
    return [
        problem(f"prove.{check.name}", check.name, value=check.value, bound=check.bound)
        for check in proof.checks
        if not check.ok
    ]
