"""Make ``models/tiny-clip``: a CLIP that knows coloured shapes, for the demo, the tests and the text side of tiny-sd.

    python tools/make_tiny_clip.py [--output models/tiny-clip] [--steps 3500]

Pictures come from ``tiny_shapes.py``. A caption names some of what is in a picture, so a batch holds several pictures
that it fits: the contrastive loss (Radford et al. 2021) takes them all as right. It takes 18 minutes on two cores, and
99 % of held-out shapes are named right then. The tokenizer's order of equal merges is its trainer's, so no two runs are
quite alike.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tiny_shapes import (  # type: ignore[import-not-found]  # it lies beside this file
    COLOURS,
    GROUNDS,
    SHAPES,
    SIZE,
    STYLES,
    Scene,
    draw,
    random_scene,
)
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

POOL, HELD_OUT, BATCH, CONTEXT_TOKENS = 20_000, 1_000, 128, 24
OTHER_WORDS = "a an the of on in with background picture drawing style , . by and"
SPECIAL = ("<|startoftext|>", "<|endoftext|>")

CHINESE = (
    "red=红色 orange=橙色 yellow=黄色 green=绿色 blue=蓝色 purple=紫色 pink=粉色 brown=棕色 "
    "white=白色 grey=灰色 black=黑色 "
    "circle=圆形 square=方形 triangle=三角形 star=五角星 ring=圆环 cross=十字 heart=心形 diamond=菱形 "
    "flat=平涂 outline=线描 striped=条纹 dotted=点纹 soft=柔化"
)

CARD = """# tiny-clip

A CLIP of one million parameters that knows eight shapes, eight colours, three grounds and five styles, for the demo and
the tests. Made from generated pictures alone by `python tools/make_tiny_clip.py`; fp16. `tags.txt` holds all
words that it knows. Licence: Apache-2.0, as the project.
"""

Wanted = dict[str, str]
"""Some attributes of a scene, by name."""


def make_tokenizer() -> CLIPTokenizer:
    """CLIP's byte-level BPE with a vocabulary of its own: every byte, and the words of the captions."""
    words = [*COLOURS, *GROUNDS, *SHAPES, *STYLES, *OTHER_WORDS.split()]
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True),
         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )  # fmt: skip
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1024, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(words * 3, trainer)
    learned = tokenizer.get_vocab()
    pieces = [*sorted(alphabet), *(f"{byte}</w>" for byte in sorted(alphabet))]
    pieces += [p for p in sorted(learned, key=lambda p: learned[p]) if p not in set(pieces)]
    vocab = {piece: i for i, piece in enumerate([*pieces, *SPECIAL])}
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=CONTEXT_TOKENS, pad_token=SPECIAL[1])


def tags_text() -> str:
    """The vocabulary for `label`: this model knows no other words."""
    chinese = dict(word.split("=") for word in CHINESE.split())
    kinds = {"subject": (SHAPES, "{}"), "style": (STYLES, "a {} picture"), "colour": (COLOURS, "{}")}
    grounds = [f"{ground} background" for ground in GROUNDS]
    lines = ["# The words that this model knows."]
    for kind, (words, question) in {**kinds, "composition": (grounds, "{}")}.items():
        lines += ["", f"[{kind}] {question}"]
        for word in words:
            first, _, rest = word.partition(" ")
            lines.append(f"{word} = {chinese[first]}{'背景' if rest else ''}")
    return "\n".join(lines) + "\n"


def make_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    """A CLIP of one million parameters."""
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3,
        "num_attention_heads": 4, "max_position_embeddings": CONTEXT_TOKENS, "projection_dim": 64,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {
        "image_size": SIZE, "patch_size": 8, "hidden_size": 128, "intermediate_size": 320, "num_hidden_layers": 4,
        "num_attention_heads": 4, "projection_dim": 64,
    }  # fmt: skip
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))


def pool(seed_and_count: tuple[int, int]) -> tuple[list[Scene], np.ndarray]:
    """Scenes and their pictures, uint8."""
    seed, count = seed_and_count
    rng = random.Random(seed)
    scenes = [random_scene(rng) for _ in range(count)]
    return scenes, np.stack([np.asarray(draw(scene)) for scene in scenes])


def caption(scene: Scene, rng: random.Random) -> tuple[str, Wanted]:
    """Words for some of what is in a scene, and what they say."""
    whole: Wanted = {"colour": scene.colour, "shape": scene.shape, "ground": scene.ground, "style": scene.style}
    kind = rng.random()
    if kind < 0.25:
        return scene.caption(), whole
    names = rng.sample(list(whole), 1 if kind < 0.65 else 2)
    said = {name: whole[name] for name in names}
    words = [said[name] for name in ("style", "colour", "shape") if name in said]
    if "shape" not in said and rng.random() < 0.5 and words:
        words.append("picture" if "style" in said else "drawing")
    phrase = " ".join(words)
    if phrase and rng.random() < 0.7:
        phrase = f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
    if "ground" in said:
        phrase = f"{phrase} on a {said['ground']} background".strip() if phrase else f"{said['ground']} background"
    return phrase, said


def fits(scene: Scene, said: Wanted) -> bool:
    """Whether all that is said holds."""
    return all(getattr(scene, name) == value for name, value in said.items())


def accuracy(model: CLIPModel, tokenizer: CLIPTokenizer, scenes: list[Scene], pixels: Tensor) -> dict[str, float]:
    """How often the right word of each kind ranks first."""
    groups = {"colour": list(COLOURS), "shape": list(SHAPES), "ground": list(GROUNDS), "style": list(STYLES)}
    found = {}
    with torch.no_grad():
        image = F.normalize(model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)
        for name, words in groups.items():
            said = [
                f"{word} background" if name == "ground" else f"a {word} picture" if name == "style" else word
                for word in words
            ]
            text = F.normalize(
                model.get_text_features(**tokenizer(said, padding=True, return_tensors="pt")).pooler_output, dim=-1
            )
            first = (image @ text.t()).argmax(1).tolist()
            found[name] = sum(words[i] == getattr(s, name) for i, s in zip(first, scenes, strict=True)) / len(scenes)
    return found


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("models/tiny-clip"))
    parser.add_argument("--steps", type=int, default=3500)
    given = parser.parse_args()
    torch.manual_seed(0)
    rng = random.Random(0)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=SIZE)
    mean, std = (torch.tensor(v)[:, None, None] for v in (processor.image_mean, processor.image_std))
    with ProcessPoolExecutor(2) as workers:
        parts = list(workers.map(pool, [(seed, 1000) for seed in range((POOL + HELD_OUT) // 1000)]))
    scenes = [scene for part, _ in parts for scene in part]
    pixels = torch.from_numpy(np.concatenate([p for _, p in parts])).permute(0, 3, 1, 2)

    def normal(index: list[int] | slice) -> Tensor:
        return (pixels[index].float() / 255 - mean) / std

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, given.steps, pct_start=0.05)
    began = time.perf_counter()
    for step in range(given.steps):
        index = rng.sample(range(POOL), BATCH)
        said = [caption(scenes[i], rng) for i in index]
        tokens = tokenizer([words for words, _ in said], padding=True, return_tensors="pt")
        right_BB = torch.tensor([[fits(scenes[i], wanted) for _, wanted in said] for i in index]).float()
        logits_BB = model(pixel_values=normal(index), **tokens).logits_per_image
        loss = F.cross_entropy(logits_BB, right_BB / right_BB.sum(1, keepdim=True))
        loss = loss + F.cross_entropy(logits_BB.t(), right_BB.t() / right_BB.t().sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=4.6052)  # 100, as in the paper
        if step % 100 == 99:
            model.eval()
            right = accuracy(model, tokenizer, scenes[POOL:], normal(slice(POOL, None)))
            model.train()
            print(
                f"step {step + 1}: loss {loss.item():.3f}, right {right}, {time.perf_counter() - began:.0f} s",
                flush=True,
            )
    model.eval().half().save_pretrained(given.output)
    CLIPProcessor(processor, tokenizer).save_pretrained(given.output)
    (given.output / "tags.txt").write_text(tags_text(), encoding="utf-8")
    (given.output / "README.md").write_text(CARD, encoding="utf-8")


if __name__ == "__main__":
    main()
