"""Our step against the usual one: peft on right-padded rows, all logits, autograd."""

import pytest
import torch
import torch.nn.functional as F
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

import lora_scripts.models.attention as attention
from lora_scripts.adapters.inject import inject
from lora_scripts.data.render import Document
from lora_scripts.models.attention import FLAT, runs_flat
from lora_scripts.models.head import frozen_head
from lora_scripts.models.last_layer import last_layer
from lora_scripts.models.targets import find_targets
from lora_scripts.training.tasks import TextTask

SIZES = {
    "vocab_size": 200,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES = {
    "llama": LlamaConfig(**SIZES),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=16),
    "mistral with a window": MistralConfig(**SIZES, sliding_window=6),
    "gemma2 with caps and a window": Gemma2Config(**SIZES, head_dim=16, sliding_window=8, attn_logit_softcapping=5.0,
                                                  final_logit_softcapping=2.0),
    "gemma3 with a window": Gemma3TextConfig(**SIZES, head_dim=16, sliding_window=8),
    "phi3": Phi3Config(**SIZES),
    "gpt2": GPT2Config(vocab_size=200, n_embd=64, n_layer=2, n_head=4, n_positions=256, eos_token_id=2, bos_token_id=1,
                       attn_pdrop=0, resid_pdrop=0, embd_pdrop=0),
    "bloom, which falls back to padding": BloomConfig(vocab_size=200, hidden_size=64, n_layer=2, n_head=4),
}  # fmt: skip
FALLS_BACK = {"bloom, which falls back to padding"}


def _documents() -> list[Document]:
    generator = torch.Generator().manual_seed(3)
    documents = []
    for length, learned in ((7, 4), (23, 9), (5, 1), (16, 12)):
        ids = torch.randint(3, 200, (length,), generator=generator).tolist()
        documents.append(Document(ids, [i >= length - learned for i in range(length)]))
    return documents


def _reference_loss(model: torch.nn.Module, documents: list[Document]) -> torch.Tensor:
    """The usual way: pad right, all logits, labels -100 where nothing is learned, a mean over learned tokens."""
    longest = max(len(d.input_ids) for d in documents)
    ids = torch.zeros(len(documents), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, d in enumerate(documents):
        n = len(d.input_ids)
        ids[row, :n], mask[row, :n] = torch.tensor(d.input_ids), 1
        labels[row, :n] = torch.tensor([t if m else -100 for t, m in zip(d.input_ids, d.loss_mask, strict=True)])
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
    return F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))


@pytest.mark.parametrize("short_cuts", [True, False], ids=["with short cuts", "without"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_loss_and_every_adapter_gradient_equal_padded_peft(name: str, short_cuts: bool) -> None:
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(ARCHITECTURES[name], attn_implementation="eager").float()
    reason = runs_flat(base)
    assert bool(reason) == (name in FALLS_BACK), reason
    model = inject(base, targets=find_targets(base, None), rank=4, alpha=8, dropout=0.0, base="x", seed=0)
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.1)
    documents = _documents()
    model.train()
    reference = _reference_loss(model, documents)
    reference.backward()
    wanted = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    head = frozen_head(base) if short_cuts else None
    last = last_layer(base) if short_cuts and not reason else None
    assert bool(head) == short_cuts
    assert bool(last) == (short_cuts and not reason and name != "gpt2"), "gpt2 names its modules otherwise"
    if not reason:
        base.set_attn_implementation(FLAT)
    task = TextTask(base, documents, flat=not reason, head=head, last_layer=last)
    ours = task.backward(range(4), 1 / task.count(range(4)))
    assert ours == pytest.approx(reference.item(), rel=1e-5)
    got = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert got.keys() == wanted.keys()
    for parameter_name, gradient in got.items():
        scale = wanted[parameter_name].abs().max()
        assert (gradient - wanted[parameter_name]).abs().max() <= 1e-5 * scale, parameter_name


def test_recomputing_activations_changes_no_gradient() -> None:
    """The last layer is computed again in the backward pass, and then too only at the rows that are read."""
    found = []
    for recompute in (False, True):
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_config(ARCHITECTURES["llama"], attn_implementation="eager").float()
        model = inject(base, targets=find_targets(base, "all-linear"), rank=4, alpha=8, dropout=0.0, base="x", seed=0)
        head, last = frozen_head(base), last_layer(base)
        assert head and last
        model.train()
        base.set_attn_implementation(FLAT)
        if recompute:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        task = TextTask(base, _documents(), flat=True, head=head, last_layer=last)
        task.backward(range(4), 1 / task.count(range(4)))
        found.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1]) > 0
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(*found, strict=True))


def test_a_model_that_ignores_the_borders_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(ARCHITECTURES["llama"]).float()

    def across(module, query, key, value, mask, scaling=None, flat=None, **more):
        whole = attention.FlatRow.of([query.shape[2]], query.device)
        return attention.flat_attention(module, query, key, value, None, scaling=scaling, flat=whole)

    monkeypatch.setitem(attention.ALL_ATTENTION_FUNCTIONS, FLAT, across)
    assert "differ" in runs_flat(model)
