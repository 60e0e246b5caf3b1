"""The last layer at the rows that are read."""

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from lora_scripts.data.render import Document
from lora_scripts.models.attention import FLAT
from lora_scripts.models.last_layer import last_layer
from lora_scripts.training.tasks import TextTask
from tests.models.test_head import SIZES


def _model() -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(LlamaConfig(**SIZES), attn_implementation="eager").float()


def test_only_the_rows_that_are_read_pass_the_last_mlp() -> None:
    model = _model()
    seen = {}
    for layer in (0, 1):
        mlp = model.model.layers[layer].mlp.gate_proj
        mlp.register_forward_hook(lambda m, x, y, layer=layer: seen.__setitem__(layer, y.shape[1]))
    last = last_layer(model)
    last.read = torch.tensor([2, 5])
    model.model(torch.arange(8)[None])
    assert seen == {0: 8, 1: 2}


def test_after_a_step_every_row_is_computed_again() -> None:
    model = _model()
    ids = torch.arange(12)[None]
    before = model(ids).logits
    task = TextTask(
        model, [Document(list(range(12)), [False] * 9 + [True] * 3)], flat=True, last_layer=last_layer(model)
    )
    model.set_attn_implementation(FLAT)
    task.backward([0], 1.0)
    task.evaluate(task.documents, 1)
    model.set_attn_implementation("eager")
    assert torch.equal(model(ids).logits, before)


def test_a_last_layer_that_mixes_its_rows_behind_the_attention_is_left_alone() -> None:
    model = _model()
    mlp = model.model.layers[-1].mlp
    inner = mlp.forward
    mlp.forward = lambda x: inner(x) + x.mean(1, keepdim=True)
    assert last_layer(model) is None
    assert not mlp._forward_hooks
    assert not mlp._forward_pre_hooks
