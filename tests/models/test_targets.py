"""The modules to adapt, on tiny random models of many architectures, with peft's injection as the judge."""

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import nn

from lora_scripts.errors import ModelError
from lora_scripts.models.targets import find_targets, in_mlp

SMALL = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
GEMMA = SMALL | {"head_dim": 8}
GPT2 = {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
MOE = SMALL | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "head_dim": 8}

# architecture: (config class, its values, the last parts of the names that must be found in each layer)
ARCHITECTURES = {
    "llama": ("LlamaConfig", SMALL, ["q_proj", "v_proj"]),
    "qwen2": ("Qwen2Config", SMALL, ["q_proj", "v_proj"]),
    "qwen3": ("Qwen3Config", GEMMA, ["q_proj", "v_proj"]),
    "qwen3_moe": ("Qwen3MoeConfig", MOE, ["q_proj", "v_proj"]),
    "mistral": ("MistralConfig", GEMMA, ["q_proj", "v_proj"]),
    "gemma2": ("Gemma2Config", GEMMA, ["q_proj", "v_proj"]),
    "gemma3_text": ("Gemma3TextConfig", GEMMA, ["q_proj", "v_proj"]),
    "phi": ("PhiConfig", SMALL | {"num_key_value_heads": 2}, ["q_proj", "v_proj"]),
    "phi3": ("Phi3Config", SMALL, ["qkv_proj"]),
    "gpt2": ("GPT2Config", GPT2, ["c_attn"]),
    "gptj": ("GPTJConfig", GPT2 | {"rotary_dim": 4}, ["v_proj", "q_proj"]),
    "glm": ("GlmConfig", GEMMA, ["q_proj", "v_proj"]),
    "gpt_neox": ("GPTNeoXConfig", SMALL, ["query_key_value"]),
    "falcon": ("FalconConfig", SMALL, ["query_key_value"]),
    "bloom": ("BloomConfig", {"vocab_size": 64, "hidden_size": 16, "n_layer": 2, "n_head": 2}, ["query_key_value"]),
    "olmo2": ("Olmo2Config", SMALL, ["q_proj", "v_proj"]),
    "starcoder2": ("Starcoder2Config", SMALL, ["q_proj", "v_proj"]),
    "cohere": ("CohereConfig", SMALL, ["q_proj", "v_proj"]),
    "mpt": ("MptConfig", {"vocab_size": 64, "d_model": 16, "n_layers": 2, "n_heads": 2, "max_seq_len": 32}, ["Wqkv"]),
    "opt": ("OPTConfig", SMALL | {"ffn_dim": 24, "word_embed_proj_dim": 16}, ["v_proj", "q_proj"]),
}


def tiny(architecture: str) -> nn.Module:
    name, values, _ = ARCHITECTURES[architecture]
    config = getattr(transformers, name)(**values)
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(config)


def injected(model: nn.Module, targets: list[str]) -> list[str]:
    wrapped = get_peft_model(
        model, LoraConfig(r=2, target_modules=targets, task_type="CAUSAL_LM", fan_in_fan_out=False)
    )
    prefix = "base_model.model."
    return [name.removeprefix(prefix) for name, module in wrapped.named_modules() if hasattr(module, "lora_A")]


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_query_and_value_of_every_layer_are_found_and_peft_injects_just_those(architecture: str) -> None:
    model = tiny(architecture)
    targets = find_targets(model)
    assert [name.rpartition(".")[2] for name in targets] == ARCHITECTURES[architecture][2] * 2
    assert injected(model, targets) == targets


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "phi3", "gpt_neox", "opt", "mpt"])
def test_all_linear_is_what_peft_means_by_it_and_leaves_out_head_and_routers(architecture: str) -> None:
    found = find_targets(tiny(architecture), "all-linear")
    head = {"lm_head", "embed_out"}
    assert found == [name for name in injected(tiny(architecture), "all-linear") if name.rpartition(".")[2] not in head]
    assert not any(name.endswith(".gate") or name.rpartition(".")[2] in head for name in found)


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "qwen3_moe"])
def test_attention_and_mlp_share_out_all_linear_layers(architecture: str) -> None:
    model = tiny(architecture)
    attention, mlp = find_targets(model, "attention"), find_targets(model, "mlp")
    assert not set(attention) & set(mlp)
    assert set(attention) | set(mlp) == set(find_targets(model, "all-linear"))
    assert set(find_targets(model)) < set(attention)
    assert mlp
    assert find_targets(model, ["attention", "mlp"]) == find_targets(model, "all-linear")
    assert in_mlp(find_targets(model, "all-linear")) == mlp


def test_fused_experts_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    found = find_targets(tiny("qwen3_moe"), "all-linear")
    assert len(found) == 8
    assert all(".self_attn." in name for name in found)
    assert "experts" in caplog.text
    assert "get no adapter" in caplog.text


class Block(nn.Module):
    """A layer named as remote-code models name theirs, which cannot be had from transformers."""

    def __init__(self, attention: str, members: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        inner = nn.Module()
        for name, (fan_in, fan_out) in members.items():
            inner.add_module(name, nn.Linear(fan_in, fan_out))
        self.add_module(attention, inner)
        self.mlp = nn.Module()
        self.mlp.dense_h_to_4h = nn.Linear(8, 32)
        self.mlp.dense_4h_to_h = nn.Linear(32, 8)


@pytest.mark.parametrize(
    ("attention", "members", "expected"),
    [
        ("self_attention", {"query_key_value": (8, 24), "dense": (8, 8)}, ["query_key_value"]),  # ChatGLM
        ("self_attn", {"W_pack": (8, 24), "o_proj": (8, 8)}, ["W_pack"]),  # Baichuan
        ("attention", {"wqkv": (8, 16), "wo": (8, 8)}, ["wqkv"]),  # InternLM2
        (
            "self_attn",
            {"q_proj": (8, 8), "kv_a_proj_with_mqa": (8, 4), "kv_b_proj": (4, 16), "o_proj": (8, 8)},
            ["q_proj", "kv_b_proj"],
        ),  # DeepSeek's latent attention
        ("attn", {"one": (8, 8), "two": (8, 8), "three": (8, 8), "four": (8, 8)}, ["one", "three"]),  # by place
    ],
)
def test_names_of_remote_code_models_are_known(
    attention: str, members: dict[str, tuple[int, int]], expected: list[str]
) -> None:
    model = nn.Module()
    model.layers = nn.ModuleList(Block(attention, members) for _ in range(2))
    model.output_layer = nn.Linear(8, 64)
    assert find_targets(model) == [f"layers.{i}.{attention}.{name}" for i in range(2) for name in expected]
    assert "output_layer" not in find_targets(model, "all-linear")


def test_the_vision_tower_of_a_multimodal_model_is_left_alone() -> None:
    text_config = {**GEMMA, "num_hidden_layers": 2}
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    config = transformers.Gemma3Config(text_config=text_config, vision_config=vision)
    with torch.device("meta"):
        model = transformers.Gemma3ForConditionalGeneration(config)
    assert any("vision" in name and name.endswith("q_proj") for name, _ in model.named_modules())
    for wanted in (None, "q_proj", "attention", "all-linear"):
        assert not any("vision" in name or "projector" in name for name in find_targets(model, wanted))
    targets = find_targets(model)
    assert len(targets) == 4
    assert injected(model, targets) == targets


def test_a_misspelt_name_is_answered_with_the_nearest_and_the_real_ones() -> None:
    with pytest.raises(ModelError) as error:
        find_targets(tiny("llama"), ["q_porj", "v_proj", "zzz", "embed_tokens"])
    said = str(error.value)
    assert error.value.exit_code == 2
    assert len(error.value.problems) == 3
    assert "no module q_porj (did you mean q_proj?)" in said
    assert "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj" in said
    assert "no module zzz\n" in said
    assert "embed_tokens is in the model but not a linear layer" in said


def test_names_are_taken_as_a_list_as_text_and_as_full_paths() -> None:
    model = tiny("llama")
    names = [f"model.layers.{i}.self_attn.{name}" for i in (0, 1) for name in ("k_proj", "o_proj")]
    assert find_targets(model, ["o_proj", "k_proj"]) == names == find_targets(model, "k_proj, o_proj")
    assert find_targets(model, "model.layers.1.mlp.up_proj") == ["model.layers.1.mlp.up_proj"]
    assert find_targets(model, ["attention", "up_proj"]) == [
        name for name in find_targets(model, "all-linear") if "attn" in name or name.endswith("up_proj")
    ]
    assert find_targets(model, []) == find_targets(model)


def test_a_model_without_attention_says_what_it_has() -> None:
    model = nn.Module()
    model.mixer = nn.Linear(4, 4)
    with pytest.raises(ModelError, match="mixer"):
        find_targets(model)
    assert find_targets(model, "all-linear") == ["mixer"]
