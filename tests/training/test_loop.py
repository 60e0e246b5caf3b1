"""The loop on a tiny random Llama: what may not change a step, and what must stop it."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from lora_scripts.adapters.inject import inject, trainable
from lora_scripts.data.render import Document
from lora_scripts.errors import Interrupted, TrainError
from lora_scripts.models.attention import FLAT
from lora_scripts.models.targets import find_targets
from lora_scripts.training.loop import fit
from lora_scripts.training.optim import make_optimizer
from lora_scripts.training.plan import Plan, Shape, make_plan
from lora_scripts.training.state import RunState
from lora_scripts.training.tasks import TextTask


class Heard:
    """A log that remembers."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.evaluations: list[tuple[int, float, bool]] = []

    def step(self, state, *, loss, rate, norm, tokens, seconds) -> None:
        self.losses.append(loss)
        self.rates.append(rate)

    def evaluation(self, state, loss, *, best) -> None:
        self.evaluations.append((state.step, loss, best))


def _documents(count: int = 12) -> list[Document]:
    generator = torch.Generator().manual_seed(1)
    made = []
    for i in range(count):
        length = 6 + i
        ids = torch.randint(3, 100, (length,), generator=generator).tolist()
        made.append(Document(ids, [j >= 3 for j in range(length)]))
    return made


def _task(dropout: float = 0.0, seed: int = 0) -> tuple[TextTask, list[torch.nn.Parameter]]:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)  # fmt: skip
    base = AutoModelForCausalLM.from_config(config).float()
    model = inject(
        base, targets=find_targets(base, "all-linear"), rank=4, alpha=8, dropout=dropout, base="x", seed=seed
    )
    model.train()
    base.set_attn_implementation(FLAT)
    return TextTask(base, _documents(), flat=True), trainable(model)


def _plan(documents: list[Document], **changed: object) -> Plan:
    settings = {
        "batch_size": 4, "gradient_accumulation_steps": 1, "epochs": 2, "max_steps": None, "warmup_ratio": 0.0,
        "eval_steps": 2, "save_steps": 3, "log_steps": 1, "gradient_checkpointing": False, "learning_rate": 1e-2,
        "lr_schedule": "linear", "weight_decay": 0.0, "max_grad_norm": 1.0, "early_stopping_patience": None,
        "save_total_limit": 3, "seed": 5, "device": "cpu", "precision": "fp32", "rows": "flat",
    }  # fmt: skip
    return make_plan(documents, [], Shape(1, 1, 4, 2, 32, 48, 100), **{**settings, **changed})


def _fit(plan: Plan, *, task=None, evaluate=None, save=lambda s: None, stop=lambda: False, state=None) -> Heard:
    own, parameters = task or _task()
    heard = Heard()
    optimizer = make_optimizer(parameters, weight_decay=0.0)
    fit(
        own, plan, state or RunState(), optimizer, parameters, log=heard, save=save, evaluate=evaluate, stop_wanted=stop
    )
    return heard


@pytest.mark.parametrize(("size", "accumulation"), [(8, 1), (4, 2), (2, 4), (1, 8)])
def test_cutting_a_step_changes_nothing(size: int, accumulation: int) -> None:
    whole = _fit(_plan(_documents(), batch_size=8, max_steps=4))
    cut = _fit(_plan(_documents(), batch_size=size, gradient_accumulation_steps=accumulation, max_steps=4))
    assert cut.losses == pytest.approx(whole.losses, rel=1e-5)


def test_a_loss_scale_goes_out_of_the_gradient_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _fit(_plan(_documents(), max_steps=5)).losses
    monkeypatch.setattr(TextTask, "loss_scale", 1024.0)
    assert _fit(_plan(_documents(), max_steps=5)).losses == pytest.approx(plain, rel=1e-6)


def test_a_gradient_norm_of_zero_means_no_clipping() -> None:
    huge = _fit(_plan(_documents(), max_steps=5, max_grad_norm=1e6)).losses
    assert _fit(_plan(_documents(), max_steps=5, max_grad_norm=0)).losses == huge
    assert _fit(_plan(_documents(), max_steps=5, max_grad_norm=1e-3)).losses != huge


def test_the_loss_falls() -> None:
    task, parameters = _task()
    task.documents = [Document([5, 6, 7, 8] * (2 + i), [False] + [True] * (4 * (2 + i) - 1)) for i in range(8)]
    # all records in each step and small steps: larger ones amplify a processor's last bits to other losses
    plan = _plan(task.documents, batch_size=8, max_steps=30, learning_rate=3e-3, lr_schedule="constant")
    losses = _fit(plan, task=(task, parameters)).losses
    # a frozen random head of 32 inputs can spread its logits by little more than a half
    assert losses[-1] < losses[0] - 0.4


def test_epochs_become_steps_and_no_record_is_left_out() -> None:
    plan = _plan(_documents(10), batch_size=4, epochs=2)
    taken = [i for step in range(plan.steps) for batch in plan.micro_batches(step) for i in batch]
    assert plan.steps == 5
    assert sorted(taken) == sorted(list(range(10)) * 2)


def test_a_gradient_that_is_not_finite_stops_the_run() -> None:
    task, parameters = _task()
    with torch.no_grad():
        parameters[0].fill_(float("nan"))
    with pytest.raises(TrainError, match="step 1"):
        _fit(_plan(_documents(), max_steps=2), task=(task, parameters))


def test_validation_comes_before_the_first_step_and_every_eval_steps() -> None:
    values = iter([4.0, 3.0, 2.0, 2.5, 2.6])
    heard = _fit(_plan(_documents(), max_steps=7, eval_steps=2), evaluate=lambda: next(values))
    assert heard.evaluations == [(0, 4.0, False), (2, 3.0, True), (4, 2.0, True), (6, 2.5, False), (7, 2.6, False)]


def test_training_stops_when_validation_does_not_get_better() -> None:
    values = iter([4.0, 3.0, 3.5, 3.6, 3.7, 3.8])
    state = RunState()
    plan = _plan(_documents(), max_steps=50, eval_steps=1, early_stopping_patience=2)
    heard = _fit(plan, evaluate=lambda: next(values), state=state)
    assert (state.step, state.best_step, len(heard.losses)) == (3, 1, 3)


def test_an_untrained_adapter_is_never_the_best() -> None:
    values = iter([1.0, 3.0, 2.0])
    state = RunState()
    _fit(_plan(_documents(), max_steps=2, eval_steps=1), evaluate=lambda: next(values), state=state)
    assert (state.first_loss, state.best_loss, state.best_step) == (1.0, 2.0, 2)


def test_a_wish_to_stop_is_granted_after_the_step_and_saved() -> None:
    saved = []
    with pytest.raises(Interrupted, match="resume_from_checkpoint"):
        _fit(_plan(_documents(), max_steps=9), stop=lambda: True, save=lambda s: saved.append(s.step))
    assert saved == [1]


def test_what_is_saved_is_every_save_step_the_best_and_the_last() -> None:
    saved: list[int] = []
    values = iter([9.0, 3.0, 4.0, 5.0])
    _fit(_plan(_documents(), max_steps=6, eval_steps=2, save_steps=4), evaluate=lambda: next(values),
         save=lambda s: saved.append(s.step))  # fmt: skip
    assert saved == [2, 4, 6]


def test_the_gradient_is_that_of_one_sum_over_one_count() -> None:
    """Documents of unlike length: a mean of means would give another loss."""
    task, _ = _task()
    plan = replace(_plan(_documents(), batch_size=3, gradient_accumulation_steps=4), seed=1)
    sums = [task.loss_sum([task.documents[i] for i in m]).item() for m in plan.micro_batches(0)]
    counts = [task.count(m) for m in plan.micro_batches(0)]
    heard = _fit(replace(plan, steps=1), task=(task, [p for p in task.model.parameters() if p.requires_grad]))
    assert heard.losses[0] == pytest.approx(sum(sums) / sum(counts), rel=1e-6)
    assert heard.losses[0] != pytest.approx(sum(s / c for s, c in zip(sums, counts, strict=True)) / 4, rel=1e-4)
