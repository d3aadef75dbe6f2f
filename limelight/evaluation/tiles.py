"""Thumbnails shown side by side on the leaderboard page."""

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT = 144
"""Height of each thumbnail in pixels."""


@dataclass(frozen=True)
class Tile:
    """A thumbnail as a data URI, with title and note."""

    title: str
    note: str
    uri: str


def tile(title: str, note: str, pixels: NDArray[np.integer[Any]]) -> Tile:
    """Resize a picture, uint8 (H, W) grey or (H, W, 3) RGB, to a JPEG of HEIGHT pixels."""
    height, width = pixels.shape[:2]
    size = max(1, round(width * HEIGHT / height)), HEIGHT
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if height > HEIGHT else cv2.INTER_LINEAR)
    stored = cv2.cvtColor(small, cv2.COLOR_RGB2BGR) if small.ndim == 3 else small
    encoded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    return Tile(title, note, "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode())
