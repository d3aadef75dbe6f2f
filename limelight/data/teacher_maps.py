"""Files of a teacher's maps, one for each training picture, named by its content."""

import hashlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from limelight.data.manifest import Sample
from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.imaging.map_store import place_of


def map_path(folder: Path, sample: Sample) -> Path:
    """Where the map of a picture is; of a picture, its companion and its sensor, where it has a companion."""
    digest = sample.sha256
    if sample.companion is not None:
        # The sensor: depth is read otherwise than heat, and networks are given which of both it is.
        digest = hashlib.sha256(f"{digest} {_content(Path(sample.companion))} {sample.sensor}".encode()).hexdigest()
    return place_of(folder, digest)


def _content(path: Path) -> str:
    """SHA-256 of a file, made once for each state of it: a map is read in every epoch, and a companion seldom changes.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        state = path.stat()
    except OSError:
        return sha256_file(path)  # which says why
    return _hashed(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@cache
def _hashed(path: Path, *state: int) -> str:
    return sha256_file(path)


def read_map(folder: Path, sample: Sample) -> np.ndarray:
    """uint8 (H, W), 255 = salient, at the size that the teacher saw.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = map_path(folder, sample)
    level_HW = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if level_HW is None:
        raise UserError(f"the teacher's map {path} is missing or damaged; remove {folder} and start the training again")
    return level_HW
