"""Which heads the loss may be taken from directly."""

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GraniteConfig, LlamaConfig

from lora_scripts.models.head import frozen_head

SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _model(config: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).float().requires_grad_(False)


def test_a_plain_head_is_found_and_the_model_stays_in_its_mode() -> None:
    model = _model(LlamaConfig(**SIZES)).train()
    head = frozen_head(model)
    assert head is not None
    assert head.weight is model.lm_head.weight
    assert head.cap is None
    assert model.training


def test_a_cap_on_the_logits_is_found() -> None:
    head = frozen_head(_model(Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=0.5)))
    assert head is not None
    assert head.cap == pytest.approx(0.5)


def test_a_model_that_scales_its_logits_is_not_taken_for_a_plain_one() -> None:
    assert frozen_head(_model(GraniteConfig(**SIZES, logits_scaling=4.0))) is None


def test_a_head_that_trains_is_left_to_autograd() -> None:
    model = _model(LlamaConfig(**SIZES))
    model.lm_head.weight.requires_grad_(True)
    assert frozen_head(model) is None
