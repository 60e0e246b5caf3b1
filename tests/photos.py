"""Pictures as cameras and users leave them, made by code: other sizes, modes, formats and orientations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SIZES = [(320, 160), (160, 320), (448, 448), (300, 300), (400, 200), (200, 400)]
SUFFIXES = ["jpg", "png", "webp"]
COUNT = 12


def _scene(width: int, height: int, seed: int) -> Image.Image:
    """Light from one side, some soft spots of colour, grain."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    light = 90 + 120 * (x / width * chance.random() + y / height * chance.random())
    pixels = light[..., None] * chance.uniform(0.5, 1.2, 3)
    for _ in range(4):
        middle, radius = (chance.random() * height, chance.random() * width), chance.uniform(0.1, 0.3) * width
        spot = np.exp(-((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / radius**2)
        pixels += spot[..., None] * chance.uniform(-120, 120, 3)
    pixels += chance.normal(0, 6, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))


def write_photos(folder: Path) -> list[str]:
    """``COUNT`` of them, and their names in order: among them grey, CMYK, palette, see-through and turned ones."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for n in range(COUNT):
        picture = _scene(*SIZES[n % len(SIZES)], seed=n)
        suffix, options = SUFFIXES[n % len(SUFFIXES)], {}
        if n == 3:
            picture = picture.convert("CMYK")
        elif n == 4:
            picture = picture.quantize(64)
        elif n == 6:
            picture = picture.convert("L")
        elif n == 7:
            picture.putalpha(200)
        elif n == 9:
            turned = Image.Exif()
            turned[0x0112] = 6  # the camera was held upright
            options["exif"] = turned
        names.append(f"{n:02}.{suffix}")
        picture.save(folder / names[-1], **options)
    return names
