"""Pictures of shapes with their captions: what the embedded picture models are trained on and tested with.

A picture is one shape of one colour on a plain ground, drawn four times as large and scaled down. ``caption`` names
what is in it in the words of the tag vocabulary, so that CLIP, diffusion model and tests speak of the same things.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

SIZE = 64
_FINE = 4  # drawn so many times as large

COLOURS = {
    "red": (214, 40, 40), "orange": (244, 140, 6), "yellow": (250, 210, 40), "green": (46, 150, 70),
    "blue": (38, 90, 200), "purple": (125, 60, 170), "pink": (240, 130, 170), "brown": (125, 80, 45),
}  # fmt: skip
GROUNDS = {"white": (248, 248, 248), "grey": (150, 150, 150), "black": (22, 22, 22)}
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond")
STYLES = ("flat", "outline", "striped", "dotted", "soft")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is in a picture, and where: ``x``, ``y`` and ``radius`` as shares of its side."""

    colour: str
    shape: str
    ground: str = "white"
    style: str = "flat"
    x: float = 0.5
    y: float = 0.5
    radius: float = 0.32

    def caption(self) -> str:
        """Everything that is in it: ``a striped red circle on a grey background``."""
        style = "" if self.style == "flat" else f"{self.style} "
        ground = "" if self.ground == "white" else f" on a {self.ground} background"
        article = "an" if (style or self.colour)[0] in "aeiou" else "a"
        return f"{article} {style}{self.colour} {self.shape}{ground}"


def random_scene(rng: random.Random, styles: tuple[str, ...] = STYLES) -> Scene:
    """Any scene in one of these styles, half of them on white."""
    ground = "white" if rng.random() < 0.5 else rng.choice(list(GROUNDS))
    return Scene(
        rng.choice(list(COLOURS)), rng.choice(SHAPES), ground, rng.choice(styles),
        rng.uniform(0.42, 0.58), rng.uniform(0.42, 0.58), rng.uniform(0.26, 0.36),
    )  # fmt: skip


def draw(scene: Scene, size: int = SIZE) -> Image.Image:
    """The picture, RGB, ``size`` × ``size``."""
    fine = size * _FINE
    ground = Image.new("RGB", (fine, fine), GROUNDS[scene.ground])
    mask = _mask(scene, fine)
    colour = COLOURS[scene.colour]
    if scene.style == "outline":
        width = max(3, fine // 24) | 1  # odd
        inner = mask.filter(ImageFilter.MinFilter(width))
        mask = Image.composite(Image.new("L", mask.size, 0), mask, inner)
    elif scene.style == "soft":
        mask = mask.filter(ImageFilter.GaussianBlur(fine / 18))
    filling = Image.new("RGB", (fine, fine), colour)
    if scene.style in ("striped", "dotted"):
        filling = _patterned(scene.style, filling, GROUNDS[scene.ground])
    ground.paste(filling, (0, 0), mask)
    return ground.resize((size, size), Image.Resampling.BOX)


def _patterned(style: str, filling: Image.Image, ground: tuple[int, int, int]) -> Image.Image:
    """Stripes or dots of the ground's colour in the filling."""
    pen, side = ImageDraw.Draw(filling), filling.width
    gap = side / 11
    if style == "striped":
        for i in range(-11, 24):
            pen.line([(i * gap, 0), (i * gap - side, side)], fill=ground, width=round(gap * 0.45))
    else:
        for i in range(13):
            for j in range(13):
                x, y, r = (i + (j % 2) / 2) * gap, j * gap, gap * 0.28
                pen.ellipse([x - r, y - r, x + r, y + r], fill=ground)
    return filling


def _mask(scene: Scene, side: int) -> Image.Image:
    mask = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    cx, cy, r = scene.x * side, scene.y * side, scene.radius * side
    if scene.shape in ("circle", "ring"):
        pen.ellipse([cx - r, cy - r, cx + r, cy + r], fill=255)
        if scene.shape == "ring":
            pen.ellipse([cx - r * 0.55, cy - r * 0.55, cx + r * 0.55, cy + r * 0.55], fill=0)
    elif scene.shape == "heart":
        turns = [math.tau * i / 90 for i in range(90)]
        pen.polygon([(cx + r * math.sin(t) ** 3, cy - r / 16 * _heart(t)) for t in turns], fill=255)
    elif scene.shape == "cross":
        w = r * 0.36
        pen.rectangle([cx - r, cy - w, cx + r, cy + w], fill=255)
        pen.rectangle([cx - w, cy - r, cx + w, cy + r], fill=255)
    else:
        pen.polygon(_corners(scene.shape, cx, cy, r), fill=255)
    return mask


def _heart(turn: float) -> float:
    return 13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)


def _corners(shape: str, cx: float, cy: float, r: float) -> list[Point]:
    """Corners of a polygon around its middle."""
    count, first, reach = {
        "square": (4, 45, (1.2, 1.2)), "triangle": (3, -90, (1.15, 1.15)), "diamond": (4, 0, (0.8, 1.15)),
        "star": (10, -90, (1.1, 0.45)),
    }[shape]  # fmt: skip
    points = []
    for i in range(count):
        angle = math.radians(first + 360 * i / count)
        across, along = (reach[i % 2],) * 2 if shape == "star" else reach
        points.append((cx + across * r * math.cos(angle), cy + along * r * math.sin(angle)))
    return points
