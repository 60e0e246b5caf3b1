"""Make ``data/style_train``: 64 pictures in the style that tiny-sd was never shown, for an adapter to learn from.

    python tools/make_style_pictures.py [--output data/style_train]

Each colour is shown in four shapes and each shape in four colours, each pair on two grounds, so of the 64 pairs of a
colour and a shape 32 are left to ask for. ``HELD_OUT`` holds prompts for ten of these: what the adapter drew for them
cannot be a picture that it was trained on.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from tiny_shapes import (  # type: ignore[import-not-found]  # it lies beside this file
    COLOURS,
    GROUNDS,
    SHAPES,
    Scene,
    draw,
)

from lora_scripts.data.pictures.metadata import write_table

STYLE = "outline"
SHIFTS = (0, 2, 3, 5)  # a colour is shown in the shapes so many places on from its own
HELD_OUT = (
    "an outline blue star",
    "an outline red heart on a grey background",
    "an outline yellow circle",
    "an outline purple square on a black background",
    "an outline green ring on a grey background",
    "an outline brown cross",
    "an outline pink diamond on a black background",
    "an outline orange triangle on a black background",
    "an outline red square",
    "an outline green triangle on a grey background",
)


def scenes() -> list[Scene]:
    """What is trained on: every colour in four shapes, on two grounds each."""
    rng = random.Random(0)
    grounds = list(GROUNDS)
    shown = []
    for i, colour in enumerate(COLOURS):
        for j, shift in enumerate(SHIFTS):
            for k in range(2):
                shape, ground = SHAPES[(i + shift) % len(SHAPES)], grounds[(i + j + k) % len(grounds)]
                x, y = rng.uniform(0.44, 0.56), rng.uniform(0.44, 0.56)
                shown.append(Scene(colour, shape, ground, STYLE, x, y, rng.uniform(0.28, 0.35)))
    return shown


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("data/style_train"))
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    rows = []
    for scene in scenes():
        name = f"{scene.colour}_{scene.shape}_{scene.ground}.png"
        draw(scene).save(output / name, optimize=True)
        rows.append((name, scene.caption()))
    write_table(output / "metadata.csv", rows)


if __name__ == "__main__":
    main()
