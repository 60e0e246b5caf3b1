"""Pictures as they are seen: found in a folder, opened, turned upright, in RGB; or why not.

Whatever a file does to Pillow becomes words. What is changed on the way (the first frame of several, a transparent
ground, a turned camera) is noted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from lora_scripts.messages import text

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".bmp")
OTHER_KINDS = (
    ".svg", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".ico", ".psd", ".jp2", ".jxl", ".apng", ".dib", ".ppm",
    ".pgm", ".pbm", ".pnm", ".tga", ".eps", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf",
)  # fmt: skip
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
SECOND_BEHIND = "MPO"  # JPEG of some phones, with a second picture behind the first
MOST_PIXELS = 100_000_000
SHORTEST_SIDE = 16
TURNED = range(2, 9)  # values of EXIF's Orientation that are not upright
# Pillow's warnings say less than we do; told once, since `catch_warnings` is not for threads
warnings.filterwarnings("ignore", module=r"PIL\..*")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Unreadable(Exception):
    """Why a picture is left out: the ``bin`` that it is counted in, and words."""

    def __init__(self, bin: str, **values: object) -> None:
        self.bin = bin
        super().__init__(text(f"pictures.{bin}", **values))


@dataclass(frozen=True, slots=True)
class Picture:
    """An RGB picture, upright; ``notes`` say what was changed to make it so."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def files_below(root: Path) -> Iterator[Path]:
    """The files below ``root`` in order of name, hidden ones apart. Links to folders are not entered.

    Raises:
        OSError: A folder cannot be looked into.
    """
    for folder, folders, names in os.walk(root, onerror=_stop):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _stop(error: OSError) -> None:
    raise error


def passed_over(root: Path) -> list[str]:
    """Hidden pictures, hidden folders and links to folders below ``root``, by name: none of them is entered."""
    found = []
    for folder, folders, names in os.walk(root):
        hidden = [n for n in names if n.startswith(".") and Path(n).suffix.lower() in (*SUFFIXES, *OTHER_KINDS)]
        closed = [n for n in folders if n.startswith(".") or Path(folder, n).is_symlink()]
        found += [Path(folder, name).relative_to(root).as_posix() for name in sorted(hidden + closed)]
        folders[:] = [name for name in folders if name not in closed]
    return found


def find_pictures(root: Path) -> dict[str, Path]:
    """The picture files below ``root``, readable or not, by their names below it; or ``root`` itself."""
    if root.is_file():
        return {root.name: root}
    kinds = (*SUFFIXES, *OTHER_KINDS)
    return {path.relative_to(root).as_posix(): path for path in files_below(root) if path.suffix.lower() in kinds}


def open_picture(path: Path) -> Picture:
    """The picture in ``path``.

    Raises:
        Unreadable: It is none, is cut off, or too large or small to be of use.
    """
    if path.is_symlink():
        raise Unreadable("picture_link")
    if path.suffix.lower() in OTHER_KINDS:
        raise Unreadable("picture_other_kind", kind=path.suffix)
    try:
        if path.stat().st_size == 0:
            raise Unreadable("picture_empty")
        with Image.open(path, formats=FORMATS) as opened:
            return _upright(opened)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("no_picture") from error
    except Exception as error:  # decoders raise whatever they come upon
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise Unreadable("picture_broken", reason=reason) from error


def _upright(opened: Image.Image) -> Picture:
    notes: list[str] = []
    width, height = opened.size
    if width * height > MOST_PIXELS:
        raise Unreadable("picture_too_large", width=width, height=height, most=MOST_PIXELS // 1_000_000)
    if min(width, height) < SHORTEST_SIDE:
        raise Unreadable("picture_too_small", width=width, height=height, least=SHORTEST_SIDE)
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != SECOND_BEHIND:
        notes.append(text("pictures.first_frame", count=frames))
    if ";16" in str(getattr(opened, "tile", "")) or opened.mode.startswith(("I", "F")):
        notes.append(text("pictures.deep"))
    opened.load()
    if opened.getexif().get(0x0112) in TURNED:
        notes.append(text("pictures.turned"))
    return Picture(_rgb(ImageOps.exif_transpose(opened), notes), tuple(notes))


def _rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """In 8 bits RGB; a transparent ground becomes white."""
    if image.mode.startswith(("I", "F")):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if "A" in image.getbands() or "transparency" in image.info:
        alpha = image.convert("RGBA")
        if alpha.getchannel("A").getextrema() != (255, 255):
            notes.append(text("pictures.transparent"))
        ground = Image.new("RGBA", alpha.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, alpha)
    elif image.mode == "CMYK":
        notes.append(text("pictures.cmyk"))
    return image.convert("RGB")
