"""What a picture looks like in a few numbers: its size, how sharp it is, and a hash that like pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lora_scripts.data.ledger import Finding
from lora_scripts.messages import fix_for, text

SEEN = 256  # pixels of the longer side at which sharpness is judged, whatever the picture's own size
BLURRED = 30.0  # variance of the Laplacian; 40 ordinary photos had 103 and more, blurred by 6 pixels 4 and less
TINY = 256  # pixels of the shorter side
ALIKE = 4  # differing bits of 64 up to which two pictures are near duplicates


@dataclass(frozen=True, slots=True)
class Looks:
    """``sharpness``: variance of the Laplacian of the grey picture; ``hash_bits``: 64 bits, of which column grows."""

    width: int
    height: int
    sharpness: float
    hash_bits: int


def look_at(image: Image.Image) -> Looks:
    """The looks of an RGB picture."""
    grey = image.convert("L")
    small = grey.copy()
    small.thumbnail((SEEN, SEEN))
    y = np.asarray(small, np.float32)
    inner = 4 * y[1:-1, 1:-1] - y[:-2, 1:-1] - y[2:, 1:-1] - y[1:-1, :-2] - y[1:-1, 2:]
    cells = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), np.int16)
    grows = (cells[:, 1:] > cells[:, :-1]).ravel()
    bits = int.from_bytes(np.packbits(grows).tobytes(), "big")
    return Looks(image.width, image.height, float(inner.var()) if inner.size else 0.0, bits)


def findings_of(looks: Sequence[tuple[str, Looks]]) -> list[Finding]:
    """What is odd about pictures: blurred, tiny, almost the same as another one."""
    found = []
    for kind, names in {
        "blurred": [name for name, seen in looks if seen.sharpness < BLURRED],
        "tiny": [name for name, seen in looks if min(seen.width, seen.height) < TINY],
    }.items():
        if names:
            key = f"pictures.{kind}"
            said = text(key, count=len(names), least=TINY)
            found.append(Finding("warning", f"picture_{kind}", names[0], said, fix_for(key)))
    bits = np.array([seen.hash_bits for _, seen in looks], np.uint64)
    for i, (name, _) in enumerate(looks):
        apart = np.bitwise_count(bits[:i] ^ bits[i])
        near = np.flatnonzero(apart <= ALIKE)
        if near.size:
            key = "pictures.alike"
            said = text(key, other=looks[int(near[0])][0], bits=int(apart[near[0]]))
            found.append(Finding("warning", "picture_alike", name, said, fix_for(key)))
    return found
