"""Stems and frame numbers from the names of picture files."""

import re
import unicodedata

from limelight.imaging.extensions import EXTENSIONS


def without_suffix(name: str) -> str:
    """Drop a picture's suffix: 'a/b.v2.jpg' -> 'a/b.v2'; any other last part stays."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in EXTENSIONS else name


def composed(name: str) -> str:
    """Convert to composed Unicode (NFC): macOS decomposes file names, but not the names inside list files."""
    return unicodedata.normalize("NFC", name)


def frame_numbers(stems: list[str]) -> list[int]:
    """Return each stem's frame number, at its end as in 'select_0064_0003'; positions if one has none or two agree."""
    numbers = [re.search(r"(\d+)$", stem) for stem in stems]
    frames = [int(match.group(1)) for match in numbers if match]
    return frames if len(set(frames)) == len(stems) else list(range(len(stems)))
