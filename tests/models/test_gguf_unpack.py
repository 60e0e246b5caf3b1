"""A GGUF becomes a folder that says what the GGUF says; what cannot become one leaves nothing behind."""

import errno
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from lora_scripts.errors import LoraScriptsError, ModelError, UsageError
from lora_scripts.models import gguf_unpack
from lora_scripts.models.gguf_unpack import unpack
from lora_scripts.models.text import check_base, load_model, load_tokenizer

WIDTH, LAYERS, HEADS = 32, 2, 2
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"


def letters() -> list[str]:
    """The 256 letters in which byte-level vocabularies are written."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return list(bytes_to_unicode().values())


def write_gguf(file: Path, architecture: str = "llama", pre: str = "smollm", scale: float = 0.2) -> Path:
    """A whole small model, written by the reference library of the format."""
    writer = gguf.GGUFWriter(file, architecture)
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [*specials, *letters(), "ĠĠ"]
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(48)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(specials) + [1] * (len(tokens) - len(specials)))
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(0)
    half = WIDTH // HEADS
    shapes = {"token_embd": (len(tokens), WIDTH), "output_norm": (WIDTH,)}
    for i in range(LAYERS):
        shapes |= {f"blk.{i}.{name}": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {f"blk.{i}.attn_q": (WIDTH, WIDTH), f"blk.{i}.attn_output": (WIDTH, WIDTH)}
        shapes |= {f"blk.{i}.attn_{name}": (half, WIDTH) for name in "kv"}
        shapes |= {f"blk.{i}.ffn_{name}": (48, WIDTH) for name in ("gate", "up")}
        shapes[f"blk.{i}.ffn_down"] = (WIDTH, 48)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", (random.standard_normal(shape) * scale).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def read_by_transformers(file: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()


def refused(file: Path, out: Path, kind: type[LoraScriptsError] = ModelError) -> str:
    """The words, after a look that nothing was made."""
    before = sorted(out.parent.rglob("*"))
    with pytest.raises(kind) as error:
        unpack(file, out)
    assert error.value.exit_code == 2
    assert all(problem.fix for problem in error.value.problems)
    assert sorted(out.parent.rglob("*")) == before
    return str(error.value)


def test_the_folder_holds_the_model_the_tokenizer_and_the_template(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    report = unpack(file, tmp_path / "models" / "tiny")
    folder = check_base(str(report.folder))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["tiny"]
    assert (report.architecture, report.vocabulary, report.chat_template, report.notes) == ("llama", 260, True, ())

    model, tokenizer = load_model(folder, dtype=torch.float32, device="cpu"), load_tokenizer(folder)
    reference = read_by_transformers(file)
    assert report.parameters == sum(parameter.numel() for parameter in reference.parameters())
    ids = tokenizer("根据《劳动法》 it is 42.", return_tensors="pt").input_ids
    got, want = model(ids).logits, reference(ids).logits
    assert (got - want).abs().max() < 2e-3 * want.abs().max()
    assert next(model.parameters()).dtype == torch.float32
    assert model.config.dtype == torch.float32
    assert not hasattr(model.config, "quantization_config")
    assert (folder / "model.safetensors").stat().st_size < 2.2 * report.parameters + 8_000  # two bytes a weight

    assert tokenizer.encode("<|im_end|>", add_special_tokens=False) == [2] == [tokenizer.eos_token_id]
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer.decode(ids[0]) == "根据《劳动法》 it is 42."
    assert report.sentence.startswith(gguf_unpack.PROMPT)
    assert model.generation_config.eos_token_id == 2


def test_digits_stand_alone_where_the_vocabulary_was_made_so(tmp_path: Path) -> None:
    unpack(write_gguf(tmp_path / "a.gguf", pre="smollm"), tmp_path / "a")
    unpack(write_gguf(tmp_path / "b.gguf", pre="gpt-2"), tmp_path / "b")
    two_spaces = 259
    assert two_spaces in load_tokenizer(tmp_path / "a")("of  27").input_ids  # as llama.cpp does for smollm
    assert two_spaces not in load_tokenizer(tmp_path / "b")("of  27").input_ids


def test_an_unknown_text_splitter_is_told(tmp_path: Path) -> None:
    report = unpack(write_gguf(tmp_path / "a.gguf", pre="new-thing"), tmp_path / "a")
    assert len(report.notes) == 1
    assert "new-thing" in report.notes[0]


def test_an_architecture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "a.gguf", architecture="martian")
    assert "architecture martian cannot be turned" in refused(file, tmp_path / "out")


def test_files_that_are_no_whole_gguf_are_refused(tmp_path: Path) -> None:
    out, whole = tmp_path / "out", write_gguf(tmp_path / "a.gguf").read_bytes()
    file = tmp_path / "b.gguf"
    assert "there is no such file" in refused(file, out)
    for content in (b"", b"PK\3\4 not a model", b"GGU"):
        file.write_bytes(content)
        assert "not a GGUF file" in refused(file, out)
    for cut in (4, 12, 500, len(whole) // 2, len(whole) - 100):
        file.write_bytes(whole[:cut])
        assert "damaged or cut short" in refused(file, out)


def test_a_part_of_a_split_gguf_says_how_to_join_it(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a-00001-of-00003.gguf", "llama")
    writer.add_uint16("split.count", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "split into 3 files" in refused(tmp_path / "a-00001-of-00003.gguf", tmp_path / "out")


def test_a_gguf_that_lacks_a_weight_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = gguf.GGUFWriter.add_tensor
    monkeypatch.setattr(
        gguf.GGUFWriter, "add_tensor", lambda self, name, *args: None if "0.ffn_up" in name else add(self, name, *args)
    )
    assert "would be random: model.layers.0.mlp.up_proj" in refused(write_gguf(tmp_path / "a.gguf"), tmp_path / "out")


def test_weights_beyond_fp16_are_refused(tmp_path: Path) -> None:
    assert "do not fit into fp16" in refused(write_gguf(tmp_path / "a.gguf", scale=1e5), tmp_path / "out")


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    assert "already there" in refused(write_gguf(tmp_path / "a.gguf"), tmp_path / "out", UsageError)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [(errno.ENOSPC, ModelError, "disk is full"), (errno.EACCES, UsageError, "cannot be written")],
)
def test_a_failing_disk_is_one_message_and_leaves_nothing(
    number: int, kind: type[LoraScriptsError], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: PreTrainedModel, folder: Path) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError(number, "said by the system")

    file = write_gguf(tmp_path / "a.gguf")
    monkeypatch.setattr(PreTrainedModel, "save_pretrained", fail)
    assert words in refused(file, tmp_path / "out", kind)


def test_a_folder_that_does_not_give_the_same_ids_back_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_gguf(tmp_path / "a.gguf")
    other = write_gguf(tmp_path / "b.gguf", pre="gpt-2")
    unpack(other, tmp_path / "b")
    wrong = load_tokenizer(tmp_path / "b")
    monkeypatch.setattr(gguf_unpack, "load_tokenizer", lambda folder: wrong)
    assert "does not hold what the GGUF holds" in refused(file, tmp_path / "out")
