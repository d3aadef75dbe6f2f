"""Pictures with transparency: composite them for a network, and never reveal their hidden colours."""

from typing import NamedTuple

import cv2
import numpy as np

_GROUNDS = (255, 0, 128)
"""Grey levels to composite onto, the first on ties: most transparent pictures are made for a white ground."""
_ALIKE = 64
"""A visible pixel whose channels are all within so many levels of the ground does not stand out from it."""
_BAND = 256
"""Rows processed at a time."""


class Transparency(NamedTuple):
    """A picture's opacity, and its colours before compositing."""

    opacity_HW: np.ndarray
    """uint8: 0 is hidden, 255 opaque."""
    colours_HW3: np.ndarray
    """uint8 RGB, not multiplied by the opacity. Black where the opacity is 0."""

    def resized(self, size: tuple[int, int]) -> "Transparency":
        """Resize to (height, width). Hidden pixels do not bleed colour into their neighbours."""
        opacity_HW1 = self.opacity_HW[..., None].astype(np.float32)
        weighted = np.dstack((self.colours_HW3 * opacity_HW1, opacity_HW1))
        shown = cv2.resize(weighted, size[::-1], interpolation=cv2.INTER_AREA)
        colours = np.rint(shown[..., :3] / np.maximum(shown[..., 3:], np.finfo(np.float32).tiny)).astype(np.uint8)
        return Transparency(np.rint(shown[..., 3]).astype(np.uint8), colours)


def on_ground(colours_HW3: np.ndarray, opacity_HW: np.ndarray) -> tuple[np.ndarray, Transparency | None]:
    """Composite a picture onto the grey that contrasts most with its visible pixels: white, black or grey.

    Args:
        colours_HW3: uint8 RGB, not multiplied by the opacity.
        opacity_HW: uint8.

    Returns:
        The opaque picture, uint8 RGB; and the transparency, None if the picture was opaque.
    """
    if opacity_HW.min() == 255:
        return colours_HW3, None
    colours_HW3 = np.where(opacity_HW[..., None] > 0, colours_HW3, np.uint8(0))
    ground = np.float32(_best_ground(colours_HW3, opacity_HW))
    image_HW3 = np.empty_like(colours_HW3)
    for top in range(0, len(image_HW3), _BAND):  # the floats of a large picture may not fit in memory
        band = slice(top, top + _BAND)
        share_HW1 = opacity_HW[band, :, None] / np.float32(255)
        image_HW3[band] = np.rint(share_HW1 * colours_HW3[band] + (1 - share_HW1) * ground)
    return image_HW3, Transparency(opacity_HW, colours_HW3)


def _best_ground(colours_HW3: np.ndarray, opacity_HW: np.ndarray) -> int:
    low, high = colours_HW3.min(-1).astype(np.int16), colours_HW3.max(-1).astype(np.int16)

    def alike(ground: int) -> float:
        return float(opacity_HW[(low >= ground - _ALIKE) & (high <= ground + _ALIKE)].sum(dtype=np.float64))

    return min(_GROUNDS, key=alike)


def without_hidden(labels_HW: np.ndarray, transparency: Transparency | None) -> np.ndarray:
    """Set the labels of hidden pixels to 0, no class."""
    if transparency is None:
        return labels_HW
    return np.where(transparency.opacity_HW > 0, labels_HW, np.zeros_like(labels_HW))
