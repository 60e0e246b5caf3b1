"""Predicted memory, against what autograd keeps, against published figures, and against this process."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    Phi3Config,
    PreTrainedModel,
    Qwen3Config,
)

from lora_scripts.adapters.inject import inject, trainable
from lora_scripts.data.render import Document
from lora_scripts.models.attention import FLAT
from lora_scripts.models.head import frozen_head
from lora_scripts.models.last_layer import last_layer
from lora_scripts.models.targets import find_targets, in_mlp
from lora_scripts.training import room
from lora_scripts.training.cards import card_lines, cards
from lora_scripts.training.memory import Shape, Way, Work, _kept, forecast, shape_of, work_of
from lora_scripts.training.room import available_bytes, begin_peak, peak_above, wants_checkpointing
from lora_scripts.training.tasks import TextTask

SIZES = {
    "vocab_size": 300, "hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
FAMILIES = {
    "llama": LlamaConfig(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=32),
    "gemma3": Gemma3TextConfig(**SIZES, head_dim=48),
    "phi3": Phi3Config(**SIZES),
    "gpt2": GPT2Config(vocab_size=300, n_embd=96, n_layer=4, n_head=4, attn_pdrop=0, resid_pdrop=0, embd_pdrop=0),
}
LLAMA_8B = LlamaConfig(
    vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
    num_key_value_heads=8, tie_word_embeddings=False,
)  # fmt: skip
LLAMA_7B = LlamaConfig(
    vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32
)


def _random(config: object) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(deepcopy(config))
    return model.requires_grad_(False)


def _meta_shape(config: object, wanted: str | None = None, *, rank: int = 16, width: int = 2, **more: str) -> Shape:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(deepcopy(config))
    method = more.get("method", "lora")
    return shape_of(model, find_targets(model, wanted), rank=rank, method=method, bytes_per_parameter=width)


def _bytes_kept(model: PreTrainedModel, task: TextTask) -> int:
    """Bytes of all storages that autograd keeps for the backward pass of all documents, the weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def note(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), value)  # held, so that no address comes twice
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        loss = task.loss_sum(task.documents)
    assert loss.requires_grad
    return sum(size for size, _ in kept.values())


def _kept_both(
    config: object, wanted: str | None, method: str, dropout: float, *, half: bool = False
) -> tuple[int, int]:
    """(bytes that the count says, bytes that autograd keeps) of one micro-batch of 3 documents."""
    base = _random(config)
    targets = find_targets(base, wanted)
    shape = shape_of(base, targets, rank=8, method=method, bytes_per_parameter=2 if half else 4)
    if half:
        base = base.to(torch.bfloat16)
    model = inject(
        base, targets=targets, rank=8, alpha=8, dropout=dropout, base="-", seed=1, method=method,
        feedforward=in_mlp(targets),
    )  # fmt: skip
    assert shape.trainable == sum(p.numel() for p in trainable(model))
    model.train()
    documents = [Document(list(range(3, 3 + n)), [i > n // 3 for i in range(n)]) for n in (90, 120, 150)]
    head, last = frozen_head(base), last_layer(base)
    base.set_attn_implementation(FLAT)
    task = TextTask(base, documents, flat=True, head=head, last_layer=last, autocast=torch.bfloat16 if half else None)
    learned = task.count(range(3)) if last else 360
    work = Work(3, 360, learned, 150, 90)
    return _kept(shape, work, Way("cuda" if half else "cpu", dropout=dropout)), _bytes_kept(base, task)


@pytest.mark.parametrize("wanted", [None, "all-linear"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_count_of_what_layers_keep_is_what_autograd_keeps(family: str, wanted: str | None) -> None:
    counted, kept = _kept_both(FAMILIES[family], wanted, "lora", 0.1)
    assert counted == pytest.approx(kept, rel=0.10)


@pytest.mark.parametrize(("method", "dropout"), [("lora", 0.0), ("dora", 0.0), ("dora", 0.1), ("ia3", 0.0)])
def test_methods_keep_what_is_counted(method: str, dropout: float) -> None:
    counted, kept = _kept_both(FAMILIES["llama"], "all-linear", method, dropout)
    assert counted == pytest.approx(kept, rel=0.10)


def test_half_precision_keeps_norms_in_float32_and_the_rest_in_two_bytes() -> None:
    counted, kept = _kept_both(LlamaConfig(**{**SIZES, "num_key_value_heads": 4}), None, "lora", 0.0, half=True)
    assert counted == pytest.approx(kept, rel=0.10)


def test_a_shape_is_the_same_from_a_loaded_model_and_from_one_without_weights(tiny_zh: Path) -> None:
    config = AutoConfig.from_pretrained(tiny_zh)
    loaded = AutoModelForCausalLM.from_pretrained(tiny_zh)
    targets = find_targets(loaded, "mlp")
    ours = shape_of(loaded, targets, rank=4, method="lora", bytes_per_parameter=4)
    assert ours == _meta_shape(config, "mlp", rank=4, width=4)
    assert ours.parameters - ours.trainable == sum(p.numel() for p in loaded.parameters())


def test_published_figures_come_out_near() -> None:
    """torchtune, Llama 3.1 8B on an RTX 4090: LoRA 16.2 GiB, QLoRA 7.4 GiB. Two rows of 1024 tokens are our guess."""
    shape = _meta_shape(LLAMA_8B, "all-linear", rank=8)
    work = Work(2, 2 * 1024, 2 * 1024, 1024, 1024)
    lora = forecast(shape, work, Way("cuda", checkpointing=True)).peak / 2**30
    qlora = forecast(shape, work, Way("cuda", checkpointing=True, quantization="nf4")).peak / 2**30
    assert lora == pytest.approx(16.2, rel=0.15)
    assert qlora == pytest.approx(7.4, rel=0.15)


def test_what_costs_memory_raises_the_forecast_and_what_saves_it_lowers_it() -> None:
    shape, work, way = (
        _meta_shape(LLAMA_7B),
        Work(4, 2000, 1500, 512, 100, 2000, 1500, 16, 8000),
        Way("cuda", dropout=0.1),
    )
    plain = forecast(shape, work, way)
    assert plain.phase == "train"
    less = [
        forecast(shape, work, replace(way, checkpointing=True)),
        forecast(shape, work, replace(way, quantization="int8")),
        forecast(shape, replace(work, tokens=500, learned=400), way),
        forecast(_meta_shape(LLAMA_7B, rank=1), work, way),
    ]
    more = [
        forecast(_meta_shape(LLAMA_7B, "all-linear"), work, way),
        forecast(_meta_shape(LLAMA_7B, method="dora"), work, way),
        forecast(shape, work, replace(way, whole_logits=True)),
    ]
    assert all(f.peak < plain.peak for f in less) and all(f.peak > plain.peak for f in more)
    four, eight = (forecast(shape, work, replace(way, quantization=q)) for q in ("nf4", "int8"))
    assert four.weights < eight.weights < plain.weights
    words = replace(shape, vocabulary=262144)
    large_vocabulary = forecast(words, Work(1, 50, 40, 300, 300), way)
    assert large_vocabulary.phase == "prove"


def test_the_largest_micro_batch_and_validation_batch_are_found() -> None:
    lengths, learned, batches = [10, 20, 30, 40], [5, 15, 6, 7], [[0, 1], [2, 3]]
    flat = work_of(lengths, learned, batches, [(9, 4), (50, 30), (8, 2)], batch_size=2, rows="flat", questions=3)
    assert (flat.tokens, flat.learned, flat.longest, flat.shortest) == (70, 20, 40, 10)
    assert (flat.validation_tokens, flat.validation_learned) == (59, 34)
    assert (flat.answers, flat.answer_tokens) == (3, 3 * (20 + 37))
    padded = work_of(lengths, learned, batches, [], batch_size=2, rows="padded", questions=3)
    assert (padded.tokens, padded.validation_tokens, padded.answers) == (80, 0, 0)


def test_every_fix_for_a_card_makes_the_run_fit_and_none_is_harsher_than_needed() -> None:
    shape, way = _meta_shape(LLAMA_7B), Way("cpu", dropout=0.05)
    work = Work(8, 8 * 1024, 8 * 700, 1024, 300, 2048, 1400, 3, 1500)
    fits = {fit.gib: fit for fit in cards(shape, work, way, accumulation=2, half=True)}
    assert not any(fit.fits for fit in fits.values())
    assert fits[24].fixes == {"gradient_checkpointing": True}
    assert fits[16].fixes and fits[16].fixes["gradient_checkpointing"]
    assert fits[8].fixes and fits[8].fixes["quantization"] == "nf4"
    for fit in fits.values():
        assert fit.fixes is not None and fit.predicted <= fit.usable
        size = int(str(fit.fixes.get("batch_size", 8)))
        assert size * int(str(fit.fixes.get("gradient_accumulation_steps", 2))) == 16, "the step stays the same"
        assert "max_seq_length" not in fit.fixes


def test_cards_say_in_words_what_fits_and_that_nothing_does(monkeypatch: pytest.MonkeyPatch) -> None:
    work, way = Work(1, 512, 400, 512, 100), Way("cuda", checkpointing=True, quantization="nf4")
    small = card_lines(cards(_meta_shape(LLAMA_7B), work, way, accumulation=1, half=True))
    assert len(small) == 4 and all("holds this run" in line for line in small)
    huge = replace(_meta_shape(LLAMA_7B), parameters=70 * 10**9, packed=69 * 10**9)
    lines = card_lines(cards(huge, work, way, accumulation=1, half=True))
    assert all("too small" in line for line in lines)
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    assert "放不下" in card_lines(cards(huge, work, way, accumulation=1, half=True))[0]


def test_checkpointing_is_wanted_only_where_the_run_would_not_fit() -> None:
    assert not wants_checkpointing(8 << 30, 10 << 30)
    assert wants_checkpointing(int(9.5 * 2**30), 10 << 30)


def _group(folder: Path, values: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")


def test_a_limit_of_the_control_group_counts_as_the_memory_that_is_there(tmp_path: Path) -> None:
    _group(tmp_path / "box", {"memory.max": 5000, "memory.current": 3000, "memory.stat": "anon 1\ninactive_file 500"})
    _group(tmp_path / "box" / "run", {"memory.max": "max", "memory.current": 3000, "memory.stat": "inactive_file 0"})
    assert room._group_room(tmp_path, "0::/box/run") == [2500]
    old = {"memory.limit_in_bytes": 900, "memory.usage_in_bytes": 100, "memory.stat": "total_inactive_file 50"}
    _group(tmp_path / "memory" / "job", old)
    assert room._group_room(tmp_path, "7:cpu,memory:/job") == [850]
    assert room._group_room(tmp_path, "3:cpuset:/job") == []


def test_free_memory_of_this_machine_is_told_and_within_what_it_has() -> None:
    import psutil

    assert 0 < available_bytes("cpu") <= psutil.virtual_memory().total


def test_the_peak_is_what_was_held_at_most_since_the_start() -> None:
    start = begin_peak("cpu")
    block = torch.ones(40 << 20, dtype=torch.uint8)
    del block
    assert 38 << 20 < peak_above(start, "cpu") < 120 << 20
