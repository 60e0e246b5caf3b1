"""`label` through the real command: pictures in, metadata.csv and a page out."""

from __future__ import annotations

import csv
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_captioner
import torch
from calling import command, refused
from photos import write_photos
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPProcessor

from lora_scripts.assemble.pictures import label as room

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "models" / "tiny-clip"
sys.path.insert(0, str(ROOT / "tools"))
from tiny_shapes import Scene, draw, random_scene  # type: ignore[import-not-found]  # noqa: E402


def rows(table: Path) -> dict[str, str]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        return {row["filename"]: row["prompt"] for row in csv.DictReader(file)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one of them in a folder below."""
    place = tmp_path / "pictures"
    (place / "more").mkdir(parents=True)
    draw(Scene("red", "circle")).save(place / "a.png")
    draw(Scene("blue", "star", "black", "striped")).save(place / "b.png")
    draw(Scene("green", "heart", "grey")).resize((200, 160)).save(place / "more" / "c.jpg")
    return place


def label(folder: Path, *more: str) -> dict[str, str]:
    said = command("label", folder, "--clip-model", CLIP, "--device", "cpu", *more)
    assert said.code == 0, said.words
    return rows(folder / "metadata.csv")


def test_of_held_out_shapes_and_colours_95_percent_are_named_right(tmp_path: Path) -> None:
    rng = random.Random(77)  # training drew from the seeds 0 to 20
    scenes = {f"{i:03}.png": random_scene(rng) for i in range(300)}
    for name, scene in scenes.items():
        draw(scene).save(tmp_path / name)
    found = {name: set(prompt.split(", ")) for name, prompt in label(tmp_path).items()}
    for attribute in ("shape", "colour", "style"):
        right = sum(getattr(scene, attribute) in found[name] for name, scene in scenes.items())
        assert right / len(scenes) >= 0.95, (attribute, right)


def test_each_picture_gets_a_line_and_a_place_on_the_page(folder: Path) -> None:
    found = label(folder)
    assert list(found) == ["a.png", "b.png", "more/c.jpg"]
    assert {"red", "circle"} <= set(found["a.png"].split(", "))
    page = (folder / "metadata.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 3 and 'src="more/c.jpg"' in page and found["b.png"] in page


def test_a_line_that_is_there_is_kept_until_it_is_to_be_overwritten(folder: Path) -> None:
    table = folder / "metadata.csv"
    table.write_text("a.png,my own, unquoted words\ngone.png,a lost one\n./a.png,once more\n", encoding="utf-8")
    said = command("label", folder, "--clip-model", CLIP)
    kept = rows(table)
    assert kept["a.png"] == "my own, unquoted words" and kept["gone.png"] == "a lost one" and kept["b.png"]
    assert kept["./a.png"] == "once more"
    assert "2 lines belong to no picture" in said.err and "1 of them as before" in said.out
    anew = label(folder, "--overwrite")
    assert "red" in anew["a.png"] and "gone.png" not in anew


def test_a_table_that_would_lose_a_column_is_left_alone(folder: Path) -> None:
    table = folder / "metadata.csv"
    table.write_text("filename,prompt,note\na.png,mine,keep\n", encoding="utf-8")
    said = command("label", folder, "--clip-model", CLIP)
    assert said.code == 3 and "note" in said.err and "keep" in table.read_text()
    assert command("label", folder, "--clip-model", CLIP, "--output", folder / "x.jsonl").code == 2


def test_words_are_prefixed_replaced_left_out_and_counted(folder: Path) -> None:
    found = label(folder, "--prefix", "hatchstyle", "--replace", "circle=disc", "--undesired", "flat,white background")
    assert found["a.png"].startswith("hatchstyle, ") and "disc" in found["a.png"] and "circle" not in found["a.png"]
    assert "flat" not in found["a.png"] and "white background" not in found["a.png"]
    assert len(label(folder, "--overwrite", "--max-tags", "1")["a.png"].split(", ")) == 1
    assert set(label(folder, "--overwrite", "--chinese")["a.png"].split("，")) >= {"红色", "圆形"}


def test_what_a_clip_does_not_know_is_said(folder: Path) -> None:
    said = command("label", folder, "--clip-model", CLIP, "--threshold", "0.999999")
    assert "knows 24 words only" in said.err and "--clip-model" in said.err
    assert "reaches 0.999999; the likeliest one was taken" in said.err
    assert all(len(prompt.split(", ")) == 1 for prompt in rows(folder / "metadata.csv").values())


def test_more_tags_come_from_a_file(folder: Path) -> None:
    more = folder / "more.txt"
    more.write_text("[season] {}\na striped star = 条纹星\na red circle = 红圆\n", encoding="utf-8")
    assert "a red circle" in label(folder, "--tags", str(more))["a.png"].split(", ")


def test_broken_pictures_are_told_and_the_others_labelled(folder: Path) -> None:
    whole = (folder / "more" / "c.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "moves.gif").write_bytes(b"GIF89a")
    (folder / "link.png").symlink_to(folder / "a.png")
    said = command("label", folder, "--clip-model", CLIP)
    assert said.code == 0 and set(rows(folder / "metadata.csv")) == {"a.png", "b.png", "more/c.jpg"}
    assert "cut.jpg: the picture is broken" in said.err and "empty.png: the file is empty" in said.err
    assert "4 left out:" in said.out and "broken pictures 1" in said.out and "links to pictures 1" in said.out


def test_the_script_of_the_checkout_does_the_same(folder: Path) -> None:
    script = [sys.executable, "tools/auto_label.py", "--input", str(folder), "--output", str(folder / "own.csv")]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rows(folder / "own.csv") == label(folder)


def test_any_clip_folder_will_do_and_none_but_clip(folder: Path, tmp_path: Path) -> None:
    processor = CLIPProcessor.from_pretrained(CLIP)
    other = tmp_path / "other"
    torch.manual_seed(3)
    config = CLIPConfig.from_pretrained(CLIP)
    CLIPModel(config).save_pretrained(other)
    processor.save_pretrained(other)
    shutil.copy(CLIP / "tags.txt", other)
    said = command("label", folder, "--clip-model", other)
    assert said.code == 0 and all(rows(folder / "metadata.csv").values())
    whole = load_file(other / "model.safetensors")
    save_file({n: v for n, v in whole.items() if "visual_projection" not in n}, other / "model.safetensors")
    said = command("label", folder, "--clip-model", other, "--overwrite")
    assert said.code == 2 and "visual_projection" in said.err
    weights = torch.zeros(2)
    (other / "model.safetensors").unlink()
    torch.save(weights, other / "pytorch_model.bin")
    assert command("label", folder, "--clip-model", other, "--overwrite").code == 2
    assert command("label", folder, "--clip-model", ROOT / "models" / "tiny-zh", "--overwrite").code == 2
    assert command("label", folder, "--clip-model", tmp_path / "nothing", "--overwrite").code == 2


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that says the colour and the ground of a shape."""
    return tiny_captioner.save(tiny_captioner.taught(), tmp_path_factory.mktemp("c") / "blip")


def test_a_captioners_sentence_stands_between_the_prefix_and_the_tags(folder: Path, captioner: Path) -> None:
    tags = label(folder)
    told = command(
        "label", folder, "--clip-model", CLIP, "--overwrite", "--captioner", captioner, "--prefix", "inkstyle"
    )
    assert told.code == 0 and "3 of 3 pictures" in told.err
    found = rows(folder / "metadata.csv")
    assert found["a.png"] == f"inkstyle, a red shape, {tags['a.png']}"
    assert found["more/c.jpg"] == f"inkstyle, a green shape on a grey background, {tags['more/c.jpg']}"


def test_without_tags_the_sentence_stands_alone_and_no_clip_is_asked(folder: Path, captioner: Path) -> None:
    script = [sys.executable, "tools/auto_label.py", "--input", str(folder), "--captioner", str(captioner)]
    done = subprocess.run([*script, "--max-tags", "0"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "24 words" not in done.stderr, done.stderr
    assert rows(folder / "metadata.csv") == {
        "a.png": "a red shape",
        "b.png": "a blue shape on a black background",
        "more/c.jpg": "a green shape on a grey background",
    }


def test_what_has_no_effect_beside_a_captioner_is_refused_or_told(folder: Path, captioner: Path) -> None:
    alone = ("--captioner", captioner, "--max-tags", "0")
    refused(command("label", folder, *alone, "--threshold", "0.25", "--chinese"), 2, "--threshold, --chinese")
    refused(command("label", folder, *alone, "--clip-model", CLIP), 2, "--clip-model")
    refused(command("label", folder, "--clip-model", CLIP, "--max-tags", "0"), 2, "--max-tags 0", "no words")
    assert not (folder / "metadata.csv").exists()
    said = command("label", folder, "--captioner", captioner, "--clip-model", CLIP, "--chinese")
    assert said.code == 0 and "stay in its own language" in said.err
    assert rows(folder / "metadata.csv")["a.png"].startswith("a red shape，")


def test_a_sentence_that_only_repeats_itself_is_left_out_and_told(folder: Path, tmp_path: Path) -> None:
    untaught = tiny_captioner.save(tiny_captioner.untaught(3), tmp_path / "untaught")
    tags = label(folder)
    said = command("label", folder, "--clip-model", CLIP, "--overwrite", "--captioner", untaught)
    assert said.code == 0 and "of 3 pictures the captioner only repeated itself" in said.err and "a.png" in said.err
    assert rows(folder / "metadata.csv") == tags
    said = command("label", folder, "--overwrite", "--captioner", untaught, "--max-tags", "0")
    refused(said, 3, "none of 3 pictures got any words", "3 pictures got no words")
    said = command("label", folder, "--overwrite", "--captioner", untaught, "--max-tags", "0", "--prefix", "inkstyle")
    assert set(rows(folder / "metadata.csv").values()) == {"inkstyle"}


def test_none_but_a_captioner_will_do_as_one(folder: Path, tmp_path: Path) -> None:
    for other, words in {
        CLIP: "CLIPModel",
        ROOT / "models" / "tiny-zh": "LlamaForCausalLM",
        tmp_path: "no captioner",
    }.items():
        refused(command("label", folder, "--clip-model", CLIP, "--captioner", other), 2, words)


def test_wrong_use_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"hello")
    assert command("label", tmp_path / "missing", "--clip-model", CLIP).code == 2
    assert command("label", tmp_path / "none", "--clip-model", CLIP).code == 3
    assert command("label", tmp_path / "bad", "--clip-model", CLIP).code == 3
    assert command("label", folder, "--clip-model", CLIP, "--replace", "circle").code == 2
    (tmp_path / "long.txt").write_text("a teapot of unknown origin on a lacquered table\n")
    said = command("label", folder, "--clip-model", CLIP, "--tags", tmp_path / "long.txt")
    assert said.code == 2 and "24 tokens" in said.err
    assert command("label", folder, "--clip-model", CLIP, "--threshold", "2").code == 2
    words = [line.partition(" = ")[0] for line in (CLIP / "tags.txt").read_text(encoding="utf-8").splitlines()]
    assert command("label", folder, "--clip-model", CLIP, "--undesired", ",".join(words)).code == 2
    (folder / "metadata.csv").write_text("question,answer\n1,2\n", encoding="utf-8")
    assert command("label", folder, "--clip-model", CLIP).code == 3
    assert not (folder / "metadata.html").exists()


def test_photos_of_every_mode_and_format_get_words(tmp_path: Path) -> None:
    names = write_photos(tmp_path)
    found = label(tmp_path)
    assert sorted(found) == names and all(found.values())


def test_real_photos_get_words(shared_data: Path, tmp_path: Path) -> None:
    photos = shared_data / "images_dreambooth" / "img"
    names = sorted(path.name for path in photos.iterdir())[:12]
    for name in names:
        Image.open(photos / name).save(tmp_path / name)
    found = label(tmp_path)
    assert sorted(found) == names and all(found.values())


def test_words_that_stand_beside_a_picture_go_into_the_table(folder: Path) -> None:
    (folder / "a.txt").write_text("my careful caption", encoding="utf-8")
    said = command("label", folder, "--clip-model", CLIP)
    found = rows(folder / "metadata.csv")
    assert found["a.png"] == "my careful caption" and "blue" in found["b.png"]
    assert "1 captions that stood elsewhere are taken over" in said.err
    assert "red" in label(folder, "--overwrite")["a.png"]


def test_words_of_another_table_go_into_the_new_one(folder: Path) -> None:
    (folder / "metadata.jsonl").write_text('{"file_name": "b.png", "text": "mine"}\n', encoding="utf-8")
    assert label(folder)["b.png"] == "mine"


def test_a_line_without_words_gets_some(folder: Path) -> None:
    (folder / "metadata.csv").write_text("filename,prompt\na.png,\nb.png,mine\n", encoding="utf-8")
    found = label(folder)
    assert "red" in found["a.png"] and found["b.png"] == "mine"


def test_words_that_are_no_tag_are_told_and_contradictions_refused(folder: Path) -> None:
    said = command("label", folder, "--clip-model", CLIP, "--undesired", "dogg,red", "--replace", "catt=x")
    assert "--undesired: not among the tags, so without effect: dogg" in said.err
    assert "--replace: not among the tags, so without effect: catt" in said.err
    for replaced in (["circle=a", "--replace", "circle=b"], ["circle=gone", "--undesired", "gone"]):
        refused(command("label", folder, "--clip-model", CLIP, "--replace", *replaced), 2, "replaced")
    table = label(folder, "--chinese", "--replace", "circle=圆盘", "--overwrite")
    assert "圆盘" in table["a.png"]


def test_a_tag_of_a_file_takes_the_place_of_ours_and_an_open_bracket_is_refused(folder: Path) -> None:
    mine = folder.parent / "mine.txt"
    mine.write_text("circle = 圈\n", encoding="utf-8")
    assert "圈" in label(folder, "--chinese", "--tags", str(mine))["a.png"]
    mine.write_text("[mood a photo of {}\ncalm = 平静\n", encoding="utf-8")
    refused(command("label", folder, "--clip-model", CLIP, "--tags", mine), 3, "mine.txt:1", "bracket")


def test_ctrl_c_keeps_what_was_labelled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some, calls = room._label_some, []

    def interrupted(*given, **more):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return some(*given, **more)

    monkeypatch.setattr(room, "PICTURES_AT_ONCE", 1)
    monkeypatch.setattr(room, "_label_some", interrupted)
    refused(command("label", folder, "--clip-model", CLIP), 1, "1 of 3 pictures")
    assert list(rows(folder / "metadata.csv")) == ["a.png"]
    monkeypatch.setattr(room, "_label_some", some)
    assert len(label(folder)) == 3
    table = folder / "metadata.csv"
    table.write_text("a.png,mine\nb.png,mine\nmore/c.jpg,mine\n", encoding="utf-8")
    calls.clear()
    monkeypatch.setattr(room, "_label_some", interrupted)
    refused(command("label", folder, "--clip-model", CLIP, "--overwrite"), 1, "1 of 3 pictures", "anew")
    kept = rows(table)
    assert "red" in kept["a.png"] and kept["b.png"] == kept["more/c.jpg"] == "mine"


def test_a_single_picture_leaves_the_lines_of_the_others(folder: Path) -> None:
    table = folder / "metadata.csv"
    table.write_text("a.png,mine\nb.png,mine\ngone.png,mine\n", encoding="utf-8")
    said = command("label", folder / "b.png", "--clip-model", CLIP, "--overwrite")
    assert "1 lines belong to no picture" in said.err and "--overwrite leaves them out" in said.err
    kept = rows(table)
    assert kept["a.png"] == "mine" and "blue" in kept["b.png"] and set(kept) == {"a.png", "b.png"}
    assert (folder / "metadata.html").read_text(encoding="utf-8").count("<figure>") == 2


def test_words_of_every_other_table_are_taken_over_wherever_the_new_one_lies(folder: Path) -> None:
    (folder / "Metadata.CSV").write_text("a.png,one\n", encoding="utf-8")
    (folder / "metadata.tsv").write_text("b.png\ttwo\na.png\tlater\n", encoding="utf-8")
    (folder / "more" / "c.txt").write_text("three", encoding="utf-8")
    elsewhere = folder.parent / "mine.csv"
    assert command("label", folder, "--clip-model", CLIP, "--output", elsewhere).code == 0
    assert rows(elsewhere) == {"a.png": "one", "b.png": "two", "more/c.jpg": "three"}
    assert command("label", folder, "--clip-model", CLIP).code == 0
    assert rows(folder / "Metadata.CSV")["b.png"] == "two" and not (folder / "metadata.csv").exists()
    (folder / "Metadata.CSV").rename(folder / "captions.csv")
    assert command("check", folder).code == 0
