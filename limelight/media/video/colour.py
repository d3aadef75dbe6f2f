"""By which matrix a video's YCbCr values are made from RGB.

Files should say so. Of those that do not, players take the matrix of their size; so do we, in both directions, and say
it in every file that we write.
"""

from typing import NamedTuple

import numpy as np

UNSPECIFIED = 2
"""Of a frame whose file does not say."""
LIMITED_RANGE = 1
"""FFmpeg's number of values from 16 to 235, which every player expects of video."""
LIMITED_LUMA = np.rint(16 + np.arange(256) * 219 / 255).astype(np.uint8)
"""Luma of each grey level in limited range, by any matrix."""
NO_CHROMA = 128
_MOST_SD_WIDTH, _MOST_SD_HEIGHT = 1279, 576
"""Pixels of the largest standard-definition picture (PAL), as mpv has it."""


class Matrix(NamedTuple):
    """A matrix, and the primaries and transfer characteristics that go with it."""

    code: int
    """Its number in ITU-T H.273; primaries and transfer characteristics have the same there."""
    scaler: int
    """Its number in FFmpeg's scaler."""


BT601, BT709 = Matrix(6, 5), Matrix(1, 1)


def usual_matrix(height: int, width: int) -> Matrix:
    """The matrix of a video that does not say it: BT.709 for high definition, BT.601 below."""
    return BT601 if width <= _MOST_SD_WIDTH and height <= _MOST_SD_HEIGHT else BT709
