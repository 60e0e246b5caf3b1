"""The memory of a run: predicted from sizes before a weight is loaded, and measured.

A run goes through phases (load, train, validate, answer, prove); its peak is that of the hungriest. What a layer keeps
for its backward pass is counted from how autograd works: a norm keeps its input, attention its queries, keys, values
and output, a gated MLP three rows as wide as itself, an adapter the inputs of its layers, a frozen linear layer
nothing. tests/training/test_memory.py holds the count against what autograd keeps in models of several families,
bench/memory.py the whole against the memory of real runs.

The idea of counting by operator is that of Korthikanti et al. 2022, arXiv:2205.05198, section 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lora_scripts.models.targets import in_mlp
from lora_scripts.training.losses import ROWS

OUTWARD = {"o_proj", "out_proj", "dense", "c_proj", "wo", "down_proj", "fc2", "fc_out", "w2", "dense_4h_to_h"}
"""Layers that read something else than the others of their block."""
ADAMW_BYTES = 16
"""A trained value in float32: itself, its gradient, two moments."""
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A weight in nf4: 4 bits, an 8-bit constant for 64 of them, a float32 constant for 256 constants (Dettmers et al.
2023, arXiv:2305.14314, section 3)."""
ANSWER_BATCH, ANSWER_LIMIT = 16, 256
"""Questions answered at once, and the longest answer (evaluate/answers.py, assemble/text/finish.py)."""
LIBRARIES = {"load": 10 << 20, "train": 90 << 20, "validate": 90 << 20, "answer": 90 << 20, "prove": 90 << 20}
"""What libraries that are imported on the way take of the machine's memory (bench/memory.py)."""
JUDGING = 56 << 20
"""What those take that judge answers. Then the heap of the training is still held, since a step keeps what it frees for
the next (training/allocator.py), so on a CPU they come on top of it."""
LOGITS_AT_ONCE = 6
"""Whole logits of one document in the proof: four that are compared, what comparing takes, what it leaves behind."""
CARD_WORKSPACE = 64 << 20
"""cuBLAS' workspaces and the like, which torch counts as allocated; an estimate."""
SPREAD, SPREAD_CHECKPOINTED = 1.2, 1.9
"""Resident memory for a byte that tensors of a step take on a CPU. Steps differ in length, so what one frees does not
fit the next exactly, and glibc before 2.38 does not reuse an aligned block of the very same size: 1.1 to 1.4, more
where every layer's activations are allocated anew (bench/memory.py)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a base with its adapter, as numbers of values; those from ``normed`` on are for one token.

    ``bytes_per_parameter`` is for weights that are not quantised, and for the computation.
    """

    parameters: int
    trainable: int
    bytes_per_parameter: int
    layers: int
    hidden: int
    inner: int
    vocabulary: int
    packed: int = 0
    """Weights that quantisation packs: those of all linear layers but the head."""
    largest: int = 0
    """Weights of the largest of these, which is unpacked as a whole."""
    normed: int = 0
    """Inputs of norms, in all layers."""
    attended: int = 0
    """Width of the query heads of one layer."""
    cached: int = 0
    """Width of the key heads of one layer; the value heads' is the same."""
    mlp: int = 0
    """What the MLP of one layer keeps."""
    inputs: int = 0
    """Inputs of the adapted layers, in all layers, each counted."""
    shared_inputs: int = 0
    """The same, those that several adapted layers read counted once."""
    linear_inputs: int = 0
    """The same for all linear layers."""
    adapter_rows: int = 0
    """What the adapter keeps beside its inputs, in all layers."""
    adapted_weight: int = 0
    """Weights of the largest adapted layer where the adapter works on weights (DoRA), else 0."""


@dataclass(frozen=True, slots=True)
class Work:
    """What goes through the model at once, in tokens: the largest micro-batch, validation batch, batch of answers."""

    batch_size: int
    tokens: int
    learned: int
    longest: int
    shortest: int
    validation_tokens: int = 0
    validation_learned: int = 0
    answers: int = 0
    answer_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """How a run computes. ``file_bytes`` is the size of the weight files, ``whole_logits`` where no head is fused."""

    device: str = "cpu"
    checkpointing: bool = False
    quantization: str = "none"
    dropout: float = 0.0
    file_bytes: int = 0
    whole_logits: bool = False

    @property
    def card(self) -> bool:
        """Whether the memory of a card is meant, and not that of the machine."""
        return self.device.startswith("cuda")


@dataclass(frozen=True, slots=True)
class Forecast:
    """Bytes of each phase, above what the process held before the base was loaded; ``weights`` are in all of them."""

    weights: int
    phases: dict[str, int]

    @property
    def phase(self) -> str:
        """The phase that rules."""
        return max(self.phases, key=lambda name: self.phases[name])

    @property
    def peak(self) -> int:
        """Bytes of the phase that rules."""
        return self.phases[self.phase]


def shape_of(
    model: PreTrainedModel, targets: Sequence[str], *, rank: int, method: str, bytes_per_parameter: int
) -> Shape:
    """The sizes of a base, loaded or on the meta device, that gets an adapter on ``targets``; called before it does."""
    config: Any = model.config.get_text_config()
    hidden, layers = int(config.hidden_size), int(config.num_hidden_layers)
    heads = int(getattr(config, "num_attention_heads", None) or 1)
    key_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    width = int(getattr(config, "head_dim", None) or hidden // heads)
    linears = _linears(model)
    sizes = [linears[name] for name in targets]
    feedforward = set(in_mlp(targets)) if method == "ia3" else set()
    if method == "ia3":
        trainable = rows = sum(linears[t][0 if t in feedforward else 1] for t in targets)
    else:
        outputs = sum(outer for _, outer in sizes) if method == "dora" else 0
        trainable, rows = rank * sum(map(sum, sizes)) + outputs, rank * len(sizes) + 2 * outputs
    head = model.get_output_embeddings()
    others = sum(p.numel() for name, p in model.named_parameters() if name.rpartition(".")[0] not in linears)
    packed = sum(inner * outer for inner, outer in linears.values())
    inner = _inner(config)
    return Shape(
        parameters=packed + others + trainable,
        trainable=trainable,
        bytes_per_parameter=bytes_per_parameter,
        layers=layers,
        hidden=hidden,
        inner=inner,
        vocabulary=int((head or model.get_input_embeddings()).weight.shape[0]),
        packed=packed,
        largest=max(inner * outer for inner, outer in linears.values()),
        normed=_normed(model, heads, key_heads, width),
        attended=heads * width,
        cached=key_heads * width,
        mlp=_mlp_keeps(model, inner),
        inputs=0 if method == "ia3" else sum(inner for inner, _ in sizes),
        shared_inputs=0 if method == "ia3" else _distinct(targets, linears),
        linear_inputs=_distinct(linears, linears),
        adapter_rows=rows,
        adapted_weight=max(inner * outer for inner, outer in sizes) if method == "dora" else 0,
    )


def _linears(model: PreTrainedModel) -> dict[str, tuple[int, int]]:
    """Inner and outer features of every linear layer but the head, by name; also where their weights are packed."""
    found, head = {}, model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, Conv1D):
            found[name] = (int(module.weight.shape[0]), int(module.weight.shape[1]))
        elif isinstance(module, nn.Linear) and module is not head:
            found[name] = (module.in_features, module.out_features)
    return found


def _distinct(names: Iterable[str], linears: dict[str, tuple[int, int]]) -> int:
    """Values a token that these layers read, those that several of a block read counted once."""
    seen = {}
    for name in names:
        block, _, last = name.rpartition(".")
        seen[block, last if last in OUTWARD else linears[name][0]] = linears[name][0]
    return sum(seen.values())


def _normed(model: PreTrainedModel, heads: int, key_heads: int, width: int) -> int:
    """Values a token that go into norms; a norm as wide as a head runs on every head."""
    total = 0
    for name, module in model.named_modules():
        if type(module).__name__.endswith("Norm") and getattr(module, "weight", None) is not None:
            values = int(module.weight.numel())
            count = 1 if values != width else key_heads if name.rpartition(".")[2].startswith("k") else heads
            total += values * count
    return total


def _inner(config: Any) -> int:
    """Width of the MLP, with experts that of all those that a token goes through."""
    experts = getattr(config, "num_experts_per_tok", None) or 0
    if experts and getattr(config, "moe_intermediate_size", None):
        shared = getattr(config, "shared_expert_intermediate_size", None) or 0
        return int(experts * config.moe_intermediate_size + shared)
    names = ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim")
    found = next((v for n in names if (v := getattr(config, n, None))), 4 * config.hidden_size)
    return int(found) * max(1, int(experts))


def _mlp_keeps(model: PreTrainedModel, inner: int) -> int:
    """Gated: the gate, its activation, what that is multiplied by; else the activation's input, GPT-2's four times."""
    names = [name for name, _ in (*model.named_modules(), *model.named_parameters())]
    if any(part in name for name in names for part in ("gate_proj", "gate_up", ".w3")):
        return 3 * inner
    return (4 if any(type(m).__name__ == "NewGELUActivation" for m in model.modules()) else 1) * inner


def work_of(
    lengths: Sequence[int],
    learned: Sequence[int],
    micro_batches: Iterable[Sequence[int]],
    validation: Sequence[tuple[int, int]],
    *,
    batch_size: int,
    rows: str,
    questions: int,
) -> Work:
    """The largest of everything: ``micro_batches`` name documents, ``validation`` holds (length, learned) of each.

    Padded ``rows`` count as many tokens as their padding makes them.
    """

    def tokens(of: Sequence[int]) -> int:
        return max(of) * len(of) if rows == "padded" else sum(of)

    most, most_learned = 0, 0
    for batch in micro_batches:
        most = max(most, tokens([lengths[i] for i in batch]))
        most_learned = max(most_learned, sum(learned[i] for i in batch))
    held_out = sorted(validation)[-batch_size:]
    answers = min(ANSWER_BATCH, questions, len(validation))
    limit = min(ANSWER_LIMIT, max((n for _, n in validation), default=0) * 5 // 4)
    prompt = max((length - n for length, n in held_out), default=0)
    return Work(
        batch_size=batch_size,
        tokens=most,
        learned=most_learned,
        longest=max(lengths),
        shortest=min(lengths),
        validation_tokens=tokens([length for length, _ in held_out]) if held_out else 0,
        validation_learned=sum(n for _, n in held_out),
        answers=answers,
        answer_tokens=answers * (prompt + limit),
    )


def forecast(shape: Shape, work: Work, way: Way) -> Forecast:
    """Bytes of each phase of a run, on a CPU of resident memory, on a card of memory that torch allocates there."""
    width = shape.bytes_per_parameter
    weights = _weights(shape, way)
    unpacked = shape.largest * width if way.quantization != "none" else 0
    casts = shape.trainable * 2 if width == 2 else 0
    adapter = shape.trainable * ADAMW_BYTES + casts
    row = shape.vocabulary * (4 if width == 4 else 8)
    final = 2 * shape.hidden * width
    layer = (3 * shape.inner + 4 * shape.hidden + 2 * shape.attended) * width
    head = row * (3 * work.learned if way.whole_logits else min(work.learned, ROWS))
    kept = _kept(shape, work, way) + work.tokens * final
    at_head = head + 2 * work.learned * shape.hidden * 4
    weighing = 3 * shape.adapted_weight * 4
    spread = 1 if way.card else SPREAD_CHECKPOINTED if way.checkpointing else SPREAD
    phases = {
        "train": int(adapter + spread * kept + max(at_head, spread * work.tokens * layer + unpacked + weighing)),
        "validate": adapter
        + work.validation_tokens * (layer + final)
        + row * (3 * work.validation_learned if way.whole_logits else min(work.validation_learned, ROWS)),
        "answer": adapter + work.answer_tokens * (2 * shape.layers * shape.cached * width + layer) + work.answers * row,
    }
    whole = work.shortest * shape.vocabulary
    if way.card:
        phases["prove"] = work.shortest * layer + whole * 6 + unpacked
        phases = {name: weights + CARD_WORKSPACE + more for name, more in phases.items()}
    else:
        phases["load"] = way.file_bytes
        phases["prove"] = max(way.file_bytes + whole * 4, whole * 4 * LOGITS_AT_ONCE + unpacked)
        late = {name: JUDGING if work.answers and name != "load" else 0 for name in phases}
        phases = {name: weights + LIBRARIES[name] + late[name] + more for name, more in phases.items()}
    return Forecast(weights, phases)


def _weights(shape: Shape, way: Way) -> int:
    base = shape.parameters - shape.trainable
    packed = {"none": shape.bytes_per_parameter, "int8": 1.0, "nf4": NF4_BYTES, "fp4": NF4_BYTES}[way.quantization]
    return int((base - shape.packed) * shape.bytes_per_parameter + shape.packed * packed)


def _kept(shape: Shape, work: Work, way: Way) -> int:
    """Bytes that the layers keep for the backward pass of the largest micro-batch.

    The MLP of the last layer runs at learned tokens only (models/last_layer.py). With checkpointing every layer keeps
    its input, and one layer at a time what it would keep without.
    """
    width = shape.bytes_per_parameter
    layer, mlp = _kept_a_token(shape, way), shape.mlp * width
    if way.checkpointing:
        return int(work.tokens * (shape.layers * shape.hidden * width + layer))
    return int(work.tokens * (shape.layers * layer - mlp) + work.learned * mlp)


def _kept_a_token(shape: Shape, way: Way) -> float:
    """Bytes that one layer keeps of one token. Norms compute in float32 in any precision."""
    width, half = shape.bytes_per_parameter, shape.bytes_per_parameter == 2
    keys = shape.cached if way.card else shape.attended  # on a CPU they are repeated for every query head
    block = shape.mlp + 2 * shape.attended + 2 * keys
    if way.dropout:  # the input as dropped, and which of it: a byte on a card, a factor on a CPU
        inputs = shape.inputs * (width + (1 if way.card else 4))
    else:  # in half precision each adapted layer casts the input for itself
        inputs = (shape.inputs if half else shape.shared_inputs) * width
    over_layers = shape.normed * 4 + inputs + shape.adapter_rows * width
    if way.quantization == "int8" and way.card:  # bitsandbytes' product keeps its input there
        over_layers += shape.linear_inputs * width
    return block * width + over_layers / shape.layers
