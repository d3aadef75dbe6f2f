"""What the names of picture files say: stems and frame numbers."""

import re
import unicodedata

from limelight.imaging.header import EXTENSIONS


def without_suffix(name: str) -> str:
    """'a/b.v2.jpg' -> 'a/b.v2'; a last part that is no picture's suffix stays."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in EXTENSIONS else name


def composed(name: str) -> str:
    """The name in composed Unicode: file names that went through macOS are decomposed, their lists are not."""
    return unicodedata.normalize("NFC", name)


def frame_numbers(stems: list[str]) -> list[int]:
    """The frame of each stem: the number at its end, as in 'select_0064_0003'; the position where one has none."""
    numbers = [re.search(r"(\d+)$", stem) for stem in stems]
    found = [int(match.group(1)) for match in numbers if match]
    return found if len(set(found)) == len(stems) else list(range(len(stems)))
