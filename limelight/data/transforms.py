"""Joint augmentation: whatever moves the image moves its companion and mask alike.

The random part is drawn first, as plain values, and then applied; so a sample's picture depends on its generator alone.
Geometry works on the stored integers (OpenCV; 3 times as fast here as torchvision's), contrast, brightness and
normalisation are one table look-up per pixel.
"""

from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from limelight.config import Augment
from limelight.data.classes import VOID
from limelight.data.samples import Decoded, resize_labels
from limelight.imaging.companions import NEAREST
from limelight.imaging.geometry import stretch
from limelight.models.inputs import Size

BLUR_KERNELS = (3, 5, 7, 9)


@dataclass(frozen=True)
class Draw:
    """One sample's augmentation. The defaults change nothing."""

    rows: tuple[int, int | None] = (0, None)
    """First, and one past the last, that a crop keeps."""
    columns: tuple[int, int | None] = (0, None)
    mirror: bool = False
    upside_down: bool = False
    blur: int = 0
    """Side of the Gaussian kernel, pixels of the stored image; 0 = none."""
    contrast: float = 1.0
    brightness: float = 0.0
    angle: float = 0.0
    """Degrees, counter-clockwise."""
    invert_companion: bool = False


def draw(augment: Augment, size: Size, generator: np.random.Generator) -> Draw:
    """Draw one sample's augmentation.

    Args:
        size: height and width of the stored image, pixels.
    """
    height, width = size
    uniform = generator.uniform
    return Draw(
        rows=_window(height, augment, generator),
        columns=_window(width, augment, generator),
        mirror=generator.random() < augment.flip_horizontal,
        upside_down=generator.random() < augment.flip_vertical,
        blur=BLUR_KERNELS[generator.integers(len(BLUR_KERNELS))] if generator.random() < augment.blur else 0,
        contrast=uniform(1 - augment.contrast, 1 + augment.contrast),
        brightness=uniform(-augment.brightness, augment.brightness),
        angle=uniform(-augment.rotate, augment.rotate),
        invert_companion=generator.random() < augment.invert_companion,
    )


def _window(side: int, augment: Augment, generator: np.random.Generator) -> tuple[int, int]:
    """What the two crops leave of a side; at least one pixel."""
    removed = int(generator.integers(0, max(1, int(augment.crop * side))))
    start = int(generator.integers(0, removed + 1))
    most = min(augment.crop_pixels, (side - removed - 1) // 2)
    before, after = generator.integers(0, most + 1, 2)
    return start + int(before), start + side - removed - int(after)


def apply(decoded: Decoded, drawn: Draw, size: Size) -> Decoded:
    """Blur, crop, rotate, resize to `size`, flip. Contrast and brightness are left to `limelight.imaging.feeds.levels`.

    All bilinear, the mask too: its edges become soft, as KD-SCFNet trains them; labels take the nearest. Rotation
    leaves black corners, void in the labels.
    """
    if drawn.blur:
        kernel = (drawn.blur, drawn.blur)
        decoded = replace(decoded, image_HW3=cv2.GaussianBlur(decoded.image_HW3, kernel, 0))
    return decoded.map(partial(_move, drawn=drawn, size=size), partial(_move, drawn=drawn, size=size, labels=True))


def _move(pixels: np.ndarray, drawn: Draw, size: Size, labels: bool = False) -> np.ndarray:
    pixels = pixels[slice(*drawn.rows), slice(*drawn.columns)]
    if drawn.angle:
        height, width = pixels.shape[:2]
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), drawn.angle, 1)
        how = {"flags": cv2.INTER_NEAREST, "borderValue": VOID} if labels else {"flags": cv2.INTER_LINEAR}
        pixels = cv2.warpAffine(pixels, turn, (width, height), **how)
    pixels = resize_labels(pixels, size) if labels else stretch(pixels, size)
    if drawn.mirror or drawn.upside_down:
        pixels = cv2.flip(pixels, -1 if drawn.mirror and drawn.upside_down else int(drawn.mirror))
    return pixels


def inverted(companion_HW: np.ndarray, modality: str) -> np.ndarray:
    """A companion as a sensor of the other polarity has it: datasets disagree on whether near is small or large.

    Args:
        companion_HW: uint16 after `limelight.imaging.companions.spread`; depth of 0, not measured, stays 0.
        modality: 'rgbd' or 'rgbt'.
    """
    full = np.iinfo(companion_HW.dtype).max
    if modality != "rgbd":
        return full - companion_HW
    turned_HW = np.clip(round((1 + NEAREST) * full) - companion_HW.astype(np.int32), 0, full)
    return np.where(companion_HW > 0, turned_HW, 0).astype(companion_HW.dtype)
