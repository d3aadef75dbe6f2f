"""Small datasets on disk, for the tests of adapters and stages."""

from pathlib import Path

import cv2
import numpy as np

from limelight.models.inputs import Size


def picture(path: Path, seed: int = 0, size: Size = (20, 24)) -> Path:
    """A noisy RGB picture of (height, width); the suffix chooses the format."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return write(path, pixels)


def mask(path: Path, size: Size = (20, 24), level: int = 255) -> Path:
    """A mask with a rectangle of `level` on black."""
    pixels = np.zeros(size, np.uint8)
    pixels[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = level
    return write(path, pixels)


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def stills(
    root: Path,
    names: list[str],
    image: str = "images",
    target: str | None = "masks",
    companion: str | None = None,
    suffix: str = ".jpg",
    seed: int = 0,
) -> Path:
    """A dataset of stills; the pictures of different names differ."""
    for number, name in enumerate(names, start=seed):
        picture(root / image / f"{name}{suffix}", number)
        if target:
            mask(root / target / f"{name}.png")
        if companion:
            mask(root / companion / f"{name}.png", level=90 + number % 100)
    return root
