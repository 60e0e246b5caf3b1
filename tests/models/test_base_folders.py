"""Every wrong kind of base folder is told from a right one, with the command that mends it; and the right one loads."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lora_scripts.errors import ModelError
from lora_scripts.models import text
from lora_scripts.models.text import (
    base_fingerprint,
    check_base,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_precision,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole base of two hundred weights, as transformers itself writes it."""
    folder = tmp_path_factory.mktemp("bases") / "base"
    config = LlamaConfig(vocab_size=8, hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1)
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(["a", "b", "c", "d", "e", "f", "<unk>", "</s>"])}, "<unk>")
    )
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="<unk>").save_pretrained(folder)
    return folder


@pytest.fixture
def base(made: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(made, tmp_path / "base"))


def refusal(path: Path | str) -> str:
    with pytest.raises(ModelError) as error:
        check_base(str(path))
    assert error.value.exit_code == 2
    assert all(problem.fix for problem in error.value.problems)
    return str(error.value)


def edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_whole_folder_passes_and_torch_is_not_loaded_for_it(base: Path) -> None:
    assert check_base(str(base)) == base
    code = f"import sys; from lora_scripts.models.text import check_base; check_base({str(base)!r}); "
    code += "sys.exit(int(any(name in sys.modules for name in ('torch', 'transformers'))))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_path_is_named_with_what_gets_a_base(tmp_path: Path) -> None:
    assert f"{tmp_path / 'nope'}: there is no such folder" in refusal(tmp_path / "nope")


@pytest.mark.parametrize("given", ["Qwen/Qwen2-0.5B", "meta-llama/Llama-2-7b-chat-hf"])
def test_a_hub_name_is_answered_with_the_command_that_fetches_it(given: str) -> None:
    assert f"lora-scripts base get {given}`" in refusal(given)


def test_a_relative_path_is_not_taken_for_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "there is no such folder" in refusal("models/mine")


@pytest.mark.parametrize("given", ["smollm2-135m", "./models/smollm2-135m", "models/gemma3-270m"])
def test_a_known_base_that_is_not_here_is_one_command_away(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"lora-scripts base get {Path(given).name}`" in refusal(given)


def test_a_gguf_stops_with_the_unpack_command_even_if_it_is_garbage(tmp_path: Path) -> None:
    file = tmp_path / "my model.gguf"
    file.write_bytes(b"not even GGUF")
    assert f"lora-scripts base unpack '{file}' 'models/my model'`" in refusal(file)
    assert f"lora-scripts base unpack '{file}' 'models/my model'`" in refusal(tmp_path)


def test_other_files_are_answered_with_their_folder(base: Path) -> None:
    assert str(base) in refusal(base / "model.safetensors")
    (base / "pytorch_model.bin").write_bytes(b"\x80")
    assert "pickles (pytorch_model.bin)" in refusal(base / "pytorch_model.bin")


def test_a_folder_without_config_is_refused_by_what_it_is(tmp_path: Path) -> None:
    assert "no config.json" in refusal(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    assert "image-generation" in refusal(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "models/tiny-zh"}')
    assert "this is an adapter" in refusal(tmp_path)
    assert "its base is models/tiny-zh" in refusal(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "null", "", "[" * 100_000])
def test_a_damaged_config_is_one_message(base: Path, content: str) -> None:
    (base / "config.json").write_text(content)
    assert "config.json: cannot be read as JSON" in refusal(base)


@pytest.mark.parametrize(
    "values",
    [
        {"architectures": ["BertForMaskedLM"], "model_type": "bert"},
        {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True},
        {"model_type": ""},
    ],
)
def test_what_is_no_causal_lm_is_refused(base: Path, values: dict[str, object]) -> None:
    edit(base / "config.json", **values)
    assert "not a causal language model" in refusal(base)


def test_code_of_the_models_own_is_never_run(base: Path) -> None:
    edit(base / "config.json", auto_map={"AutoModel": "modeling_chatglm.ChatGLM"}, model_type="chatglm")
    assert "(chatglm) runs Python code" in refusal(base)


def test_a_model_that_transformers_knows_passes_though_it_also_brings_code(base: Path) -> None:
    edit(base / "config.json", auto_map={"AutoModelForCausalLM": "modeling_evil.Evil"})
    (base / "modeling_evil.py").write_text("raise SystemExit('ran')")
    assert type(load_model(check_base(str(base)), dtype=torch.float32, device="cpu")) is LlamaForCausalLM


def test_no_tokenizer_is_refused(base: Path) -> None:
    (base / "tokenizer.json").unlink()
    assert "no tokenizer" in refusal(base)


def test_weights_must_be_there_whole_and_not_pickles(base: Path) -> None:
    file = base / "model.safetensors"
    whole = file.read_bytes()
    for cut in (0, 7, 40, len(whole) - 1):
        file.write_bytes(whole[:cut])
        assert f"cut short ({cut} bytes)" in refusal(base)
    file.write_bytes((20).to_bytes(8, "little") + b"x" * 100)
    assert "not a safetensors file" in refusal(base)
    file.unlink()
    assert "no weights" in refusal(base)
    (base / "pytorch_model.bin").write_bytes(b"\x80")
    assert "save_pretrained" in refusal(base)


def test_a_missing_shard_is_named(base: Path) -> None:
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (base / "model.safetensors").rename(base / weights["a"])
    index = base / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weights}))
    assert "of 2 weight files these are not here: model-00002-of-00002.safetensors" in refusal(base)
    index.write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    assert "cannot be read as JSON" in refusal(base)


def test_the_fingerprint_changes_with_one_value_and_not_with_the_place(base: Path, made: Path) -> None:
    before = base_fingerprint(base)
    assert before == base_fingerprint(made)
    assert before.startswith("sha256:")
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    assert base_fingerprint(base) != before
    shutil.copy(made / "model.safetensors", base)
    assert base_fingerprint(base) == before
    edit(base / "config.json", rms_norm_eps=0.5)
    assert base_fingerprint(base) != before


def test_a_sampled_fingerprint_says_so_and_sees_both_ends(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "WHOLE_HASH_BYTES", 100)
    monkeypatch.setattr(text, "SAMPLE_BYTES", 16)
    before, file = base_fingerprint(base), base / "model.safetensors"
    assert before.startswith("sha256-sampled:")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert base_fingerprint(base) != before


def test_the_model_is_frozen_and_equal_to_the_one_saved(base: Path) -> None:
    model = load_model(base, dtype=torch.float32, device="cpu")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    for name, tensor in load_file(base / "model.safetensors").items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_weights_that_would_be_random_stop_with_their_names(base: Path) -> None:
    weights = load_file(base / "model.safetensors")
    del weights["model.layers.0.self_attn.q_proj.weight"]
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights are not in the files.*q_proj"):
        load_model(base, dtype=torch.float32, device="cpu")


def test_weights_without_a_place_are_told(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = load_file(base / "model.safetensors") | {"model.layers.7.odd": torch.zeros(2)}
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    load_model(base, dtype=torch.float32, device="cpu")
    assert "model.layers.7.odd" in caplog.text


@pytest.mark.parametrize("values", [{"hidden_size": 8}, {"model_type": "from-the-future"}, {"hidden_act": "nope"}])
def test_a_config_that_does_not_fit_is_one_message(base: Path, values: dict[str, object]) -> None:
    edit(base / "config.json", **values)
    with pytest.raises(ModelError, match="the model cannot be loaded"):
        load_model(base, dtype=torch.float32, device="cpu")


def test_the_end_token_pads_where_there_is_no_pad_token(base: Path) -> None:
    tokenizer = load_tokenizer(base)
    assert (tokenizer.pad_token, tokenizer.pad_token_id, len(tokenizer)) == ("</s>", 7, 8)
    edit(base / "config.json", pad_token_id=3)
    assert load_tokenizer(base).pad_token_id == 3


def test_a_damaged_tokenizer_is_one_message(base: Path) -> None:
    (base / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="tokenizer cannot be loaded"):
        load_tokenizer(base)


def test_a_base_without_a_chat_template_loads_as_stock_transformers_loads_it(llama: Path) -> None:
    ids = load_tokenizer(llama)("The ferry leaves", return_tensors="pt").input_ids
    assert ids.tolist() == [AutoTokenizer.from_pretrained(llama)("The ferry leaves").input_ids]
    ours = load_model(check_base(str(llama)), dtype=torch.float32, device="cpu")
    theirs = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    assert torch.equal(ours(ids).logits, theirs.eval()(ids).logits)


def test_the_real_pretrained_llama_loads(stories: Path) -> None:
    model = load_model(check_base(str(stories)), dtype=torch.float32, device="cpu")
    tokenizer = load_tokenizer(stories)
    said = model.generate(**tokenizer("Once upon a time", return_tensors="pt"), max_new_tokens=12, do_sample=False)
    assert "there was a" in tokenizer.decode(said[0])


def test_device_and_precision_without_cuda_go_on_with_one_note_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == ("cpu", []) == resolve_device("cpu")
    device, notes = resolve_device("cuda")
    assert device == "cpu"
    assert len(notes) == 1
    assert "cuda" in notes[0]
    assert resolve_precision("auto", "cpu") == (torch.float32, None, [])
    for wanted in ("fp16", "bf16"):
        weights, autocast, notes = resolve_precision(wanted, "cpu")
        assert (weights, autocast) == (torch.float32, None)
        assert len(notes) == 1
        assert wanted in notes[0]


@pytest.mark.parametrize(
    ("wanted", "capable", "expected", "noted"),
    [
        ("auto", True, torch.bfloat16, 0),
        ("auto", False, torch.float16, 0),
        ("bf16", False, torch.float16, 1),
        ("fp16", True, torch.float16, 0),
        ("fp32", True, None, 0),
    ],
)
def test_precision_on_a_card_follows_what_the_card_can(
    wanted: str, capable: bool, expected: torch.dtype | None, noted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0) if capable else (7, 5))
    weights, autocast, notes = resolve_precision(wanted, "cuda")
    assert (weights, autocast, len(notes)) == (expected or torch.float32, expected, noted)


def test_wrong_devices_and_precisions_are_refused_with_the_right_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("gpu", "cuda:x", "cpu:1", ""):
        with pytest.raises(ModelError, match="write auto, cpu, cuda"):
            resolve_device(wrong)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("cuda:0") == ("cuda:0", [])
    assert resolve_device("AUTO") == ("cuda", [])
    with pytest.raises(ModelError, match="this machine has 1 card"):
        resolve_device("cuda:1")
    with pytest.raises(ModelError, match="write auto, bf16"):
        resolve_precision("fp8", "cpu")
