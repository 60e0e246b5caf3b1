"""Which modules of a model get an adapter, found by the place and the name of its linear layers."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lora_scripts.errors import ModelError, problem
from lora_scripts.messages import text

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

PRESETS = ("attention", "mlp", "all-linear")
QUERY = {"q_proj", "q_b_proj", "q_lin", "q", "query", "wq", "query_proj"}
VALUE = {"v_proj", "kv_b_proj", "v_lin", "v", "value", "wv", "value_proj"}
FUSED = {"qkv_proj", "qkv", "query_key_value", "c_attn", "w_pack", "wqkv", "in_proj_qkvz", "in_proj_qkv"}
# Towers of multimodal models: what they see is not trained here. Routers choose experts; an adapter would unbalance it.
TOWERS = ("vision", "visual", "audio", "speech", "image", "multi_modal", "mm_projector", "connector")
ROUTERS = {"gate", "router", "shared_expert_gate", "expert_gate", "router_gate"}
MLP_PLACES = ("mlp", "ffn", "feed_forward", "feedforward", "expert", "moe")
MLP_NAMES = {"fc1", "fc2", "fc_in", "fc_out", "up_proj", "gate_proj", "down_proj", "w1", "w2", "w3"}


def find_targets(model: nn.Module, wanted: str | Sequence[str] | None = None) -> list[str]:
    """Full names of the modules to adapt, in order, fit for peft's ``target_modules``.

    Args:
        model: A causal LM.
        wanted: None for query and value of every attention (the whole projection where they are fused);
            ``attention``, ``mlp`` or ``all-linear`` (all but embeddings, head and routers); or module names, as
            ``q_proj`` or as a full path.

    Full names, because peft takes a bare ``q_proj`` for that of a vision tower too.

    Raises:
        ModelError: A name that the model does not have, or nothing to adapt in it.
    """
    linears = _linears(model)
    usable = [name for name in linears if not _outside_decoder(model, name)]
    names = wanted.replace(",", " ").split() if isinstance(wanted, str) else list(wanted or ())
    if not names:
        found = _query_and_value(usable)
    elif any(name in PRESETS for name in names):
        found = [name for name in usable if any(_in_preset(name, preset) for preset in names if preset in PRESETS)]
        if rest := [name for name in names if name not in PRESETS]:
            found = _in_order(linears, [*found, *_by_name(model, rest, linears, usable)])
        if any(name != "attention" for name in names if name in PRESETS):
            _tell_of_fused_experts(model)
    else:
        found = _by_name(model, names, linears, usable)
    if not found:
        label = ", ".join(names) or "q, v"
        raise ModelError("models.no_target", where="target_modules", wanted=label, names=_listed(usable))
    return found


def in_mlp(names: Iterable[str]) -> list[str]:
    """Those of these module names that lie in an MLP; IA3 scales what goes into them, not what comes out."""
    return [name for name in names if _in_mlp(name)]


def _linears(model: nn.Module) -> list[str]:
    """Names of the linear layers; quantised ones are subclasses of nn.Linear, GPT-2's are transformers' Conv1D."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]


def _outside_decoder(model: nn.Module, name: str) -> bool:
    get_head = getattr(model, "get_output_embeddings", None)
    head = get_head() if get_head else None
    parts = name.lower().split(".")
    return (
        (head is not None and model.get_submodule(name) is head)
        or parts[-1] in ROUTERS | {"lm_head", "embed_out", "output_layer"}
        or any(tower in part for part in parts[:-1] for tower in TOWERS)
        or parts[-2:-1] == ["router"]
    )


def _in_attention(name: str) -> bool:
    return any("attn" in part or "attention" in part for part in name.lower().split(".")[:-1])


def _in_mlp(name: str) -> bool:
    *places, last = name.lower().split(".")
    inside = any(place in part for part in places for place in MLP_PLACES)
    return not _in_attention(name) and (inside or last in MLP_NAMES)


def _in_preset(name: str, preset: str) -> bool:
    return (
        preset == "all-linear" or (preset == "attention" and _in_attention(name)) or (preset == "mlp" and _in_mlp(name))
    )


def _query_and_value(linears: Iterable[str]) -> list[str]:
    """Query and value of each attention block by name; by position (q, k, v, out) where the names say nothing."""
    blocks: dict[str, list[str]] = {}
    for name in linears:
        if _in_attention(name):
            blocks.setdefault(name.rpartition(".")[0], []).append(name)
    found: list[str] = []
    for members in blocks.values():
        last = {name: name.rpartition(".")[2].lower() for name in members}
        query = [name for name in members if last[name] in QUERY]
        value = [name for name in members if last[name] in VALUE]
        fused = [name for name in members if last[name] in FUSED]
        if query and value:
            found += [name for name in members if name in query or name in value]
        elif fused:
            found += fused
        elif len(members) >= 4:
            found += [members[0], members[2]]
        elif len(members) == 2:
            found += members[:1]
    return found


def _by_name(model: nn.Module, wanted: Sequence[str], linears: list[str], usable: list[str]) -> list[str]:
    """The linear layers called by these names; a bare name means the language model, a full path anything linear."""
    found: list[str] = []
    problems = []
    for want in wanted:
        hits = [name for name in usable if name == want or name.endswith("." + want)]
        hits = hits or [name for name in linears if name == want]
        found += hits
        if not hits:
            key = "models.target_not_linear" if _exists(model, want) else "models.unknown_target"
            near = difflib.get_close_matches(want.lower(), _kinds(usable), n=1, cutoff=0.5)
            hint = text("models.did_you_mean", name=near[0]) if near else ""
            problems.append(problem(key, "target_modules", name=want, hint=hint, names=_listed(usable)))
    if problems:
        raise ModelError(problems)
    return _in_order(linears, found)


def _exists(model: nn.Module, want: str) -> bool:
    return any(name == want or name.endswith("." + want) for name, _ in model.named_modules())


def _in_order(linears: list[str], found: Iterable[str]) -> list[str]:
    chosen = set(found)
    return [name for name in linears if name in chosen]


def _kinds(linears: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.rpartition(".")[2] for name in linears))


def _listed(linears: Iterable[str]) -> str:
    return ", ".join(_kinds(linears)) or "-"


def _tell_of_fused_experts(model: nn.Module) -> None:
    """Experts held as one tensor of three dimensions are not layers, so nothing can be put on them here."""
    fused = [name for name, weight in model.named_parameters() if weight.dim() == 3 and "expert" in name.lower()]
    if fused:
        log.warning(text("models.fused_experts", count=len(fused), name=fused[0]))
