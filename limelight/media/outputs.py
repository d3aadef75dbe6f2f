"""What can be made of a picture and its saliency: maps, cut-outs, backgrounds.

Dimensions: H height, W width, 3 = R, G, B, 4 = R, G, B, alpha. Values are rounded to the nearest, never cut off.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from limelight.media.images import read_image
from models.errors import UserError
from models.files import sha256_file

GREEN = (120, 255, 155)
CONTOUR_LEVEL = 0.5
SHARE_OF_BLUR = 0.02
"""Standard deviation of the blurred background, as a share of the picture's longer side."""

_WINDOWS = (90, 6)
"""Sides of the two passes of blur fusion, pixels, as published."""
_BAND, _HALO = 256, sum(_WINDOWS) // 2 + 1

Render = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(image uint8 HxWx3, saliency float32 HxW in [0, 1]) -> the array to write."""


@dataclass(frozen=True)
class Output:
    """One kind of result: how it is named on disk, and how it is made."""

    name: str
    suffix: str
    render: Render
    background_sha256: str | None = None
    """Of the picture that objects are put on; its name alone does not tell one from another."""


def output(kind: str) -> Output:
    """The output that `kind` names.

    Args:
        kind: one of `KINDS`, a background colour '#rrggbb', or the path of a picture to put behind the object.

    Raises:
        UserError: none of these, or the picture cannot be read.
    """
    if kind in _KINDS:
        return Output(kind, ".npy" if kind == "npy" else ".png", _KINDS[kind])
    if re.fullmatch(r"#[0-9a-fA-F]{6}", kind):
        colour = (int(kind[1:3], 16), int(kind[3:5], 16), int(kind[5:7], 16))
        return Output(f"colour-{kind[1:].lower()}", ".png", _on_colour(colour))
    if not Path(kind).is_file():
        raise UserError(
            f"unknown kind {kind!r}; choose one of {', '.join(KINDS)}, a colour as '#rrggbb', or a picture's path"
        )
    return Output(f"on-{Path(kind).stem}", ".png", _on_picture(read_image(kind)), sha256_file(kind))


def adjust(saliency_HW: np.ndarray, *, threshold: float | None = None, reverse: bool = False) -> np.ndarray:
    """Harden or invert a saliency map before anything is made of it.

    Args:
        saliency_HW: float32 in [0, 1].
        threshold: in [0, 1]; values at or above it become 1, the others 0. None keeps the map soft.
        reverse: keep the background instead of the object.
    """
    if threshold is not None:
        saliency_HW = (saliency_HW >= threshold).astype(np.float32)
    return 1 - saliency_HW if reverse else saliency_HW


def encode(pixels: np.ndarray) -> bytes:
    """A result as the bytes of a file: `.npy` for float arrays, else PNG (8 or 16 bits; grey, RGB or RGBA)."""
    if pixels.dtype == np.float32:
        buffer = io.BytesIO()
        np.save(buffer, pixels, allow_pickle=False)
        return buffer.getvalue()
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    reorder = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(channels)
    return cv2.imencode(".png", pixels if reorder is None else cv2.cvtColor(pixels, reorder))[1].tobytes()


def foreground_colours(image_HW3: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
    """The object's own colours where it mixes with its background.

    A half-transparent pixel of the picture holds half of the old background; kept as it is, it shows as a halo on the
    new one. Solves I = alpha F + (1 - alpha) B for F by two passes of blur fusion: M. Forte, "Approximate Fast
    Foreground Colour Estimation", ICIP 2021. Where alpha is 1 the picture is returned unchanged; where it is 0, the
    colours of the nearest object, or black far from one, so that a cut-out hides what it cuts out.

    Args:
        image_HW3: uint8 RGB.
        alpha_HW: float32 in [0, 1].

    Returns:
        uint8 HxWx3.
    """
    colours_HW3 = np.empty_like(image_HW3)
    # Band by band: the windows are local, and the intermediate arrays of a large picture would fill the memory.
    for top in range(0, len(image_HW3), _BAND):
        start = max(0, top - _HALO)
        band = slice(start, top + _BAND + _HALO)
        colours_HW3[top : top + _BAND] = _band_colours(image_HW3[band], alpha_HW[band])[top - start :][:_BAND]
    return colours_HW3


def _band_colours(image_HW3: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
    if not alpha_HW.any():
        return np.zeros_like(image_HW3)
    image, alpha = image_HW3.astype(np.float32), alpha_HW[..., None]
    foreground = background = image
    for window in _WINDOWS:
        foreground, background = _blur_fusion(image, alpha, foreground, background, window)
    return _to_8bit(np.where(alpha >= 1, image, foreground))


def _blur_fusion(
    image: np.ndarray, alpha: np.ndarray, foreground: np.ndarray, background: np.ndarray, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """One pass: local means of F and B, weighted by alpha, then F moved so that the mixture gives the picture."""

    def mean(pixels: np.ndarray) -> np.ndarray:
        return cv2.blur(pixels, (window, window)).reshape(*pixels.shape[:2], -1)

    weight = mean(alpha)
    blurred_foreground = mean(foreground * alpha) / (weight + 1e-5)
    blurred_background = mean(background * (1 - alpha)) / (1 - weight + 1e-5)
    residual = image - alpha * blurred_foreground - (1 - alpha) * blurred_background
    return np.clip(blurred_foreground + alpha * residual, 0, 255), blurred_background


def _to_8bit(pixels: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)


def _blend(image: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    colours, alpha = foreground_colours(image, alpha).astype(np.float32), alpha[..., None]
    return _to_8bit(alpha * colours + (1 - alpha) * background)


def _grey(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    return np.rint(saliency * 255).astype(np.uint8)


def _grey_16(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    return np.rint(saliency * 65535).astype(np.uint16)


def _raw(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    return saliency.astype(np.float32, copy=False)


def _cut_out(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    return np.dstack((foreground_colours(image, saliency), _grey(image, saliency)))


def _on_colour(colour: tuple[int, int, int]) -> Render:
    return lambda image, saliency: _blend(image, saliency, np.float32(colour))


def _on_blur(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    return _blend(image, saliency, cv2.GaussianBlur(image, (0, 0), max(1.0, SHARE_OF_BLUR * max(image.shape))))


def _on_picture(picture: np.ndarray) -> Render:
    def render(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
        return _blend(image, saliency, _cover(picture, image.shape[0], image.shape[1]))

    return render


def _cover(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cut the largest middle of these proportions out of a picture, and scale it: distorted by its last pixel at most.

    Scaled first, a long and narrow picture would fill the memory with what is then cut off.
    """
    scale = max(height / picture.shape[0], width / picture.shape[1])
    rows, columns = (
        min(there, max(1, round(side / scale))) for there, side in zip(picture.shape, (height, width), strict=False)
    )
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    middle = picture[top : top + rows, left : left + columns]
    return cv2.resize(middle, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _overlay(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The object under half of a green veil, with a line where saliency crosses CONTOUR_LEVEL."""
    veil = 0.5 * saliency[..., None]
    shown = _to_8bit((1 - veil) * image + veil * np.float32(GREEN))
    contours, _ = cv2.findContours((saliency > CONTOUR_LEVEL).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(shown, contours, -1, GREEN, thickness=max(1, max(image.shape) // 400))


_KINDS: dict[str, Render] = {
    "map": _grey,
    "map16": _grey_16,
    "npy": _raw,
    "rgba": _cut_out,
    "green": _on_colour(GREEN),
    "white": _on_colour((255, 255, 255)),
    "blur": _on_blur,
    "overlay": _overlay,
}
KINDS = tuple(_KINDS)
