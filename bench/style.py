"""Is the style of the picture example seen? Held-out prompts, drawn with and without the adapter, looked at by CLIP.

    python bench/style.py [--run output/style_lora] [--picture docs/style.png]

Trains configs/style_lora.yaml, or takes a finished run, then draws ten prompts whose pair of colour and shape is in
none of its pictures (tools/make_style_pictures.py), each by the base and by the adapter from the same noise.
``tiny-clip`` ranks the words of each kind for every picture; counted is how often the asked one ranks first. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from make_style_pictures import HELD_OUT  # type: ignore[import-not-found]  # noqa: E402  # it lies in tools/
from PIL import Image  # noqa: E402

from lora_scripts import train  # noqa: E402
from lora_scripts.assemble.pictures.generate import Order, generate  # noqa: E402
from lora_scripts.data.pictures.sample_sheet import sample_sheet  # noqa: E402
from lora_scripts.data.pictures.tags import vocabulary  # noqa: E402
from lora_scripts.models.clip import load_clip  # noqa: E402
from lora_scripts.models.drawing import Strokes  # noqa: E402

CLIP = ROOT / "models" / "tiny-clip"
KINDS = {"style": "style", "colour": "colour", "subject": "shape"}


def ranked_first(files: list[Path]) -> list[dict[str, str]]:
    """The word of each kind that CLIP ranks first, for each picture."""
    clip = load_clip(CLIP, "cpu")
    tags = vocabulary([], instead=CLIP / "tags.txt")
    words = clip.of_words([tag.question for tag in tags])
    pictures = [Image.open(file).convert("RGB") for file in files]
    alike = clip.of_pictures(pictures) @ words.t()
    found: list[dict[str, str]] = []
    for row in alike:
        first: dict[str, tuple[float, str]] = {}
        for tag, value in zip(tags, row.tolist(), strict=True):
            first[tag.kind] = max(first.get(tag.kind, (-9.0, "")), (value, tag.english))
        found.append({kind: word for kind, (_, word) in first.items()})
    return found


def main() -> None:
    """Train, draw, count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as holder:
        run = given.run or Path(holder) / "style_lora"
        began = time.perf_counter()
        if not given.run:
            train(ROOT / "configs" / "style_lora.yaml", f"output_dir={run}")
            print(f"trained in {time.perf_counter() - began:.0f} s on {torch.get_num_threads()} threads")
        base = json.loads((run / "provenance.json").read_text(encoding="utf-8"))["base"]["path"]
        order = Order(prompts=HELD_OUT, seed=given.seed, strokes=Strokes(guidance=given.guidance))
        counts, columns = {}, []
        for name, adapters in (("base", []), ("adapter", [str(run)])):
            drawn = generate(
                adapters, order, Path(holder) / name, base_model=base, device="auto", say=lambda line: None
            )
            files = list(drawn)
            columns.append([Image.open(file).convert("RGB") for file in files])
            seen = ranked_first(files)
            counts[name] = {
                told: sum(words[kind] in prompt.split() for words, prompt in zip(seen, HELD_OUT, strict=True))
                for kind, told in KINDS.items()
            }
            print(f"{name}: " + ", ".join(f"{told} {n} of {len(HELD_OUT)}" for told, n in counts[name].items()))
        if given.picture:
            sheet = sample_sheet([list(pair) for pair in zip(*columns, strict=True)])
            sheet.resize((sheet.width // 2, sheet.height // 2)).save(given.picture, optimize=True)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
