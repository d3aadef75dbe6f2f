"""Pictures of one split that another split holds too, as a copy of another size, quality or side."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from limelight.data.manifest import Sample
from limelight.data.threads import in_threads
from limelight.foundation.csv_text import to_csv
from limelight.foundation.files import write_text

MAX_BITS = 10
"""Bits of 64 in which the hashes of two copies may differ."""
MIN_CORRELATION = 0.95
"""Of the thumbnails: many pictures share a hash's coarse frequencies."""
MIN_DEVIATION = 4.0
"""Of a thumbnail's levels; flatter pictures resemble each other anyway."""
_SIDE = 32
_ROWS = 512
"""Hashes compared with all others at once."""


@dataclass(frozen=True)
class Duplicate:
    """Two samples that show the same picture."""

    sample_id: str
    """Of a split that comes first: training, then any other."""
    other: str
    mirrored: bool
    correlation: float


def find_duplicates(samples: Sequence[Sample]) -> list[Duplicate]:
    """Find the pictures that stand in more than one split.

    Each is found by a perceptual hash (the signs of the 64 lowest frequencies of the cosine transform of a thumbnail of
    32x32 grey levels, Zauner 2010), then confirmed by the thumbnails' correlation; mirrored copies are found too, crops
    are not. Files that cannot be read are left to other checks.
    """
    if len({sample.split for sample in samples}) < 2:
        return []
    thumbnails = in_threads(_thumbnail, samples, "comparing pictures")
    # Training comes first, so that a test picture is listed beside the one that is trained on.
    ranked = sorted({sample.split for sample in samples}, key=lambda split: (split != "train", split))
    ranks = [ranked.index(sample.split) for sample in samples]
    usable = [place for place, levels in enumerate(thumbnails) if levels is not None]
    usable.sort(key=lambda place: ranks[place])
    levels_NHW = np.array([thumbnails[place] for place in usable], np.float32).reshape(-1, _SIDE, _SIDE)
    ranks_N = np.array([ranks[place] for place in usable])
    pairs: dict[tuple[int, int], Duplicate] = {}
    hashes_N = _hashes(levels_NHW)
    for mirrored in (False, True):
        turned_NHW = levels_NHW[:, :, ::-1] if mirrored else levels_NHW
        for one, other in _near(hashes_N, _hashes(turned_NHW), ranks_N):
            correlation = float((levels_NHW[one] * turned_NHW[other]).mean())
            if correlation >= MIN_CORRELATION:
                names = samples[usable[one]].sample_id, samples[usable[other]].sample_id
                pairs.setdefault((one, other), Duplicate(*names, mirrored, round(correlation, 3)))
    return [pairs[key] for key in sorted(pairs)]


def _thumbnail(sample: Sample) -> np.ndarray | None:
    """levels_HW of mean 0 and deviation 1; None for a flat picture, or one that cannot be read."""
    picture_HW = cv2.imread(sample.image, cv2.IMREAD_REDUCED_GRAYSCALE_4)
    if picture_HW is None:
        return None
    levels_HW = cv2.resize(picture_HW, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    deviation = levels_HW.std()
    return (levels_HW - levels_HW.mean()) / deviation if deviation >= MIN_DEVIATION else None


def _hashes(levels_NHW: np.ndarray) -> np.ndarray:
    """hash_N, uint64."""
    low_NK = np.array([cv2.dct(np.ascontiguousarray(one_HW))[:8, :8].ravel() for one_HW in levels_NHW]).reshape(-1, 64)
    signs_NK = low_NK > np.median(low_NK, axis=1, keepdims=True)
    return np.packbits(signs_NK, axis=1).view(np.uint64).ravel()


def _near(hashes_N: np.ndarray, others_N: np.ndarray, ranks_N: np.ndarray) -> Iterator[tuple[int, int]]:
    """Places of near hashes, the first of an earlier split than the second. Ranks are in order.

    No pictures of one split are compared: a set for training has many, and the sets for tests few.
    """
    for start in range(0, len(hashes_N), _ROWS):
        ranks_R = ranks_N[start : start + _ROWS]
        later = int(np.searchsorted(ranks_N, ranks_R[0], side="right"))
        bits_RM = np.bitwise_count(hashes_N[start : start + _ROWS, None] ^ others_N[None, later:])
        earlier_RM = ranks_R[:, None] < ranks_N[None, later:]
        for row, other in np.argwhere((bits_RM <= MAX_BITS) & earlier_RM):
            yield start + int(row), later + int(other)


def write_duplicates(duplicates: Sequence[Duplicate], path: Path) -> None:
    """Write them as CSV."""
    write_text(path, to_csv([field.name for field in fields(Duplicate)], map(astuple, duplicates)))
