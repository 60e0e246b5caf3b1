"""Captioners of each kind say what transformers' own `generate` says; other folders are told from them in words."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_captioner
import torch
from PIL.Image import Image
from safetensors.torch import load_file, save_file
from tiny_captioner import END, PAD, SIZE, draw, random_scene, sizes, words_for
from transformers import (
    AutoTokenizer,
    BertConfig,
    Blip2Config,
    Blip2ForConditionalGeneration,
    BlipForConditionalGeneration,
    BlipForQuestionAnswering,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    OPTConfig,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessorPil,
)

from lora_scripts.errors import ModelError
from lora_scripts.models.captioner import BEAMS, MOST_TOKENS, load_captioner, repeats, sentence

ROOT = Path(__file__).resolve().parents[2]
VISION = {**sizes(), "image_size": SIZE, "patch_size": 8}
FIRST = 2


def scenes(count: int, seed: int = 99) -> list[Any]:
    """Of another seed than those that were taught."""
    rng = random.Random(seed)
    return [random_scene(rng, ("flat",)) for _ in range(count)]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_captioner.save(tiny_captioner.taught(), tmp_path_factory.mktemp("c") / "blip")


def untaught_blip(folder: Path) -> Path:
    return tiny_captioner.save(tiny_captioner.untaught(3), folder)


def git(folder: Path) -> Path:
    reader = tiny_captioner.tokenizer()
    config = GitConfig(
        vision_config=VISION, **sizes(), vocab_size=len(reader), max_position_embeddings=64, bos_token_id=FIRST,
        eos_token_id=END, pad_token_id=PAD, initializer_range=0.3,
    )  # fmt: skip
    GitForCausalLM(config).save_pretrained(folder)
    look = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    GitProcessor(look, reader).save_pretrained(folder)
    return folder


def blip2(folder: Path) -> Path:
    reader = tiny_captioner.tokenizer()
    text = OPTConfig(
        vocab_size=len(reader) + 1, hidden_size=48, ffn_dim=96, num_hidden_layers=1, num_attention_heads=4,
        max_position_embeddings=64, word_embed_proj_dim=48, bos_token_id=FIRST, eos_token_id=END, pad_token_id=PAD,
    )  # fmt: skip
    config = Blip2Config(
        vision_config=VISION, qformer_config={**sizes(), "vocab_size": 16, "encoder_hidden_size": 48},
        text_config=text.to_dict(), num_query_tokens=4, image_token_index=len(reader), initializer_range=0.3,
    )  # fmt: skip
    Blip2ForConditionalGeneration(config).save_pretrained(folder)
    tiny_captioner.pixels().save_pretrained(folder)
    reader.save_pretrained(folder)
    return folder


def encoder_decoder(folder: Path) -> Path:
    reader = tiny_captioner.tokenizer()
    text = BertConfig(
        **sizes(), vocab_size=len(reader), max_position_embeddings=64, is_decoder=True, add_cross_attention=True,
        initializer_range=0.3,
    )  # fmt: skip
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(**VISION), text)
    config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = FIRST, END, PAD
    VisionEncoderDecoderModel(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": SIZE, "width": SIZE}).save_pretrained(folder)
    reader.save_pretrained(folder)
    return folder


KINDS: dict[str, tuple[Callable[[Path], Path], Any, Any]] = {
    "blip": (untaught_blip, BlipForConditionalGeneration, BlipImageProcessorPil),
    "blip-2": (blip2, Blip2ForConditionalGeneration, BlipImageProcessorPil),
    "git": (git, GitForCausalLM, CLIPImageProcessorPil),
    "vision-encoder-decoder": (encoder_decoder, VisionEncoderDecoderModel, ViTImageProcessorPil),
}


def stock(folder: Path, model_class: Any, look_class: Any, pictures: list[Image]) -> list[str]:
    """What transformers says by itself, a picture at a time."""
    model, look = model_class.from_pretrained(folder).eval(), look_class.from_pretrained(folder)
    reader = AutoTokenizer.from_pretrained(folder)
    said = []
    for picture in pictures:
        seen = look(picture, return_tensors="pt")["pixel_values"]
        row = model.generate(pixel_values=seen, num_beams=BEAMS, do_sample=False, max_new_tokens=MOST_TOKENS)
        said.append(reader.decode(row[0], skip_special_tokens=True).strip())
    return said


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as refused:
        load_captioner(folder, "cpu")
    assert refused.value.exit_code == 2 and all(problem.fix for problem in refused.value.problems)
    return str(refused.value)


def test_a_taught_captioner_names_colour_and_ground_of_pictures_it_never_saw(taught: Path) -> None:
    seen = scenes(100)
    said = load_captioner(taught, "cpu").of_pictures([draw(scene) for scene in seen])
    right = sum(one.words == words_for(scene) for one, scene in zip(said, seen, strict=True))
    assert right >= 95
    assert not any(one.flaw for one in said)


def test_a_batch_of_uneven_sentences_is_what_transformers_says_one_by_one(taught: Path) -> None:
    pictures = [draw(scene).resize((90, 70)) for scene in scenes(24, seed=5)]
    said = [one.words for one in load_captioner(taught, "cpu").of_pictures(pictures)]
    model, processor = BlipForConditionalGeneration.from_pretrained(taught), BlipProcessor.from_pretrained(taught)
    alone = [
        processor.decode(
            model.generate(**processor(images=picture, return_tensors="pt"), num_beams=BEAMS, max_new_tokens=40)[0],
            skip_special_tokens=True,
        ).strip()
        for picture in pictures
    ]
    assert said == alone and len({len(words.split()) for words in said}) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_transformers_says(kind: str, tmp_path: Path) -> None:
    make, *classes = KINDS[kind]
    torch.manual_seed(11)
    folder = make(tmp_path / "model")
    pictures = [draw(scene) for scene in scenes(5)]
    said = load_captioner(folder, "cpu").of_pictures(pictures)
    assert [one.words for one in said] == stock(folder, *classes, pictures)
    assert any(one.words for one in said)


def test_settings_for_drawing_in_the_folder_leave_the_sentences_as_they_are(tmp_path: Path) -> None:
    torch.manual_seed(11)
    folder = git(tmp_path / "git")
    pictures = [draw(scene) for scene in scenes(6)]
    before = load_captioner(folder, "cpu").of_pictures(pictures)
    file = folder / "generation_config.json"
    drawing = {"do_sample": True, "temperature": 5.0, "num_return_sequences": 1, "top_k": 10}
    file.write_text(json.dumps({**json.loads(file.read_text()), **drawing}))
    torch.manual_seed(5)
    assert load_captioner(folder, "cpu").of_pictures(pictures) == before


def test_an_untaught_captioner_is_told_to_repeat_itself_and_a_mute_one_to_say_nothing(tmp_path: Path) -> None:
    pictures = [draw(scene) for scene in scenes(2)]
    assert {one.flaw for one in load_captioner(untaught_blip(tmp_path / "a"), "cpu").of_pictures(pictures)} == {
        "repeats"
    }
    mute = tiny_captioner.untaught()
    with torch.no_grad():
        mute.text_decoder.cls.predictions.bias[END] = 100.0
    said = load_captioner(tiny_captioner.save(mute, tmp_path / "b"), "cpu").of_pictures(pictures)
    assert [(one.words, one.flaw) for one in said] == [("", "empty")] * 2


def test_sentences_that_come_to_no_end_in_time_are_told_from_those_that_do(
    taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_scripts.models.captioner.MOST_TOKENS", 4)  # a red shape [SEP]
    seen = scenes(12)
    said = load_captioner(taught, "cpu").of_pictures([draw(scene) for scene in seen])
    assert [one.flaw for one in said] == ["" if scene.ground == "white" else "cut" for scene in seen]
    assert {one.flaw for one in said} == {"", "cut"}


def test_flaws_of_a_sentence_are_seen() -> None:
    assert sentence("a dog.\n", whole=True).words == "a dog"
    assert sentence("a dog and", whole=False).flaw == "cut"
    assert sentence(" . ", whole=True).flaw == "empty"
    assert sentence("a dog , a dog , a dog", whole=False).flaw == "repeats"


@pytest.mark.parametrize(
    "words",
    [
        "the the the",
        "a cat and a cat and a cat and",
        "Red red RED shoe",
        "一只猫一只猫一只猫",
        "a b c d a b c d a b c d",
    ],
)
def test_what_stands_three_times_in_a_row_repeats(words: str) -> None:
    assert repeats(words)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "two cats sleeping on a couch",
        "a man in a black shirt and a black hat and a black tie",
        "a bora bora island",
        "一只狗坐在红色的椅子上",
        "a red apple , a green apple and a yellow apple",
    ],
)
def test_a_sentence_does_not_repeat(words: str) -> None:
    assert not repeats(words)


def test_other_folders_are_told_in_words(taught: Path, tmp_path: Path) -> None:
    assert "config.json is missing" in refusal(tmp_path / "nothing")
    assert "CLIPModel" in refusal(ROOT / "models" / "tiny-clip")
    assert "LlamaForCausalLM" in refusal(ROOT / "models" / "tiny-zh")
    answers = tmp_path / "answers"
    shutil.copytree(taught, answers)
    BlipForQuestionAnswering(tiny_captioner.untaught().config).save_pretrained(answers)
    assert "BlipForQuestionAnswering" in refusal(answers)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("pickle", "no .safetensors file"),
        ("cut", "cut short"),
        ("lacking", "text_decoder.bert.encoder.layer.0.crossattention.self.query.weight"),
        ("nan", "not finite"),
        ("config", "does not load"),
        ("no_kind", "does not load"),
        ("shape", "does not load"),
        ("tokenizer.json", "no tokenizer"),
        ("processor_config.json", "image processor"),
    ],
)
def test_a_broken_captioner_is_told_in_words(harm: str, words: str, taught: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(taught, tmp_path / "broken"))
    file, config = folder / "model.safetensors", folder / "config.json"
    whole = load_file(file)
    if harm == "pickle":
        file.unlink()
        torch.save(whole, folder / "pytorch_model.bin")
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-1000])
    elif harm == "lacking":
        save_file({n: v for n, v in whole.items() if "crossattention.self.query.weight" not in n}, file)
    elif harm == "nan":
        next(iter(whole.values())).view(-1)[0] = float("nan")
        save_file(whole, file, {"format": "pt"})
    elif harm == "config":
        config.write_text("{")
    elif harm == "no_kind":
        config.write_text("{}")
    elif harm == "shape":
        save_file({n: v[:5] if n.endswith("word_embeddings.weight") else v for n, v in whole.items()}, file)
    else:
        (folder / harm).unlink()
    assert words in refusal(folder)
