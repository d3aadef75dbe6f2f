"""Legends of label maps: class colours and names, below a picture, in any script that a font covers."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from limelight.media.labels import colour, tinted

SIZE = 12
"""Font size, pixels."""
MIN_WIDTH = 240
"""Smallest width of an overlay in pixels, so that a small picture's legend stays legible."""
INK = (40, 40, 40)

_FONTS = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
    "msgothic.ttc",
    "malgun.ttf",
)
"""Font files with many scripts, by their usual names; the first with a name's letters is used."""
_MISSING_GLYPH = "\U0010ffff"

Font = ImageFont.FreeTypeFont


def overlay(image_HW3: NDArray[np.uint8], labels_HW: NDArray[np.integer], names: Sequence[str]) -> NDArray[np.uint8]:
    """Tint the picture by class, above a legend of the classes shown; uint8 RGB.

    Args:
        names: names of labels 1, 2, ...
    """
    height, width = labels_HW.shape
    shown = [(int(label), names[label - 1]) for label in np.unique(labels_HW[labels_HW > 0])]
    below = strip(max(width, MIN_WIDTH), shown, size=max(SIZE, width // 60))
    whole = np.full((height + len(below), below.shape[1], 3), 255, np.uint8)
    whole[:height, :width], whole[height:] = tinted(image_HW3, labels_HW), below
    return whole


def strip(width: int, legend: Sequence[tuple[int, str]], note: str = "", size: int = SIZE) -> NDArray[np.uint8]:
    """Draw the legend, wrapped to the width, and a note; black on white.

    Args:
        legend: labels and their names. A name that no available font covers is replaced by its number.
        size: font size, pixels.
    """
    margin, step = size // 2, size * 3 // 2
    places = list(_places(width, legend, size))
    rows = 1 + max((row for *_, row in places), default=-1)
    picture = Image.new("RGB", (width, margin + step * (rows + bool(note))), "white")
    draw = ImageDraw.Draw(picture)
    for label, text, x, row in places:
        y = margin // 2 + step * row
        draw.rectangle((x, y + size // 4, x + size * 5 // 6, y + size * 13 // 12), fill=colour(label))
        draw.text((x + size * 5 // 4, y), text, fill=INK, font=font_for(text, size))
    draw.text((margin, margin // 2 + step * rows), note, fill=INK, font=font_for(note, size))
    return np.asarray(picture)


def as_written(label: int, name: str, size: int) -> tuple[str, Font]:
    """Return a class's name and a font that covers it, or its number where no available font does."""
    font = font_for(name, size)
    return (name, font) if _writes(font, name) else (f"#{label}", font)


def font_for(text: str, size: int) -> Font:
    """Return the first font that covers all of a text's letters, or else the first font."""
    return next((font for font in _fonts(size) if _writes(font, text)), _fonts(size)[0])


def _places(width: int, legend: Sequence[tuple[int, str]], size: int) -> Iterator[tuple[int, str, int, int]]:
    """Yield label, text, x and row of each entry."""
    x, row = size // 2, 0
    for label, name in legend:
        text, font = as_written(label, name, size)
        needed = size * 9 // 4 + round(font.getlength(text))
        if x > size // 2 and x + needed > width - size // 2:
            x, row = size // 2, row + 1
        yield label, text, x, row
        x += needed


def _writes(font: Font, text: str) -> bool:
    missing = bytes(font.getmask(_MISSING_GLYPH))
    return all(bytes(font.getmask(letter)) != missing for letter in text)


@lru_cache(maxsize=4)
def _fonts(size: int) -> list[Font]:
    """List the available fonts: matplotlib's, if installed, the system's, and Pillow's own."""
    fonts, spec = [], find_spec("matplotlib")
    own = [str(Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf")] if spec and spec.origin else []
    for name in (*own, *_FONTS):
        try:
            fonts.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    last = ImageFont.load_default(size)
    assert isinstance(last, Font)  # Pillow with FreeType, which the other fonts need too
    return [*fonts, last]
