"""Adapters of Stable Diffusion models and their files, against stock diffusers and stock peft."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
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

from lora_scripts.adapters.picture_files import (
    HEADER_KEY,
    WEIGHTS_FILE,
    read_picture_adapter,
    write_peft_folders,
    write_picture_adapter,
)
from lora_scripts.adapters.pictures import (
    PictureAdapter,
    apply_pictures,
    inject_pictures,
    merge_pictures,
    picture_adapter,
    remove_pictures,
    restore_pictures,
)
from lora_scripts.errors import ModelError

KINDS = ("sd", pytest.param("sdxl", marks=pytest.mark.slow))  # XL takes three times as long
METHODS = ("lora", pytest.param("rslora", marks=pytest.mark.slow), "dora")


def same(one: PictureAdapter, other: PictureAdapter) -> bool:
    return (
        list(one.tensors) == list(other.tensors)
        and all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())
        and one.configs == other.configs
    )


def header_of(file: Path) -> dict[str, Any]:
    raw = file.read_bytes()
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]


# into the parts


@pytest.mark.parametrize("method", METHODS)
def test_a_fresh_adapter_draws_the_base_and_is_drawn_from_the_seed_alone(method: str) -> None:
    pipe = tiny_pipeline("sd")
    before = picture(pipe)
    found = []
    for drawn_before in (0, 5):
        pipe = tiny_pipeline("sd")
        torch.rand(drawn_before)
        state = torch.get_rng_state()
        targets = {"unet": ["conv_in", "mid_block.attentions.0.proj_in"]}
        inject_pictures(parts_of(pipe), targets, method=method, rank=3, alpha=5, dropout=0.0, seed=9)
        assert torch.equal(torch.get_rng_state(), state)
        found.append(picture_adapter(parts_of(pipe)))
        assert (picture(pipe) - before).abs().max() < 1e-5
    assert same(*found)
    assert found[0].configs["unet"]["target_modules"] == targets["unet"]
    assert [found[0].configs["unet"][key] for key in ("r", "lora_alpha")] == [3, 5]


def test_only_the_adapter_is_trainable_and_it_is_float32_on_a_half_base() -> None:
    parts = {name: part.half() for name, part in parts_of(tiny_pipeline("sd")).items()}
    targets = {"unet": ["mid_block.resnets.0.conv1"], "text_encoder": ["encoder.layers.0.mlp.fc1"]}
    inject_pictures(parts, targets, method="dora", rank=2, alpha=2, dropout=0.1, seed=0)
    trainable = {n: v for part in parts.values() for n, v in part.named_parameters() if v.requires_grad}
    assert len(trainable) == 6 and all("lora_" in name for name in trainable)
    assert {value.dtype for value in trainable.values()} == {torch.float32}
    assert {v.dtype for part in parts.values() for v in part.parameters() if not v.requires_grad} == {torch.float16}


def test_a_target_that_is_no_layer_is_refused_by_name() -> None:
    parts = parts_of(tiny_pipeline("sd"))
    with pytest.raises(ModelError, match=r"unet\.mid_block\.attentions\.0\.norm"):
        inject_pictures(
            parts, {"unet": ["mid_block.attentions.0.norm"]}, method="lora", rank=2, alpha=2, dropout=0, seed=0
        )


def test_tensors_go_back_to_where_they_came_from() -> None:
    pipe = tiny_pipeline("sd")
    parts = put_on(pipe, "dora")
    kept, drawn = picture_adapter(parts), picture(pipe)
    with torch.no_grad():
        for value in parts["unet"].parameters():
            if value.requires_grad:
                value.mul_(3)
    assert not torch.equal(picture(pipe), drawn)
    restore_pictures(parts, kept.tensors)
    assert torch.equal(picture(pipe), drawn)
    name = next(iter(kept.tensors))
    for wrong in ({n: v for n, v in kept.tensors.items() if n != name}, kept.tensors | {name: torch.zeros(1, 1)}):
        with pytest.raises(ModelError, match="lora_A"):
            restore_pictures(parts, wrong)


# drawing


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_diffusers_draws_our_file_as_we_and_as_the_trained_model_do_to_the_last_bit(
    kind: str, method: str, tmp_path: Path
) -> None:
    pipe = tiny_pipeline(kind)
    base = picture(pipe)
    trained = picture_adapter(put_on(pipe, method))
    write_picture_adapter(tmp_path, trained)
    read = read_picture_adapter(tmp_path)
    assert same(read, trained)
    drawn = picture(pipe)
    assert (drawn - base).abs().max() > 0.02
    assert torch.equal(drawn_with(kind, ("style", read, 1.0)), drawn)
    assert torch.equal(drawn_by_diffusers(kind, tmp_path), drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_diffusers_knows_rank_alpha_and_method_of_each_layer_from_the_file(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    adapter = mixed_adapter(tiny_pipeline(kind), rslora=("unet",))
    write_picture_adapter(tmp_path, adapter)
    assert same(read_picture_adapter(tmp_path), adapter)
    assert torch.equal(drawn_by_diffusers(kind, tmp_path), drawn_with(kind, ("style", adapter, 1.0)))
    assert "MISSING" not in capfd.readouterr().err and not [w for w in recwarn if "pattern" in str(w.message)]


@pytest.mark.parametrize("only", ["mlp.fc1", "text_projection", "self_attn.q_proj"])
def test_diffusers_reads_a_text_encoder_alone_whatever_layers_it_has(only: str, tmp_path: Path) -> None:
    adapter = mixed_adapter(tiny_pipeline("sdxl"), only=only)
    write_picture_adapter(tmp_path, adapter)
    assert torch.equal(drawn_by_diffusers("sdxl", tmp_path), drawn_with("sdxl", ("style", adapter, 1.0)))


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_a_base_in_bfloat16_draws_as_diffusers_has_it(method: str, tmp_path: Path) -> None:
    adapter = picture_adapter(put_on(tiny_pipeline("sd"), method))
    write_picture_adapter(tmp_path, adapter)
    ours, stock = (tiny_pipeline("sd").to(dtype=torch.bfloat16) for _ in range(2))
    apply_pictures(parts_of(ours), [("style", adapter, 1.0)])
    stock.load_lora_weights(tmp_path)
    assert torch.equal(picture(ours), picture(stock))


def test_no_dropout_is_left_to_diffusers_which_would_draw_with_it(tmp_path: Path) -> None:
    adapter = picture_adapter(put_on(tiny_pipeline("sd"), dropout=0.5))
    assert adapter.configs["unet"]["lora_dropout"] == 0.5
    write_picture_adapter(tmp_path, adapter)
    drawn = drawn_by_diffusers("sd", tmp_path)
    assert torch.equal(drawn, drawn_by_diffusers("sd", tmp_path))
    assert torch.equal(drawn, drawn_with("sd", ("style", adapter, 1.0)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_with_weights_is_what_diffusers_makes_of_it(kind: str, tmp_path: Path) -> None:
    pipe, stock = tiny_pipeline(kind), tiny_pipeline(kind)
    one, two = mixed_adapter(pipe), mixed_adapter(pipe, seed=9, only="attn", rslora=("unet",))
    for name, adapter in (("one", one), ("two", two)):
        (tmp_path / name).mkdir()
        write_picture_adapter(tmp_path / name, adapter)
        stock.load_lora_weights(tmp_path / name, adapter_name=name)
    stock.set_adapters(["one", "two"], [0.7, -1.3])
    drawn = drawn_with(kind, ("one", one, 0.7), ("two", two, -1.3))
    assert torch.equal(drawn, picture(stock))
    assert (drawn - drawn_with(kind, ("one", one, 0.7))).abs().max() > 0.001


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_merged_draws_as_applied_and_removed_draws_the_base(kind: str, method: str) -> None:
    pipe = tiny_pipeline(kind)
    parts, base = parts_of(pipe), picture(pipe)
    names = {name: list(part.state_dict()) for name, part in parts.items()}
    trained = tiny_pipeline(kind)
    stack = [("style", picture_adapter(put_on(trained, method)), 1.0)]
    apply_pictures(parts, stack)
    apply_pictures(parts, stack)  # once more is not twice
    applied = picture(pipe)
    assert torch.equal(applied, picture(trained))
    remove_pictures(parts)
    assert torch.equal(picture(pipe), base)
    merge_pictures(parts, stack)
    assert {name: list(part.state_dict()) for name, part in parts.items()} == names
    assert not [m for part in parts.values() for m in part.modules() if hasattr(m, "base_layer")]
    assert (picture(pipe) - applied).abs().max() < 1e-5
    assert (applied - base).abs().max() > 0.02


def test_two_adapters_merge_as_they_apply() -> None:
    pipe = tiny_pipeline("sdxl")
    stack = [("one", mixed_adapter(pipe), 0.7), ("two", mixed_adapter(pipe, seed=9, only="conv"), -1.3)]
    merge_pictures(parts_of(pipe), stack)
    assert (picture(pipe) - drawn_with("sdxl", *stack)).abs().max() < 1e-5


def test_what_cannot_be_applied_is_refused_and_changes_nothing() -> None:
    sd, sdxl = tiny_pipeline("sd"), tiny_pipeline("sdxl")
    plain = mixed_adapter(sd, only="mid_block")
    dora = picture_adapter(put_on(tiny_pipeline("sd"), "dora", only="mid_block"))
    name = "unet.mid_block.resnets.0.conv1.lora_A.weight"
    narrow = PictureAdapter(plain.tensors | {name: plain.tensors[name][:, :5]}, plain.configs)
    before = picture(sd)
    for stack, words in (
        ([("x", mixed_adapter(sdxl, only="text_projection"), 1.0)], "text_encoder_2.text_projection"),
        ([("x", mixed_adapter(sdxl, only="add_embedding"), 1.0)], "add_embedding"),
        ([("ok", plain, 1.0), ("x", narrow, 1.0)], "mid_block.resnets.0.conv1"),
        ([("x", dora, 0.5)], "0.5"),
        ([("x", dora, 1.0), ("y", plain, 1.0)], "alone"),
    ):
        for act in (apply_pictures, merge_pictures):
            with pytest.raises(ModelError, match=words):
                act(parts_of(sd), stack)
    assert torch.equal(picture(sd), before)


# files


def test_a_file_is_the_same_each_time_and_only_finite_values_are_written(tmp_path: Path) -> None:
    adapter = mixed_adapter(tiny_pipeline("sd"))
    write_picture_adapter(tmp_path, adapter)
    once = (tmp_path / WEIGHTS_FILE).read_bytes()
    write_picture_adapter(tmp_path, adapter)
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == once
    name = next(iter(adapter.tensors))
    with pytest.raises(ModelError, match="finite"):
        write_picture_adapter(tmp_path, PictureAdapter(adapter.tensors | {name: torch.tensor(torch.nan)}, {}))
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS_FILE]
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == once


def test_text_encoders_have_the_names_in_the_file_that_other_tools_know(tmp_path: Path) -> None:
    write_picture_adapter(tmp_path, mixed_adapter(tiny_pipeline("sdxl"), only="fc1"))
    names = load_file(tmp_path / WEIGHTS_FILE)
    for part in ("text_encoder", "text_encoder_2"):  # as ComfyUI's model_lora_keys_clip has them
        assert f"{part}.text_model.encoder.layers.1.mlp.fc1.lora_linear_layer.up.weight" in names


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_peft_loads_each_part_from_its_folder(kind: str, method: str, tmp_path: Path) -> None:
    adapter = picture_adapter(put_on(tiny_pipeline(kind), method))
    write_peft_folders(tmp_path, adapter, "models/tiny")
    assert same(read_picture_adapter(tmp_path), adapter)
    pipe = tiny_pipeline(kind)
    for part in adapter.configs:
        loaded = PeftModel.from_pretrained(getattr(pipe, part), tmp_path / part)
        assert loaded.peft_config["default"].base_model_name_or_path == "models/tiny"
        setattr(pipe, part, loaded.base_model.model)
    assert (picture(pipe) - drawn_with(kind, ("style", adapter, 1.0))).abs().max() < 1e-6


def test_a_file_that_diffusers_saved_reads_as_diffusers_reads_it(tmp_path: Path) -> None:
    parts = put_on(tiny_pipeline("sd"), only="attn")
    layers = {name: convert_state_dict_to_diffusers(get_peft_model_state_dict(part)) for name, part in parts.items()}
    settings = {f"{name}_lora_adapter_metadata": part.peft_config["default"].to_dict() for name, part in parts.items()}
    for folder, more in (("with settings", settings), ("without", {})):
        StableDiffusionPipeline.save_lora_weights(
            tmp_path / folder, unet_lora_layers=layers["unet"], text_encoder_lora_layers=layers["text_encoder"], **more
        )
        read = read_picture_adapter(tmp_path / folder)
        assert read.configs["unet"]["lora_alpha"] == (6 if more else 4)
        stock = drawn_by_diffusers("sd", tmp_path / folder)
        assert (drawn_with("sd", ("style", read, 1.0)) - stock).abs().max() < 1e-6


def test_the_names_of_attention_processors_read_as_diffusers_reads_them(tmp_path: Path) -> None:
    adapter = mixed_adapter(tiny_pipeline("sd"), only="attn")
    older = {}
    for name, value in adapter.tensors.items():
        name = (
            name.replace("lora_A", "down")
            .replace("lora_B", "up")
            .replace("encoder.layers", "text_model.encoder.layers")
        )
        for to, proj in (("to_q", "q_proj"), ("to_k", "k_proj"), ("to_v", "v_proj"), ("to_out", "out_proj")):
            name = (
                name.replace(".to_out.0.", ".to_out.")
                .replace(f".{proj}.", f".{to}_lora.")
                .replace(f".{to}.", f".{to}_lora.")
            )
        older[name.replace("attn1.", "attn1.processor.").replace("attn2.", "attn2.processor.")] = value
    save_file(older, tmp_path / "old.safetensors")
    read = read_picture_adapter(tmp_path / "old.safetensors")
    assert list(read.tensors) == list(adapter.tensors)
    stock = drawn_by_diffusers("sd", tmp_path / "old.safetensors")
    assert (drawn_with("sd", ("style", read, 1.0)) - stock).abs().max() < 1e-6


def test_alpha_tensors_say_the_scale_where_the_header_does_not(tmp_path: Path) -> None:
    adapter = mixed_adapter(tiny_pipeline("sd"))
    write_picture_adapter(tmp_path, adapter)
    tensors = load_file(tmp_path / WEIGHTS_FILE)
    for part, config in adapter.configs.items():
        for module in config["target_modules"]:
            alpha = config["alpha_pattern"].get(module, config["lora_alpha"])
            tensors[f"{part}.{module}.alpha"] = torch.tensor(float(alpha))
    save_file(tensors, tmp_path / "alphas.safetensors")
    assert same(read_picture_adapter(tmp_path / "alphas.safetensors"), adapter)


# broken files

LAYER = "unet.mid_block.attentions.0.proj_in"
SMALL = {f"{LAYER}.lora_A.weight": torch.ones(2, 64, 1, 1), f"{LAYER}.lora_B.weight": torch.ones(64, 2, 1, 1)}
SETTINGS = {"unet.r": 2, "unet.lora_alpha": 2, "unet.target_modules": ["mid_block.attentions.0.proj_in"]}


def saved(tensors: dict[str, Tensor], settings: Any = None) -> Callable[[Path], None]:
    text = settings if isinstance(settings, str) else json.dumps(settings) if settings is not None else None
    header = {} if text is None else {HEADER_KEY: text}
    return lambda file: save_file(tensors, file, metadata={"format": "pt", **header})


def truncated(file: Path) -> None:
    saved(SMALL)(file)
    file.write_bytes(file.read_bytes()[:-40])


def with_value(value: float) -> dict[str, Tensor]:
    broken = SMALL[f"{LAYER}.lora_B.weight"].clone()
    broken[3, 1] = value
    return SMALL | {f"{LAYER}.lora_B.weight": broken}


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncated, "cannot be read"),
    "no bytes": (lambda file: file.write_bytes(b""), "cannot be read"),
    "text": (lambda file: file.write_bytes(b"<html>404</html>" * 9), "cannot be read"),
    "a pickle by another name": (lambda file: file.write_bytes(pickle.dumps({"a": 1})), "pickle"),
    "a torch file by another name": (lambda file: torch.save(SMALL, file), "pickle"),
    "no tensors": (saved({}), "no tensors"),
    "nan": (saved(with_value(torch.nan)), "finite"),
    "infinite": (saved(with_value(-torch.inf)), "finite"),
    "integers": (saved({name: value.int() for name, value in SMALL.items()}), "finite"),
    "A without B": (saved({f"{LAYER}.lora_A.weight": torch.ones(2, 64, 1, 1)}), "lacks its lora_B"),
    "B without A": (saved({f"{LAYER}.lora_B.weight": torch.ones(64, 2, 1, 1)}), "lacks its lora_A"),
    "alpha without A": (saved(SMALL | {"unet.conv_in.alpha": torch.tensor(2.0)}), "lacks its lora_A"),
    "two ranks in a pair": (saved(SMALL | {f"{LAYER}.lora_B.weight": torch.ones(64, 3, 1, 1)}), "shapes"),
    "a linear B on a convolution's A": (saved(SMALL | {f"{LAYER}.lora_B.weight": torch.ones(64, 2)}), "shapes"),
    "three dimensions": (saved({name: value[..., 0] for name, value in SMALL.items()}), "shapes"),
    "no dimensions": (saved({name: torch.tensor(1.0) for name in SMALL}), "shapes"),
    "no dimensions, with settings": (saved({name: torch.tensor(1.0) for name in SMALL}, SETTINGS), "settings"),
    "a header without a bottom": (saved(SMALL, "[" * 100_000), "cannot be read"),
    "rank 0": (
        saved({f"{LAYER}.lora_A.weight": torch.ones(0, 64), f"{LAYER}.lora_B.weight": torch.ones(64, 0)}),
        "shapes",
    ),
    "a rank beyond all": (
        saved({f"{LAYER}.lora_A.weight": torch.ones(5000, 1), f"{LAYER}.lora_B.weight": torch.ones(1, 5000)}),
        "5000",
    ),
    "rank 1e9 in the header": (saved(SMALL, SETTINGS | {"unet.r": 10**9}), "settings in the file say"),
    "rank 1e400 in the header": (saved(SMALL, SETTINGS | {"unet.r": 10**400}), "cannot be read"),
    "nan alpha in the header": (saved(SMALL, SETTINGS | {"unet.lora_alpha": float("nan")}), "cannot be read"),
    "a pattern in the header": (saved(SMALL, SETTINGS | {"unet.alpha_pattern": {"(a+)+$": 4}}), "pattern"),
    "trained biases": (saved(SMALL, SETTINGS | {"unet.bias": "all"}), "bias"),
    "whole layers": (saved(SMALL, SETTINGS | {"unet.modules_to_save": ["conv_out"]}), "modules_to_save"),
    "a changed base": (saved(SMALL, SETTINGS | {"unet.init_lora_weights": "pissa"}), "pissa"),
    "a header that is no JSON": (saved(SMALL, "{unet"), "cannot be read"),
    "a header that is a list": (saved(SMALL, [1]), "cannot be read"),
    "settings of an unknown part": (saved(SMALL, {"transformer.r": 2}), "transformer"),
    "DoRA without magnitudes": (saved(SMALL, SETTINGS | {"unet.use_dora": True}), "lora_magnitude_vector"),
    "magnitudes of one layer only": (
        saved(SMALL | {f"unet.conv_in.{key.rsplit('.', 2)[1]}.weight": value + 1 for key, value in SMALL.items()}
              | {"unet.conv_in.lora_magnitude_vector": torch.ones(1, 64, 1, 1)}),
        "proj_in lacks its lora_magnitude_vector",
    ),
    "magnitudes of another shape": (saved(SMALL | {f"{LAYER}.lora_magnitude_vector": torch.ones(64)}), "shapes"),
    "a stray tensor": (saved(SMALL | {"unet.conv_in.weight": torch.ones(2)}), r"unet\.conv_in\.weight"),
    "a tensor of no part": (saved(SMALL | {"vae.conv_in.lora_A.weight": torch.ones(2, 2)}), "vae"),
    "one layer under two names": (
        saved(SMALL | {f"{LAYER}.lora.up.weight": torch.ones(64, 2, 1, 1)}), "two tensors",
    ),
    "two alphas": (saved(SMALL | {f"{LAYER}.alpha": torch.tensor(7.0)}, SETTINGS), "7.0"),
    "an alpha of two numbers": (saved(SMALL | {f"{LAYER}.alpha": torch.ones(2)}), "one finite number"),
    "LoHa": (saved({"unet.conv_in.hada_w1_a": torch.ones(2, 2)}), "LoHa"),
    "LoKr": (saved({"unet.conv_in.lokr_w1": torch.ones(2, 2)}), "LoKr"),
    "an adapter of a language model": (
        saved({"base_model.model.model.layers.0.q_proj.lora_A.weight": torch.ones(2, 2)}), "text model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused_with_words(kind: str, tmp_path: Path) -> None:
    breaks, words = BROKEN[kind]
    breaks(tmp_path / WEIGHTS_FILE)
    for path in (tmp_path, tmp_path / WEIGHTS_FILE):
        with pytest.raises(ModelError, match=words):
            read_picture_adapter(path)


def test_the_file_that_the_broken_ones_come_from_is_whole(tmp_path: Path) -> None:
    saved(SMALL, SETTINGS)(tmp_path / WEIGHTS_FILE)
    assert set(read_picture_adapter(tmp_path).tensors) == set(SMALL)


def test_a_folder_without_an_adapter_and_pickles_are_named_as_such(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.safetensors"):
        with pytest.raises(ModelError, match="no adapter"):
            read_picture_adapter(path)
    (tmp_path / "pytorch_lora_weights.bin").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "pytorch_lora_weights.bin"):
        with pytest.raises(ModelError, match="pickle"):
            read_picture_adapter(path)


def test_a_broken_peft_folder_is_refused_with_words(tmp_path: Path) -> None:
    write_peft_folders(tmp_path, mixed_adapter(tiny_pipeline("sd"), only="mid_block"), "base")
    config, weights = tmp_path / "unet" / "adapter_config.json", tmp_path / "unet" / "adapter_model.safetensors"
    whole = json.loads(config.read_text())
    for content, words in (
        ("{", "cannot be read"),
        ("[]", "kind list"),
        (json.dumps(whole | {"peft_type": "LOHA"}), "LOHA"),
        (json.dumps(whole | {"r": 10**9}), "settings in the file say"),
    ):
        config.write_text(content)
        with pytest.raises(ModelError, match=words):
            read_picture_adapter(tmp_path)
    config.write_text(json.dumps(whole))
    save_file({"conv_in.lora_A.weight": torch.ones(2, 2)}, weights)
    with pytest.raises(ModelError, match="conv_in"):
        read_picture_adapter(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match="no adapter"):
        read_picture_adapter(tmp_path)


def test_a_layer_that_the_base_does_not_have_is_refused_when_its_layers_are_told(tmp_path: Path) -> None:
    def layers(pipe: DiffusionPipeline) -> dict[str, list[str]]:
        return {name: names_of(part) for name, part in parts_of(pipe).items()}

    sd, sdxl = tiny_pipeline("sd"), tiny_pipeline("sdxl")
    write_picture_adapter(tmp_path, mixed_adapter(sdxl))
    assert read_picture_adapter(tmp_path, layers(sdxl)).configs.keys() == parts_of(sdxl).keys()
    with pytest.raises(ModelError, match="no layer of this model"):
        read_picture_adapter(tmp_path, layers(sd))
