"""Pairs of answers: the loss and its gradient against the formula written out, and against TRL's trainer."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig

from lora_scripts.adapters.inject import inject, trainable
from lora_scripts.data.render import Document, joined
from lora_scripts.models.attention import FLAT, runs_flat
from lora_scripts.models.head import frozen_head
from lora_scripts.models.last_layer import last_layer
from lora_scripts.models.targets import find_targets
from lora_scripts.training.preference import PreferenceTask
from lora_scripts.training.tasks import TextTask

BETA = 0.3
LLAMA = LlamaConfig(vocab_size=200, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, max_position_embeddings=256, pad_token_id=0, bos_token_id=1,
                    eos_token_id=2)  # fmt: skip
GPT2 = GPT2Config(vocab_size=200, n_embd=64, n_layer=2, n_head=4, n_positions=256, eos_token_id=2, bos_token_id=1)


def _documents() -> list[Document]:
    """Four pairs of different lengths; prompt, chosen answer, rejected answer."""
    generator = torch.Generator().manual_seed(5)
    documents = []
    for number, (prompt, chosen, rejected) in enumerate(((5, 7, 3), (11, 2, 19), (3, 1, 1), (8, 12, 12))):
        asked = torch.randint(3, 200, (prompt,), generator=generator).tolist()
        for learned in (chosen, rejected):
            said = torch.randint(3, 200, (learned,), generator=generator).tolist()
            documents.append(Document(asked + said, [False] * prompt + [True] * learned, f"pairs.jsonl:{number + 1}"))
    return documents


def _pairs() -> list[Document]:
    documents = _documents()
    return [joined(chosen, rejected) for chosen, rejected in zip(documents[0::2], documents[1::2], strict=True)]


def _model(config: LlamaConfig | GPT2Config = LLAMA, *, dropout: float = 0.0, trained: bool = True) -> PeftModel:
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
    model = inject(base, targets=find_targets(base, None), rank=4, alpha=8, dropout=dropout, base="x", seed=0)
    if trained:
        _move(model)
    model.train()
    return model


def _move(model: PeftModel) -> None:
    """Give the adapter something to say, as some steps would."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name and parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)


def _task(model: PeftModel, *, flat: bool, short_cuts: bool = True) -> PreferenceTask:
    base = model.get_base_model()
    assert not flat or not runs_flat(base)
    head = frozen_head(base) if short_cuts else None
    last = last_layer(base) if short_cuts and flat else None
    if flat:
        base.set_attn_implementation(FLAT)
    return PreferenceTask(model, TextTask(base, _pairs(), flat=flat, head=head, last_layer=last), beta=BETA)


def _gradients(model: PeftModel) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def _assert_equal(got: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert got.keys() == wanted.keys()
    for name, gradient in got.items():
        assert (gradient - wanted[name]).abs().max() <= 1e-5 * wanted[name].abs().max(), name


def _sequence_log_probabilities(model: PeftModel, documents: list[Document]) -> torch.Tensor:
    """One document at a time, all logits, log_softmax."""
    sums = []
    for document in documents:
        logits = model(input_ids=torch.tensor([document.input_ids]), use_cache=False).logits[0].log_softmax(-1)
        told = zip(logits[:-1], document.input_ids[1:], document.loss_mask[1:], strict=True)
        sums.append(torch.stack([row[token] for row, token, learned in told if learned]).sum())
    return torch.stack(sums)


def _formula(model: PeftModel, documents: list[Document]) -> torch.Tensor:
    """Equation 7 of Rafailov et al. 2023, each pair's loss."""
    with torch.no_grad(), model.disable_adapter():
        reference = _sequence_log_probabilities(model, documents)
    ratios = _sequence_log_probabilities(model, documents) - reference
    return -F.logsigmoid(BETA * (ratios[0::2] - ratios[1::2]))


@pytest.mark.parametrize("config", [LLAMA, GPT2Config(**{**GPT2.to_dict(), "attn_pdrop": 0.0, "resid_pdrop": 0.0,
                                                         "embd_pdrop": 0.0})], ids=["llama", "gpt2"])  # fmt: skip
@pytest.mark.parametrize(("flat", "short_cuts"), [(True, True), (True, False), (False, True), (False, False)])
def test_loss_and_every_gradient_equal_the_formula(config, flat: bool, short_cuts: bool) -> None:
    model = _model(config)
    losses = _formula(model, _documents())
    losses.sum().backward()
    wanted = _gradients(model)
    task = _task(model, flat=flat, short_cuts=short_cuts)
    cut = [task.backward([2, 0], 0.5), task.backward([1], 0.5), task.backward([3], 0.5)]
    assert sum(cut) == pytest.approx(losses.sum().item() / 2, rel=1e-5)
    assert cut[1] == pytest.approx(losses[1].item() / 2, rel=1e-5)
    _assert_equal({name: 2 * gradient for name, gradient in _gradients(model).items()}, wanted)


@pytest.mark.parametrize("flat", [True, False])
def test_loss_and_every_gradient_equal_those_of_trl(flat: bool, tiny_zh: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    model = _model(trained=False)  # TRL copies the adapter that it is given for its reference: here one that is off
    settings = DPOConfig(str(tmp_path), beta=BETA, use_cpu=True, report_to=[], bf16=False, gradient_checkpointing=False)
    rows = Dataset.from_dict({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]})
    trainer = DPOTrainer(
        model, args=settings, train_dataset=rows, processing_class=AutoTokenizer.from_pretrained(tiny_zh)
    )
    documents = _documents()
    cut = [(d.loss_mask.index(True), d.input_ids) for d in documents]
    batch = DataCollatorForPreference(pad_token_id=0)(
        [
            {"prompt_ids": ids[:at], "chosen_ids": ids[at:], "rejected_ids": other[at:]}
            for (at, ids), (_, other) in zip(cut[0::2], cut[1::2], strict=True)
        ]
    )
    _move(model)
    model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    wanted = _gradients(model)
    assert wanted

    task = _task(model, flat=flat)
    assert task.backward(range(4), 1 / task.count(range(4))) == pytest.approx(loss.item(), rel=1e-5)
    _assert_equal(_gradients(model), wanted)


def test_a_fresh_adapter_loses_log_two_a_pair() -> None:
    task = _task(_model(trained=False), flat=True)
    assert task.backward(range(4), 1.0) == pytest.approx(4 * math.log(2), abs=1e-5)


def test_the_reference_has_no_dropout_and_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout of the base and of the adapter are on in training; the reference is that of the resting base."""
    model = _model(GPT2, dropout=0.5)
    model.eval()
    with torch.no_grad(), model.disable_adapter():
        wanted = _sequence_log_probabilities(model, _documents())
    model.train()
    task = _task(model, flat=False)
    seen = []
    told = task.text.token_losses
    monkeypatch.setattr(TextTask, "token_losses", lambda self, some: seen.append(model.training) or told(some))
    before = torch.get_rng_state()
    assert torch.allclose(task._reference(_documents()), wanted, atol=1e-4)
    assert torch.equal(torch.get_rng_state(), before), "a resumed run draws the same numbers"
    assert seen == [False] * 4 and model.training
    task.backward([0, 1], 1.0)
    task.backward([0, 1], 1.0)
    assert seen[4:] == [True, True], "once known, only the trained model runs"
    assert all(p.requires_grad for p in trainable(model)) and trainable(model)


def test_the_reference_does_not_depend_on_the_micro_batch() -> None:
    documents = _documents()
    alone, together = _task(_model(), flat=True), _task(_model(), flat=True)
    one_by_one = torch.cat([alone._reference(documents[i : i + 2]) for i in (6, 2, 0, 4)])
    assert torch.equal(together._reference([documents[i] for i in (6, 7, 2, 3, 0, 1, 4, 5)]), one_by_one)


def test_evaluation_sums_over_pairs_and_says_how_often_the_chosen_answer_wins() -> None:
    model = _model()
    documents = _documents()
    losses = _formula(model, documents).detach()
    task = _task(model, flat=True)
    total, count = task.evaluate(_pairs(), batch_size=3)
    assert (count, total) == (4, pytest.approx(losses.sum().item(), rel=1e-5))
    assert task.accuracy == (losses < math.log(2)).float().mean().item() != 0
    assert task.margin == pytest.approx(-torch.special.logit(1 - torch.exp(-losses)).mean().item(), rel=1e-3)
    assert model.training


def test_steps_make_the_chosen_answers_likelier_than_the_rejected_ones() -> None:
    model = _model(trained=False)
    task = _task(model, flat=True)
    optimizer = torch.optim.AdamW(trainable(model), lr=1e-2)
    losses = []
    for _ in range(15):
        losses.append(task.backward(range(4), 1 / 4))
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.6 * losses[0]
    task.evaluate(_pairs(), batch_size=4)
    assert task.accuracy == 1.0
    assert task.margin and task.margin > 0.5


def test_a_step_counts_pairs_and_the_tokens_of_both_documents() -> None:
    task = _task(_model(), flat=True)
    assert task.count([0, 2, 3]) == 3
    assert [task.tokens([i]) for i in range(4)] == [20, 43, 8, 40]
