"""A folder of maps, each named by the hash of what it was made from."""

from pathlib import Path

import numpy as np

from limelight.foundation.files import write_bytes
from limelight.imaging.encoding import encode


def place_of(folder: Path, digest: str) -> Path:
    """Where the map of what has this hash is."""
    return folder / digest[:2] / f"{digest}.png"


def write_map(path: Path, probability_HW: np.ndarray) -> None:
    """Write a map in [0, 1], in 256 levels, whole or not at all."""
    write_bytes(path, encode(np.rint(255 * probability_HW).astype(np.uint8)))
