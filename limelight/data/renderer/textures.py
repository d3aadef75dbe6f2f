"""Procedural textures: a scalar pattern in [0, 1] that mixes two colours.

Lengths are shares of the picture's side, so that a scene has the same look at every size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from limelight.data.renderer.colours import RGB

Pattern = Callable[[np.random.Generator, int, int, float, float], np.ndarray]


@dataclass(frozen=True)
class Material:
    """How a surface looks: a pattern between two colours.

    Args:
        period: the pattern's typical length, share of the picture's side.
        angle: of the pattern, radians.
        gloss: strength of the highlight in [0, 1].
    """

    kind: str
    first: RGB
    second: RGB
    period: float
    angle: float = 0.0
    gloss: float = 0.0


def albedo(material: Material, rng: np.random.Generator, height: int, width: int, side: int) -> np.ndarray:
    """Paint `material` over a rectangle.

    Args:
        height, width: of the rectangle, pixels.
        side: of the whole picture, pixels; sets the scale.

    Returns:
        float32 HxWx3 in [0, 1].
    """
    first, second = np.array(material.first, np.float32), np.array(material.second, np.float32)
    if material.kind == "plain":
        return np.broadcast_to(first, (height, width, 3)).copy()
    period = max(material.period * side, 2.0)
    mix_HW = PATTERNS[material.kind](rng, height, width, period, material.angle)
    return cv2.merge([mix_HW * (end - start) + start for start, end in zip(first, second, strict=True)])


def spread(plane_HW: np.ndarray) -> np.ndarray:
    """HxW -> HxWx3. Contiguous: NumPy is several times slower over a broadcast last axis of three."""
    return cv2.merge([plane_HW, plane_HW, plane_HW])


def fractal_noise(
    rng: np.random.Generator,
    height: int,
    width: int,
    cell: float | tuple[float, float],
    octaves: int = 4,
    gain: float = 0.55,
) -> np.ndarray:
    """Value noise: random grids, each twice as fine and `gain` as strong as the one before.

    Args:
        cell: pixels between the coarsest grid's points, or (down, across) for stretched noise.

    Returns:
        float32 HxW in [0, 1], mean about 0.5.
    """
    down, across = (cell, cell) if isinstance(cell, int | float) else cell
    total_HW = np.zeros((height, width), np.float32)
    strength, power = 1.0, 0.0
    for _ in range(octaves):
        shape = (int(np.ceil(height / down)) + 1, int(np.ceil(width / across)) + 1)
        grid = rng.random(shape, dtype=np.float32) - np.float32(0.5)
        total_HW += np.float32(strength) * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        power += strength**2
        strength *= gain
        down, across = down / 2, across / 2
        if min(down, across) < 1.5:
            break
    # The octaves are independent: their variances add, and 0.29 is a uniform variable's deviation.
    return (total_HW * np.float32(0.22 / (0.29 * np.sqrt(power))) + 0.5).clip(0.0, 1.0)


def soft_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur whose cost does not grow with sigma (pixels): wide ones run on a shrunken copy."""
    if sigma < 0.3:
        return image
    height, width = image.shape[:2]
    shrink = int(sigma / 1.5)
    if shrink < 2 or min(height, width) < 4 * shrink:
        return cv2.GaussianBlur(image, (0, 0), min(sigma, max(height, width) / 3), borderType=cv2.BORDER_REFLECT)
    small = cv2.resize(image, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _axes(height: int, width: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates along and across `angle`, float32 HxW each."""
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return columns * cosine + rows * sine, rows * cosine - columns * sine


def _wave(phase_HW: np.ndarray, sharpness: float) -> np.ndarray:
    return (np.sin(phase_HW) * np.float32(sharpness) + 0.5).clip(0.0, 1.0)


def _noise(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    return fractal_noise(rng, height, width, period)


def _speckle(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    return fractal_noise(rng, height, width, max(period / 6, 2.0), octaves=2, gain=0.8)


def _gradient(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    along_HW, _ = _axes(height, width, angle)
    low, high = float(along_HW.min()), float(along_HW.max())
    return (along_HW - low) / np.float32(max(high - low, 1.0))


def _stripes(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    along_HW, _ = _axes(height, width, angle)
    bend_HW = fractal_noise(rng, height, width, 4 * period, octaves=1) * np.float32(rng.uniform(0, 5))
    return _wave(along_HW * np.float32(2 * np.pi / period) + bend_HW, rng.uniform(0.5, 4.0))


def _checks(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    along_HW, across_HW = _axes(height, width, angle)
    turn = np.float32(2 * np.pi / period)
    return (np.sin(along_HW * turn) * np.sin(across_HW * turn) * 6 + 0.5).clip(0.0, 1.0)


def _plaid(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    along_HW, across_HW = _axes(height, width, angle)
    turn = np.float32(2 * np.pi / period)
    return 0.5 * _wave(along_HW * turn, 2.0) + 0.5 * _wave(across_HW * turn * np.float32(1.5), 2.0)


def _spots(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    spots_HW = np.zeros((height, width), np.float32)
    count = int(np.clip(height * width / period**2, 3, 250))
    centres = (rng.random((count, 2)) * (width, height) * 16).astype(int)
    radii = (rng.uniform(0.15, 0.4, count) * period * 16).astype(int)
    for centre, radius in zip(centres.tolist(), radii.tolist(), strict=True):
        cv2.circle(spots_HW, centre, radius, 1.0, -1, cv2.LINE_AA, 4)
    return spots_HW


def _patches(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    noise_HW = fractal_noise(rng, height, width, 1.5 * period, octaves=2)
    return ((noise_HW - np.float32(rng.uniform(0.42, 0.58))) * 12 + 0.5).clip(0.0, 1.0)


def _wood(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    """Growth rings: a stretched noise taken as the rings' height, its level lines drawn as waves."""
    stretch = (6 * period, period) if np.cos(angle) > 0 else (period, 6 * period)
    level_HW = fractal_noise(rng, height, width, stretch, octaves=2)
    grain_HW = fractal_noise(rng, height, width, (stretch[0] / 4, stretch[1] / 4), octaves=2)
    return 0.65 * _wave(level_HW * np.float32(rng.uniform(18, 45)), 0.5) + 0.35 * grain_HW


def _marble(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    along_HW, _ = _axes(height, width, angle)
    turbulence_HW = fractal_noise(rng, height, width, 2 * period)
    phase_HW = along_HW * np.float32(np.pi / period) + turbulence_HW * np.float32(rng.uniform(6, 14))
    return 1.0 - np.sqrt(np.abs(np.sin(phase_HW)))


def _fur(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    cell = (period, max(period / 6, 1.6)) if np.cos(angle) > 0 else (max(period / 6, 1.6), period)
    return fractal_noise(rng, height, width, cell, octaves=2, gain=0.8)


def _bricks(rng: np.random.Generator, height: int, width: int, period: float, angle: float) -> np.ndarray:
    """One grey per brick, 1 in the joints."""
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    course = np.floor(rows / np.float32(period / 2)).astype(np.int32)
    shifted_HW = columns + (course % 2) * np.float32(period / 2)
    brick_HW = np.floor(shifted_HW / np.float32(period)).astype(np.int32)
    greys = rng.random((int(course.max()) + 1, int(brick_HW.max()) + 1), dtype=np.float32) * np.float32(0.5)
    joint = np.float32(max(period * 0.07, 1.0))
    in_joint_HW = (rows % np.float32(period / 2) < joint) | (shifted_HW % np.float32(period) < joint)
    return np.where(in_joint_HW, np.float32(1.0), greys[np.broadcast_to(course, brick_HW.shape), brick_HW])


PATTERNS: dict[str, Pattern] = {
    "noise": _noise,
    "speckle": _speckle,
    "gradient": _gradient,
    "stripes": _stripes,
    "checks": _checks,
    "plaid": _plaid,
    "spots": _spots,
    "patches": _patches,
    "wood": _wood,
    "marble": _marble,
    "fur": _fur,
    "bricks": _bricks,
}
KINDS = ("plain", *PATTERNS)
