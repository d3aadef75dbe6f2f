"""Worker process of the metrics: read and score images, and exit when the owner process exits."""

import ctypes
import multiprocessing
import os
import sys
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from limelight.config import SlowMeasure
from limelight.evaluation.sod import ImageScores, score_image
from limelight.foundation.errors import UserError
from limelight.imaging.images import read_grey
from limelight.imaging.masks import read_mask

Source = NDArray[np.uint8] | Path | str

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 32 << 20


@dataclass(frozen=True)
class Outcome:
    """One image's scores, or the reason why it has none."""

    scores: ImageScores | None = None
    error: str = ""
    resized: bool = False
    """Whether the map was resized to the ground truth's size."""


def prepare_process() -> None:
    """Set up a worker process; called once in each."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_owner, daemon=True).start()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        # Keep freed memory: by default each of an image's two dozen arrays is mapped and page-faulted anew, which
        # costs as much time as the arithmetic.
        libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 8 * _KEEP_BYTES)


def _end_with_owner() -> None:
    """Exit with the owner: a pool's worker would otherwise wait for work forever after the owner was killed."""
    owner = multiprocessing.parent_process()
    if owner is not None:
        owner.join()
        os._exit(1)


def score_all(pairs: Sequence[tuple[Source | UserError, Source]], slow: Collection[SlowMeasure] = ()) -> list[Outcome]:
    """Apply `score_one` to each (map, ground truth)."""
    return [score_one(saliency, truth, slow) for saliency, truth in pairs]


def score_one(saliency: Source | UserError, truth: Source, slow: Collection[SlowMeasure] = ()) -> Outcome:
    """Score one map, at the ground truth's size.

    Args:
        saliency: uint8 (H, W), a file of it, or the error that took its place.
        truth: grey mask, uint8 (H, W) or a file.
        slow: the slow measures to compute too.
    """
    try:
        if isinstance(saliency, UserError):
            raise saliency
        saliency_HW, truth_HW = read_map(saliency), read_truth(truth)
    except UserError as error:
        return Outcome(error=str(error))
    resized = saliency_HW.shape != truth_HW.shape
    if resized:
        resized_HW = cv2.resize(saliency_HW, truth_HW.shape[::-1], interpolation=cv2.INTER_LINEAR)
        saliency_HW = np.asarray(resized_HW, np.uint8)
    return Outcome(score_image(saliency_HW, truth_HW, slow), resized=resized)


def read_map(source: Source) -> NDArray[np.uint8]:
    """Read a saliency map as uint8 (H, W).

    Raises:
        UserError: the file is missing or unreadable.
    """
    return source if isinstance(source, np.ndarray) else read_grey(source)


def read_truth(source: Source) -> NDArray[np.uint8]:
    """Read a mask as uint8 (H, W): files as in training; arrays of zeros and ones become 0 and 255.

    Raises:
        UserError: the file is missing or unreadable.
    """
    if isinstance(source, np.ndarray):
        return source * np.uint8(255) if source.max() == 1 else source
    return np.rint(read_mask(source) * 255).astype(np.uint8)
