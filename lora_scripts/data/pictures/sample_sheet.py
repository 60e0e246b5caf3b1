"""A sheet of drawn pictures: a row a prompt, a column a way of drawing it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

CELL = 256  # pixels of the longer side of a picture on the sheet
GAP = 8
GROUND = (245, 245, 245)


def sample_sheet(columns: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """``columns`` of as many pictures each, side by side; small pictures are enlarged without smoothing."""
    shown = [[_cell(picture) for picture in column] for column in columns]
    widths = [max(picture.width for picture in column) for column in shown]
    heights = [max(column[row].height for column in shown) for row in range(len(shown[0]))]
    sheet = Image.new("RGB", (sum(widths) + GAP * (len(widths) + 1), sum(heights) + GAP * (len(heights) + 1)), GROUND)
    left = GAP
    for column, width in zip(shown, widths, strict=True):
        top = GAP
        for picture, height in zip(column, heights, strict=True):
            sheet.paste(picture, (left, top))
            top += height + GAP
        left += width + GAP
    return sheet


def _cell(picture: Image.Image) -> Image.Image:
    longer = max(picture.size)
    if longer > CELL:
        small = picture.copy()
        small.thumbnail((CELL, CELL))
        return small
    times = CELL // longer
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
