"""High resolution with any saliency network: Laplacians of tiles over one pass of the whole picture.

The whole picture says what stands out, tiles of it at ever finer resolution say where exactly its border is. From each
level to the next, a map keeps its low frequencies, and gets the high ones of the tiles' maps where their low ones agree
with it: a tile without its surroundings may find something else salient, but then it does not agree. It is the idea of
InSPyReNet's pyramid blending (Kim et al., ACCV 2022, section 3.3), for networks that were not made for it, in memory
that grows with the map alone.
"""

from collections.abc import Callable

import numpy as np

from limelight.imaging.geometry import area, stretch
from limelight.models.inputs import Size

OVERLAP = 0.25
"""Of a tile's side, at least, with the next tile."""
_FLAT = 0.02
"""A tile whose map stays this near to 0, or to 1, holds no border: it is not computed."""
_TOLERANCE = 0.5
"""Difference of the low frequencies from which a tile's Laplacians count nothing."""
Run = Callable[[np.ndarray], np.ndarray]
"""uint8 (h, w, 3) -> map float32 (h', w') in [0, 1]."""


def refine(image_HW3: np.ndarray, map_hw: np.ndarray, run: Run, tile: Size) -> np.ndarray:
    """Bring the map of a whole picture to the picture's own resolution.

    Args:
        image_HW3: uint8 RGB.
        map_hw: float32 in [0, 1], of a pass over the whole picture, of any size.
        run: computes a tile's map.
        tile: (height, width) of the network's input, pixels.

    Returns:
        map_HW float32 in [0, 1].
    """
    for size in levels(image_HW3.shape[:2], tile):
        own = size == image_HW3.shape[:2]
        level_hw3 = image_HW3 if own else area(image_HW3, size)
        map_hw = _sharpened(level_hw3, stretch(map_hw, size), run, tile)
    return stretch(map_hw, image_HW3.shape[:2])


def levels(picture: Size, tile: Size) -> list[Size]:
    """Sizes of the levels above the whole picture's pass: twice as large each, the last the picture's own.

    Empty for a picture that is no larger than a tile.
    """
    longest, sizes, side = max(picture), [], 2 * max(tile)
    while side < longest:
        sizes.append((max(1, round(picture[0] * side / longest)), max(1, round(picture[1] * side / longest))))
        side *= 2
    return [*sizes, picture] if longest > max(tile) else []


def _sharpened(level_hw3: np.ndarray, map_hw: np.ndarray, run: Run, tile: Size) -> np.ndarray:
    """Add the Laplacians of one level's tiles to a map of its size, in place."""
    (rows, row_weights), (columns, column_weights) = (
        spans(side, length) for side, length in zip(map_hw.shape, tile, strict=True)
    )
    detail_hw = np.zeros_like(map_hw)
    for row, row_weight in zip(rows, row_weights, strict=True):
        for column, column_weight in zip(columns, column_weights, strict=True):
            before_hw = map_hw[row, column]
            if before_hw.max() > _FLAT and before_hw.min() < 1 - _FLAT:
                found_hw = stretch(run(level_hw3[row, column]), before_hw.shape)
                detail_hw[row, column] += _laplacian(found_hw, before_hw) * np.outer(row_weight, column_weight)
    map_hw += detail_hw
    return np.clip(map_hw, 0, 1, out=map_hw)


def _laplacian(found_hw: np.ndarray, before_hw: np.ndarray) -> np.ndarray:
    """The high frequencies of a tile's map, as far as its low ones agree with those of the map before."""
    low_hw = _low(found_hw)
    agreement_hw = np.clip(1 - np.abs(low_hw - _low(before_hw)) / _TOLERANCE, 0, 1)
    return (found_hw - low_hw) * agreement_hw


def _low(map_hw: np.ndarray) -> np.ndarray:
    """What half the resolution can show."""
    height, width = map_hw.shape
    half = area(map_hw, (max(1, height // 2), max(1, width // 2)))
    return stretch(half, (height, width))


def spans(side: int, length: int) -> tuple[list[slice], list[np.ndarray]]:
    """Tiles along one side, evenly spread, and their weights, which sum to 1 at each pixel and fade over overlaps."""
    length = min(side, length)
    count = 1 if side == length else -(-(side - length) // max(1, int(length * (1 - OVERLAP)))) + 1
    starts = np.linspace(0, side - length, count).round().astype(int)
    spans = [slice(int(start), int(start) + length) for start in starts]
    ramp = np.minimum(np.arange(length) + 1, np.arange(length)[::-1] + 1).astype(np.float32)
    total = np.zeros(side, np.float32)
    for span in spans:
        total[span] += ramp
    return spans, [ramp / total[span] for span in spans]
