"""Results made from a picture and its saliency: maps, cut-outs, new backgrounds.

Dimensions: H height, W width, 3 = R, G, B, 4 = R, G, B, alpha. Values are rounded to the nearest, never truncated.

A pixel's alpha is its saliency times its own opacity. Where that rounds to 0 in 8 bits, the result keeps none of the
picture's colour.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from limelight.foundation.close_names import close_names
from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.imaging.header import MAX_PIXELS
from limelight.imaging.images import read_photo
from limelight.imaging.transparency import Transparency
from limelight.media.foreground import REACH, unmixed
from limelight.media.video.formats import is_video

GREEN = (120, 255, 155)
CONTOUR_LEVEL = 0.5
SHARE_OF_BLUR = 0.02
"""Standard deviation of the blurred background, as a share of the picture's longer side."""
_BLUR_AT_MOST = 8.0
"""Standard deviation that is computed, pixels; beyond it, of a reduced picture."""

_BAND = 256
"""Rows of a picture that are computed at once."""


class Layer(NamedTuple):
    """A picture and the alpha that each pixel is kept with."""

    image_HW3: np.ndarray
    """uint8 RGB."""
    saliency_HW: np.ndarray
    """float32 in [0, 1]."""
    transparency: Transparency | None = None
    """The image's transparency; None if it is opaque."""
    aspect: float = 1.0
    """Width of a pixel relative to its height."""

    @property
    def opacity_HW(self) -> np.ndarray | np.float32:
        """The picture's own opacity, float32 in [0, 1]."""
        return np.float32(1) if self.transparency is None else self.transparency.opacity_HW / np.float32(255)

    @property
    def alpha_HW(self) -> np.ndarray:
        """float32 in [0, 1]: saliency times opacity."""
        return self.saliency_HW if self.transparency is None else self.saliency_HW * self.opacity_HW

    @property
    def kept_HW(self) -> np.ndarray:
        """`alpha_HW`, but 0 where it rounds to 0 in 8 bits: a sigmoid never quite reaches 0."""
        alpha_HW = self.alpha_HW
        return np.where(alpha_HW * np.float32(255) > 0.5, alpha_HW, np.float32(0))

    def rows(self, rows: slice) -> "Layer":
        """Return a band of rows."""
        transparency = self.transparency and Transparency(*(part[rows] for part in self.transparency))
        return Layer(self.image_HW3[rows], self.saliency_HW[rows], transparency, self.aspect)


Draw = Callable[[Layer], np.ndarray]


@dataclass(frozen=True)
class Output:
    """A kind of result: its name on disk, and how to render it."""

    name: str
    draw: Draw
    background_sha256: str | None = None
    """Hash of the background picture or video, which its name alone does not identify."""
    moving: Path | None = None
    """The background video, whose frame each call of `render` needs."""

    def render(
        self,
        image_HW3: np.ndarray,
        saliency_HW: np.ndarray,
        transparency: Transparency | None = None,
        backdrop_HW3: np.ndarray | None = None,
        aspect: float = 1.0,
    ) -> np.ndarray:
        """Render the result: uint8; uint16 for 'map16', float32 for 'npy'.

        Args:
            image_HW3: uint8 RGB.
            saliency_HW: float32 in [0, 1], of the image's size.
            transparency: the image's; None if it is opaque.
            backdrop_HW3: uint8 RGB of any size, only where `moving`.
            aspect: width of the image's pixels relative to their height, where the background's are square; else
                divided by the background's.
        """
        draw = self.draw if backdrop_HW3 is None else _on_picture(backdrop_HW3)
        return draw(Layer(image_HW3, saliency_HW, transparency, aspect))


def output(kind: str, max_pixels: int = MAX_PIXELS) -> Output:
    """Return the output named by `kind`.

    Args:
        kind: one of `KINDS`, a background colour '#rrggbb', or the path of a picture or video to put behind the object.
        max_pixels: limit for that picture.

    Raises:
        UserError: an unknown kind, or the picture cannot be read; videos are not opened here.
    """
    if kind in _KINDS:
        return Output(kind, _KINDS[kind])
    if re.fullmatch(r"#[0-9a-fA-F]{6}", kind):
        colour = (int(kind[1:3], 16), int(kind[3:5], 16), int(kind[5:7], 16))
        return Output(f"colour-{kind[1:].lower()}", _on_colour(colour))
    if not Path(kind).is_file():
        raise _no_kind(kind)
    name, digest = f"on-{Path(kind).stem}", sha256_file(kind)
    if is_video(kind):
        return Output(name, _on_nothing, digest, moving=Path(kind))
    photo = read_photo(kind, max_pixels=max_pixels)
    if photo.omitted:
        raise UserError(f"the background {kind} is not one whole picture: {photo.omitted}")
    return Output(name, _on_picture(photo.image_HW3), digest)


def _no_kind(kind: str) -> UserError:
    """The error for what is neither a kind nor a file."""
    if "/" in kind or Path(kind).suffix:
        what = "is a folder" if Path(kind).is_dir() else "does not exist"
        return UserError(f"{kind} {what}; as --kind give a picture or video, or one of {', '.join(KINDS)}")
    close = close_names(kind, KINDS)
    meant = f"did you mean {' or '.join(close)}? Else " if close else ""
    return UserError(
        f"unknown kind {kind!r}; {meant}choose one of {', '.join(KINDS)}, a colour as '#rrggbb', or the path of a "
        "picture or video"
    )


def adjust(saliency_HW: np.ndarray, *, threshold: float | None = None, reverse: bool = False) -> np.ndarray:
    """Threshold or invert a saliency map before rendering.

    Args:
        saliency_HW: float32 in [0, 1].
        threshold: in [0, 1]; values at or above it become 1, the others 0. None keeps the map soft.
        reverse: keep the background instead of the object.
    """
    if threshold is not None:
        saliency_HW = (saliency_HW >= threshold).astype(np.float32)
    return 1 - saliency_HW if reverse else saliency_HW


def foreground_colours(layer: Layer) -> np.ndarray:
    """Estimate the object's own colours where it mixes with its background.

    A half-transparent pixel of the picture holds half of the old background; kept as it is, it shows as a halo on the
    new one; see `limelight.media.foreground`. Transparent pixels of the picture are weighted by their own opacity.

    Returns:
        uint8 HxWx3: the picture's own colours where saliency is 1; black where nothing is kept, so that a cut-out does
        not reveal what it removes.
    """
    colours_HW3 = np.empty_like(layer.image_HW3)
    # Band by band: the windows are local, and the intermediate arrays of a large picture may not fit in memory.
    for top in range(0, len(colours_HW3), _BAND):
        start = max(0, top - REACH)
        band = layer.rows(slice(start, top + _BAND + REACH))
        colours_HW3[top : top + _BAND] = _band_colours(band)[top - start :][:_BAND]
    return colours_HW3


def _band_colours(layer: Layer) -> np.ndarray:
    kept_HW = layer.kept_HW
    if not kept_HW.any():
        return np.zeros_like(layer.image_HW3)
    image, alpha, opacity = layer.image_HW3, kept_HW, None
    if layer.transparency is not None:
        image, opacity = layer.transparency.colours_HW3, np.asarray(layer.opacity_HW)
        alpha = np.where(kept_HW > 0, layer.saliency_HW, np.float32(0))
    colours_HW3 = image.copy()
    if (around := _around((alpha > 0) & (alpha < 1))) is not None:  # not after a threshold
        part = None if opacity is None else opacity[around]
        colours_HW3[around] = unmixed(image[around], alpha[around], part)
    colours_HW3[kept_HW == 0] = 0
    return colours_HW3


def _around(mixed_HW: np.ndarray) -> tuple[slice, slice] | None:
    """Return the rows and columns that colours of these pixels depend on; None for no pixel."""
    sides = [np.flatnonzero(mixed_HW.any(axis=axis)) for axis in (1, 0)]
    if not len(sides[0]):
        return None
    rows, columns = (slice(max(0, int(side[0]) - REACH), int(side[-1]) + REACH + 1) for side in sides)
    return rows, columns


def _mixed(front_HW3: np.ndarray, back: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
    """Lay a picture over another or over a colour, channel by channel: NumPy is slow over three floats a pixel."""
    mixed_HW3, clear_HW = np.empty(front_HW3.shape, np.uint8), 1 - alpha_HW
    for channel in range(3):
        mixed_HW = alpha_HW * front_HW3[..., channel]
        mixed_HW += clear_HW * back[..., channel]
        np.rint(mixed_HW, out=mixed_HW3[..., channel], casting="unsafe")
    return mixed_HW3


def _blend(layer: Layer, background: np.ndarray) -> np.ndarray:
    return _mixed(foreground_colours(layer), background, layer.kept_HW)


def _grey(layer: Layer) -> np.ndarray:
    alpha_HW = np.asarray(layer.alpha_HW, np.float32)
    return cv2.convertScaleAbs(alpha_HW, alpha=255)  # to the nearest, ties to even, as np.rint


def _grey_16(layer: Layer) -> np.ndarray:
    return np.rint(layer.alpha_HW * 65535).astype(np.uint16)


def _raw(layer: Layer) -> np.ndarray:
    return layer.alpha_HW.astype(np.float32, copy=False)


def _cut_out(layer: Layer) -> np.ndarray:
    return np.dstack((foreground_colours(layer), _grey(layer)))


def _on_colour(colour: tuple[int, int, int]) -> Draw:
    return lambda layer: _blend(layer, np.array(colour, np.float32))


def _on_nothing(layer: Layer) -> np.ndarray:
    raise UserError("a video is a background for videos, and this is none; give a picture or a colour (--kind)")


def _on_blur(layer: Layer) -> np.ndarray:
    return _blend(layer, _blurred(layer.image_HW3))


def _blurred(image_HW3: np.ndarray) -> np.ndarray:
    """Blur a picture by a share of its longer side, a large one at a reduced size: two grey levels from the exact
    result, whose cost grows with the third power of the side."""
    height, width, _ = image_HW3.shape
    sigma = max(1.0, SHARE_OF_BLUR * max(height, width))
    reduction = sigma / _BLUR_AT_MOST
    if reduction <= 1:
        return cv2.GaussianBlur(image_HW3, (0, 0), sigma)
    size = max(1, round(width / reduction)), max(1, round(height / reduction))
    small = cv2.GaussianBlur(cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA), (0, 0), _BLUR_AT_MOST)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _on_picture(picture: np.ndarray) -> Draw:
    return lambda layer: _blend(layer, _cover(picture, *layer.image_HW3.shape[:2], aspect=layer.aspect))


def _cover(picture: np.ndarray, height: int, width: int, *, aspect: float = 1.0) -> np.ndarray:
    """Crop the largest centred part with these proportions, as they are shown, and scale it; distortion is a pixel at
    most.

    Cropping comes first: scaling a long and narrow picture first could exhaust the memory.
    """
    shown = width * aspect
    scale = max(height / picture.shape[0], shown / picture.shape[1])
    rows, columns = (
        min(there, max(1, round(side / scale))) for there, side in zip(picture.shape, (height, shown), strict=False)
    )
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    middle = picture[top : top + rows, left : left + columns]
    return cv2.resize(middle, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _overlay(layer: Layer) -> np.ndarray:
    """Tint the object half green, with a line where saliency crosses CONTOUR_LEVEL."""
    alpha, image = layer.alpha_HW, layer.image_HW3
    shown = _mixed(np.broadcast_to(np.array(GREEN, np.float32), image.shape), image, 0.5 * alpha)
    contours, _ = cv2.findContours((alpha > CONTOUR_LEVEL).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(shown, contours, -1, GREEN, thickness=max(1, max(image.shape) // 400))


_KINDS: dict[str, Draw] = {
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
