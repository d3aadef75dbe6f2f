"""Simulation of a camera, a depth sensor and a thermal camera."""

from dataclasses import dataclass

import cv2
import numpy as np

from limelight.data.renderer.textures import fractal_noise, spread


@dataclass(frozen=True)
class Camera:
    """One camera's faults, the same for all frames of a clip.

    Args:
        gain: exposure and white balance, per channel.
        gamma: contrast curve.
        vignette: darkening of the corners.
        noise: standard deviation in [0, 1] units.
        smear: motion blur (dx, dy), share of the side.
        quality: of a JPEG pass, 100 = none.
    """

    gain: tuple[float, float, float]
    gamma: float
    vignette: float
    noise: float
    smear: tuple[float, float]
    quality: int

    @classmethod
    def draw(cls, rng: np.random.Generator, *, night: bool) -> "Camera":
        """A camera at random; at night a dark and noisy one."""
        exposure = rng.uniform(0.18, 0.4) if night else rng.uniform(0.8, 1.2)
        gain = exposure * (1 + rng.uniform(-0.07, 0.07, 3))
        smear = rng.normal(0, 0.012, 2) if rng.random() < 0.06 else (0.0, 0.0)
        return cls(
            gain=tuple(gain.tolist()),
            gamma=rng.uniform(0.85, 1.25),
            vignette=rng.uniform(0, 0.35) if rng.random() < 0.5 else 0.0,
            noise=rng.uniform(0.02, 0.04) if night else rng.choice((0.0, rng.uniform(0, 0.025))),
            smear=(float(smear[0]), float(smear[1])),
            quality=int(rng.integers(40, 96)) if rng.random() < 0.5 else 100,
        )

    def take(self, colour_HW3: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        """Record a picture.

        Args:
            colour_HW3: float32 sRGB in [0, 1], at twice `size`.

        Returns:
            uint8 size x size x 3 RGB.
        """
        image_HW3: np.ndarray = cv2.resize(colour_HW3, (size, size), interpolation=cv2.INTER_AREA)
        reach = np.array(self.smear) * size
        if np.abs(reach).max() > 0.5:
            image_HW3 = cv2.filter2D(image_HW3, -1, _streak(reach), borderType=cv2.BORDER_REFLECT)
        image_HW3 = image_HW3 * np.array(self.gain, np.float32)
        if self.vignette > 0:
            ramp = np.linspace(-1, 1, size, dtype=np.float32) ** 2
            image_HW3 *= spread(1 - np.float32(self.vignette / 2) * (ramp[:, None] + ramp[None]))
        image_HW3 = image_HW3.clip(0, 1) ** np.float32(self.gamma)
        if self.noise > 0:
            image_HW3 += np.float32(self.noise) * rng.standard_normal(image_HW3.shape, dtype=np.float32)
        recorded_HW3 = np.round(image_HW3 * 255).clip(0, 255).astype(np.uint8)
        if self.quality == 100:
            return recorded_HW3
        _, data = cv2.imencode(".jpg", recorded_HW3, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        taken_HW3 = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert taken_HW3 is not None
        return taken_HW3


def _streak(reach: np.ndarray) -> np.ndarray:
    """A normalised line through the middle of a small kernel."""
    half = int(np.ceil(np.abs(reach).max() / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    start, end = np.round((half - reach / 2) * 16).astype(int), np.round((half + reach / 2) * 16).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0, 1, cv2.LINE_AA, 4)
    return kernel / kernel.sum()


def measure_depth(depth_HW: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A depth sensor's picture: coarse steps, and no reading where a stereo pair would have none.

    Args:
        depth_HW: float32 relative depth in (0, 1], at twice `size`.

    Returns:
        uint16 size x size; 65535 = the far limit, near = small, 0 = no reading.
    """
    # Every second pixel rather than a mean: a mean across an outline is a depth at which nothing is.
    depth_HW = depth_HW[::2, ::2]
    # Steps of equal disparity, as triangulation has them: fine near by, coarse far away.
    steps = rng.uniform(100, 200)
    disparity_HW = np.round(steps / depth_HW.clip(0.02, 1.0))
    measured_HW = np.round(steps / disparity_HW * 65535).clip(1, 65535).astype(np.uint16)
    if rng.random() < 0.6:
        measured_HW[_holes(depth_HW, size, rng)] = 0
    return measured_HW


def _holes(depth_HW: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Half-occluded bands beside near things, and a few patches too bright or too dark to match."""
    shift = max(int(rng.uniform(0.005, 0.025) * size), 1) * (1 if rng.random() < 0.5 else -1)
    missing_HW = np.zeros(depth_HW.shape, bool)
    if shift > 0:
        missing_HW[:, shift:] = depth_HW[:, shift:] - depth_HW[:, :-shift] > 0.06
    else:
        missing_HW[:, :shift] = depth_HW[:, :shift] - depth_HW[:, -shift:] > 0.06
    patch_HW = fractal_noise(rng, size, size, size / 6, octaves=3)
    return missing_HW | (patch_HW > rng.uniform(0.93, 1.02))


_LEVELS = 64
"""Of the thermal camera; finer ones would only encode its noise."""


def measure_heat(heat_HW: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A thermal camera's picture: soft, a little noisy, its gain fitted to the scene.

    Args:
        heat_HW: float32, about [0, 1], at twice `size`.

    Returns:
        uint8 size x size, warm = bright.
    """
    sensor = max(int(size * rng.uniform(0.5, 0.8)), 16)
    coarse_HW: np.ndarray = cv2.resize(heat_HW, (sensor, sensor), interpolation=cv2.INTER_AREA)
    coarse_HW += rng.uniform(0.0005, 0.002) * rng.standard_normal(coarse_HW.shape, dtype=np.float32)
    low, high = float(coarse_HW.min()), float(coarse_HW.max())
    gain = rng.uniform(0.75, 1.0) / max(high - low, 0.25)
    levels_HW = cv2.resize((coarse_HW - low) * np.float32(gain), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.round(levels_HW * (_LEVELS - 1)).clip(0, _LEVELS - 1).astype(np.uint8) * np.uint8(256 // _LEVELS)
