"""kohya's layout, against names from real files, kohya's and LyCORIS's own formulas, and stock diffusers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tiny_pipelines import (
    drawn_by_diffusers,
    drawn_with,
    mixed_adapter,
    names_of,
    parts_of,
    picture,
    put_on,
    tiny_pipeline,
)
from torch import Tensor

from lora_scripts.adapters.kohya import base_metadata, from_kohya, to_kohya
from lora_scripts.adapters.picture_files import read_picture_adapter
from lora_scripts.adapters.pictures import PictureAdapter, merge_pictures, picture_adapter
from lora_scripts.errors import ModelError

KINDS = ("sd", pytest.param("sdxl", marks=pytest.mark.slow))  # XL takes three times as long
NAMES = {
    "sd": {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q":
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0":
            "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0",
        "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_ff_net_0_proj":
            "unet.up_blocks.3.attentions.2.transformer_blocks.0.ff.net.0.proj",
        "lora_unet_up_blocks_3_attentions_2_proj_out": "unet.up_blocks.3.attentions.2.proj_out",
        "lora_unet_down_blocks_2_resnets_1_time_emb_proj": "unet.down_blocks.2.resnets.1.time_emb_proj",
        "lora_unet_down_blocks_1_resnets_0_conv_shortcut": "unet.down_blocks.1.resnets.0.conv_shortcut",
        "lora_unet_down_blocks_0_downsamplers_0_conv": "unet.down_blocks.0.downsamplers.0.conv",
        "lora_te_text_model_encoder_layers_11_self_attn_out_proj": "text_encoder.encoder.layers.11.self_attn.out_proj",
        "lora_te_text_model_encoder_layers_0_mlp_fc2": "text_encoder.encoder.layers.0.mlp.fc2",
    },
    "sdxl": {
        "lora_unet_input_blocks_0_0": "unet.conv_in",
        "lora_unet_out_2": "unet.conv_out",
        "lora_unet_time_embed_2": "unet.time_embedding.linear_2",
        "lora_unet_label_emb_0_0": "unet.add_embedding.linear_1",
        "lora_unet_input_blocks_3_0_op": "unet.down_blocks.0.downsamplers.0.conv",
        "lora_unet_input_blocks_4_0_skip_connection": "unet.down_blocks.1.resnets.0.conv_shortcut",
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q":
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        "lora_unet_input_blocks_8_1_transformer_blocks_9_ff_net_2":
            "unet.down_blocks.2.attentions.1.transformer_blocks.9.ff.net.2",
        "lora_unet_middle_block_0_in_layers_2": "unet.mid_block.resnets.0.conv1",
        "lora_unet_middle_block_1_proj_in": "unet.mid_block.attentions.0.proj_in",
        "lora_unet_middle_block_2_emb_layers_1": "unet.mid_block.resnets.1.time_emb_proj",
        "lora_unet_output_blocks_2_1_transformer_blocks_9_attn2_to_out_0":
            "unet.up_blocks.0.attentions.2.transformer_blocks.9.attn2.to_out.0",
        "lora_unet_output_blocks_5_2_conv": "unet.up_blocks.1.upsamplers.0.conv",
        "lora_unet_output_blocks_8_0_out_layers_3": "unet.up_blocks.2.resnets.2.conv2",
        "lora_te1_text_model_encoder_layers_3_self_attn_q_proj": "text_encoder.encoder.layers.3.self_attn.q_proj",
        "lora_te2_text_model_encoder_layers_31_mlp_fc1": "text_encoder_2.text_model.encoder.layers.31.mlp.fc1",
        "lora_te2_text_projection": "text_encoder_2.text_projection",
    },
}  # fmt: skip


def file_of(names: list[str], **more: Tensor) -> dict[str, Tensor]:
    """A linear pair of rank 2 for each name."""
    down = {f"{name}.lora_down.weight": torch.ones(2, 8) for name in names}
    return down | {f"{name}.lora_up.weight": torch.ones(6, 2) for name in names} | more


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def scales(adapter: PictureAdapter) -> dict[str, float]:
    return {
        f"{part}.{module}": config["alpha_pattern"].get(module, config["lora_alpha"])
        for part, config in adapter.configs.items()
        for module in config["target_modules"]
    }


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_names_are_those_of_real_files_both_ways(kind: str) -> None:
    tensors = file_of(list(NAMES[kind]))
    read = from_kohya(tensors, {}, None)
    assert set(scales(read)) == set(NAMES[kind].values())
    written, _ = to_kohya(read, kind=kind, metadata={})
    assert {name for name in written if not name.endswith(".alpha")} == set(tensors)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_goes_there_and_back_with_its_bits_its_rank_and_its_alpha(kind: str, dora: bool) -> None:
    pipe = tiny_pipeline(kind)
    layers = {name: names_of(part) for name, part in parts_of(pipe).items()}
    adapter = picture_adapter(put_on(tiny_pipeline(kind), "dora")) if dora else mixed_adapter(pipe)
    tensors, metadata = to_kohya(adapter, kind=kind, metadata={})
    assert len(tensors) == len(adapter.tensors) + sum(len(names) for names in layers.values())
    for modules in (layers, None):
        back = from_kohya(tensors, metadata, modules)
        assert same(back.tensors, adapter.tensors) and back.configs == adapter.configs
        again, told = to_kohya(back, kind=kind, metadata={})
        assert same(again, tensors) and told == metadata
    assert torch.equal(drawn_with(kind, ("x", back, 1.0)), drawn_with(kind, ("x", adapter, 1.0)))


@pytest.mark.parametrize(
    ("kind", "width", "prediction", "version", "architecture"),
    [
        ("sd", 768, "epsilon", "sd_v1", "stable-diffusion-v1/lora"),
        ("sd", 768, "v_prediction", "sd_v1_v", "stable-diffusion-v1/lora"),
        ("sd", 1024, "epsilon", "sd_v2", "stable-diffusion-v2-512/lora"),
        ("sd", 1024, "v_prediction", "sd_v2_v", "stable-diffusion-v2-768-v/lora"),
        ("sdxl", 2048, "epsilon", "sdxl_base_v1-0", "stable-diffusion-xl-v1-base/lora"),
    ],
)
def test_a_base_is_called_as_kohyas_scripts_call_it(
    kind: str, width: int, prediction: str, version: str, architecture: str
) -> None:
    told = base_metadata(kind, cross_attention_dim=width, prediction=prediction, resolution=768)
    assert (told["ss_base_model_version"], told["modelspec.architecture"]) == (version, architecture)
    assert told["modelspec.sai_model_spec"] == "1.0.0" and told["ss_v2"] == str(version.startswith("sd_v2"))
    assert told["modelspec.resolution"] == "768x768"
    assert told["modelspec.prediction_type"] == ("v" if prediction == "v_prediction" else "epsilon")


@pytest.mark.parametrize("kind", KINDS)
def test_rslora_is_written_as_the_alpha_that_gives_its_scale(kind: str) -> None:
    adapter = mixed_adapter(tiny_pipeline(kind), rslora=("unet", "text_encoder", "text_encoder_2"))
    tensors, metadata = to_kohya(adapter, kind=kind, metadata={})
    back = from_kohya(tensors, metadata, None)
    assert same(back.tensors, adapter.tensors) and not any(c["use_rslora"] for c in back.configs.values())
    assert (drawn_with(kind, ("x", back, 1.0)) - drawn_with(kind, ("x", adapter, 1.0))).abs().max() < 1e-6


@pytest.mark.parametrize("method", ["lora", "rslora"])
@pytest.mark.parametrize("kind", KINDS)
def test_diffusers_draws_our_kohya_file(kind: str, method: str, tmp_path: Path) -> None:
    adapter = picture_adapter(put_on(tiny_pipeline(kind), method))
    tensors, metadata = to_kohya(adapter, kind=kind, metadata={})
    save_file(tensors, tmp_path / "style.safetensors", metadata=metadata)
    mine = drawn_with(kind, ("style", read_picture_adapter(tmp_path / "style.safetensors"), 1.0))
    assert (mine - drawn_with(kind, ("style", adapter, 1.0))).abs().max() < 1e-6
    assert (mine - drawn_by_diffusers(kind, tmp_path / "style.safetensors")).abs().max() < 1e-6
    assert (mine - picture(tiny_pipeline(kind))).abs().max() > 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_merging_gives_the_weights_of_kohyas_own_formula(kind: str) -> None:
    base, merged = tiny_pipeline(kind), tiny_pipeline(kind)
    adapter = mixed_adapter(base)
    merge_pictures(parts_of(merged), [("x", adapter, 0.8)])
    tensors, _ = to_kohya(adapter, kind=kind, metadata={})
    prefixes = {"sd": ("lora_unet_", "lora_te_"), "sdxl": ("lora_unet_", "lora_te1_", "lora_te2_")}[kind]
    for prefix, (part, model) in zip(prefixes, parts_of(base).items(), strict=True):
        for module in names_of(model):
            only = {f"{part}.{module}.{piece}": adapter.tensors[f"{part}.{module}.{piece}"]
                    for piece in ("lora_A.weight", "lora_B.weight")}  # fmt: skip
            name = next(iter(to_kohya(PictureAdapter(only, adapter.configs), kind=kind, metadata={})[0])).split(".")[0]
            assert name.startswith(prefix)
            down, up, alpha = (tensors[f"{name}.{piece}"] for piece in ("lora_down.weight", "lora_up.weight", "alpha"))
            if down.dim() == 2:
                delta = up @ down
            else:
                delta = F.conv2d(down.permute(1, 0, 2, 3), up).permute(1, 0, 2, 3)
            wanted = model.get_submodule(module).weight + 0.8 * delta * alpha / len(down)
            assert torch.allclose(parts_of(merged)[part].get_submodule(module).weight, wanted, atol=1e-5), module


def test_dora_scales_are_magnitudes_by_output_as_lycoris_has_them() -> None:
    base, merged = tiny_pipeline("sdxl"), tiny_pipeline("sdxl")
    adapter = picture_adapter(put_on(tiny_pipeline("sdxl"), "dora", only="mid_block"))
    merge_pictures(parts_of(merged), [("x", adapter, 1.0)])
    tensors, metadata = to_kohya(adapter, kind="sdxl", metadata={})
    assert metadata["ss_network_module"] == "lycoris.kohya" and '"wd_on_output": "True"' in metadata["ss_network_args"]
    for name, module in (
        ("middle_block_1_proj_in", "attentions.0.proj_in"),
        ("middle_block_0_in_layers_2", "resnets.0.conv1"),
    ):
        down, up, scale = (
            tensors[f"lora_unet_{name}.{p}"] for p in ("lora_down.weight", "lora_up.weight", "dora_scale")
        )
        weight = base.unet.get_submodule(f"mid_block.{module}").weight
        whole = weight + (up.flatten(1) @ down.flatten(1)).view(weight.shape) * 6 / 4
        norms = whole.reshape(len(whole), -1).norm(dim=1).reshape(-1, *[1] * (whole.dim() - 1))
        assert scale.shape == norms.shape
        assert torch.allclose(
            merged.unet.get_submodule(f"mid_block.{module}").weight, whole * (scale / norms), atol=1e-5
        )


def test_the_header_says_what_the_file_is_and_keeps_what_it_was_told() -> None:
    adapter = mixed_adapter(tiny_pipeline("sdxl"))
    _, told = to_kohya(adapter, kind="sdxl", metadata={"modelspec.title": "ink", "ss_network_dim": "999"})
    assert told["modelspec.title"] == "ink" and told["ss_network_dim"] == "Dynamic"
    assert told["ss_network_module"] == "networks.lora"
    _, told = to_kohya(picture_adapter(put_on(tiny_pipeline("sd"), alpha=2.5)), kind="sd", metadata={})
    assert (told["ss_network_dim"], told["ss_network_alpha"]) == ("4", "2.5")
    assert all(isinstance(value, str) for value in told.values())


def test_an_alpha_that_is_absent_or_zero_is_the_rank_as_in_kohya() -> None:
    zero = {"lora_unet_conv_out.alpha": torch.tensor(0.0), "lora_unet_conv_in.alpha": torch.tensor(1.0)}
    names = ["lora_unet_conv_in", "lora_unet_conv_out", "lora_unet_mid_block_resnets_0_conv1"]
    read = from_kohya(file_of(names) | zero, {}, None)
    assert scales(read) == {"unet.conv_in": 1, "unet.conv_out": 2, "unet.mid_block.resnets.0.conv1": 2}


def test_an_sdxl_file_with_diffusers_names_reads_too() -> None:
    names = ["lora_unet_down_blocks_1_attentions_0_proj_in", "lora_te2_text_projection"]
    assert set(scales(from_kohya(file_of(names), {}, None))) == {
        "unet.down_blocks.1.attentions.0.proj_in", "text_encoder_2.text_projection",
    }  # fmt: skip


ONE = "lora_unet_mid_block_attentions_0_proj_in"
REFUSED = {
    "no such layer": (file_of(["lora_unet_double_blocks_0_img_attn_qkv"]), "lora_unet_double_blocks_0_img_attn_qkv"),
    "a layer's name with more behind it": (file_of([ONE + "_x"]), "no layer"),
    "half of a pair": ({f"{ONE}.lora_down.weight": torch.ones(2, 8)}, "lacks its lora_B"),
    "alpha alone": (file_of([ONE]) | {"lora_unet_conv_in.alpha": torch.tensor(1.0)}, "lacks its lora_A"),
    "two alphas in one": (file_of([ONE]) | {f"{ONE}.alpha": torch.ones(2)}, "one finite number"),
    "nan alpha": (file_of([ONE]) | {f"{ONE}.alpha": torch.tensor(torch.nan)}, "one finite number"),
    "nan": ({name: value * torch.nan for name, value in file_of([ONE]).items()}, "finite"),
    "one layer by two names": (file_of([ONE, "lora_unet_middle_block_1_proj_in"]), "two tensors"),
    "one encoder by two names": (
        file_of([f"lora_te{n}_text_model_encoder_layers_0_mlp_fc1" for n in ("", "1")]), "two tensors",
    ),
    "DoRA over the inputs": (file_of([ONE]) | {f"{ONE}.dora_scale": torch.ones(1, 8)}, "per output"),
    "DoRA of another length": (file_of([ONE]) | {f"{ONE}.dora_scale": torch.ones(5, 1)}, "shapes"),
    "a tensor of another kind": (file_of([ONE]) | {f"{ONE}.weight": torch.ones(2)}, "belong to no layer"),
    "a tensor of another layout": (file_of([ONE]) | {"unet.conv_in.lora_A.weight": torch.ones(2, 2)}, "unet.conv_in"),
    "LoHa": ({f"{ONE}.hada_w1_a": torch.ones(2, 2)}, "LoHa"),
    "LoKr": ({f"{ONE}.lokr_w1": torch.ones(2, 2)}, "LoKr"),
    "LoCon by CP": (file_of([ONE]) | {f"{ONE}.lora_mid.weight": torch.ones(2, 2, 3, 3)}, "LoCon"),
    "full differences": (file_of([ONE]) | {f"{ONE}.diff": torch.ones(2, 2)}, "full"),
    "OFT": ({f"{ONE}.oft_blocks": torch.ones(2, 2)}, "OFT"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_whole_adapter_is_refused_with_words(kind: str, tmp_path: Path) -> None:
    tensors, words = REFUSED[kind]
    save_file(tensors, tmp_path / "style.safetensors")
    with pytest.raises(ModelError, match=words):
        read_picture_adapter(tmp_path / "style.safetensors")


def test_a_layer_that_the_base_does_not_have_is_refused_when_its_layers_are_told() -> None:
    with pytest.raises(ModelError, match="lora_unet_conv_out"):
        from_kohya(file_of(["lora_unet_conv_in", "lora_unet_conv_out"]), {}, {"unet": ["conv_in"]})


@pytest.mark.parametrize(
    ("kind", "name"),
    [("sd", "text_encoder_2.text_projection"), ("sdxl", "unet.down_blocks.1.resnets.2.conv1")],
)
def test_a_layer_without_a_name_in_kohyas_layout_is_refused(kind: str, name: str) -> None:
    part, _, module = name.partition(".")
    config = {"r": 2, "lora_alpha": 2, "alpha_pattern": {}, "use_rslora": False, "use_dora": False}
    tensors = {f"{name}.lora_A.weight": torch.ones(2, 8), f"{name}.lora_B.weight": torch.ones(6, 2)}
    with pytest.raises(ModelError, match=module.replace(".", r"\.")):
        to_kohya(PictureAdapter(tensors, {part: config}), kind=kind, metadata={})
