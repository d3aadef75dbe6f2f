"""Clips that are folders of pictures, one a frame."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.imaging.header import MAX_PIXELS, open_picture
from limelight.imaging.images import read_photo
from limelight.media.video.clip import USUAL_RATE, Clip, Frame
from limelight.media.walk import Walk
from limelight.models.inputs import Size

_REMARKS = 3
"""Notes of single pictures that are given; of the others, the number."""
_NUMBER = re.compile(r"(\d+)(?=\D*$)")


class FrameFolder(Clip):
    """A folder of pictures as a clip, in the natural order of their names (frame2 before frame10).

    Args:
        name: the folder, in messages.
        paths: its pictures.
        rate: frames per second; None = `USUAL_RATE`.
        max_pixels: limit for a frame.

    Raises:
        UserError: a picture cannot be read, is too large or has another size than the first, or two are the same frame.
    """

    def __init__(
        self, name: str, paths: Sequence[Path], rate: Fraction | None = None, *, max_pixels: int = MAX_PIXELS
    ) -> None:
        super().__init__()
        self.name, self.rate = name, rate or USUAL_RATE
        self.time_base = 1 / self.rate
        self._paths, self._max_pixels = natural_order(paths), max_pixels
        self._size = self._checked_size()
        if rate is None:
            self.notes.append(f"{self.rate} frames per second are assumed; give another (--rate)")
        if len(paths) > 1 and self._paths != sorted(paths):
            before, after = next(pair for pair in pairwise(self._paths) if pair[0] > pair[1])
            self.notes.append(f"frames go by their numbers, not by the alphabet: {before.name} before {after.name}")
        if missing := _missing(self._paths):
            self.notes.append(f"its numbering has gaps, over which the clip goes on: there is no {missing}")

    @property
    def size(self) -> Size:
        return self._size

    @property
    def count(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Frame]:
        transparent, remarks = False, list[str]()
        for time, path in enumerate(self._paths):
            photo = read_photo(path, max_pixels=self._max_pixels)
            transparent |= photo.transparency is not None
            remarks += [f"{path.name}: {text}" for text in (photo.omitted, *photo.notes) if text]
            yield Frame(photo.image_HW3, time)
        self.notes += remarks[:_REMARKS]
        if len(remarks) > _REMARKS:
            self.notes.append(f"{len(remarks) - _REMARKS} more notes of its pictures")
        if transparent:
            self.notes.append("transparency of its pictures was not kept; give them as pictures (without --video)")

    def _checked_size(self) -> Size:
        first: tuple[Path, Size] | None = None
        stems: dict[str, Path] = {}
        for path in self._paths:
            if (other := stems.setdefault(path.stem.casefold(), path)) != path:
                raise UserError(f"{other} and {path.name} are the same frame of a clip; keep one of them")
            size = open_picture(path, self._max_pixels).size
            first = first or (path, size)
            if size != first[1]:
                raise UserError(
                    f"the frames of {self.name} differ in size: {first[0].name} has {first[1][1]} x {first[1][0]} "
                    f"pixels, {path.name} {size[1]} x {size[0]}; bring them to one size"
                )
        assert first is not None, "a folder with pictures"
        return first[1]


def frame_folders(root: Path, *, marker: str, skip: Path) -> dict[Path, list[Path]]:
    """The folders at and below `root` that hold pictures themselves, with these pictures.

    Args:
        marker: see `Walk`.
        skip: a folder of results, which are no frames where it lies below `root`.

    Raises:
        UserError: there is no picture, or one cannot be read.
    """
    walk, folders = Walk([root.resolve()], marker=marker), dict[Path, list[Path]]()
    within = root.resolve() in skip.resolve().parents
    for path in walk.files:
        if not (within and skip.resolve() in path.parents):
            folders.setdefault(path.parent, []).append(path)
    for path, reason in walk.refused:
        if not (within and skip.resolve() in path.parents):
            raise UserError(f"{path}: {reason}")
    if not folders:
        raise UserError(f"no pictures in {root}, which --video takes for the frames of a clip; give another folder")
    return folders


def natural_order(paths: Sequence[Path]) -> list[Path]:
    """Sort by name, with numbers by their value."""

    def key(path: Path) -> list[tuple[str, int]]:
        parts = re.split(r"(\d+)", path.stem)
        return [(text, int(number or -1)) for text, number in zip(parts[::2], [*parts[1::2], ""], strict=True)]

    return sorted(paths, key=lambda path: (key(path), path.name))


def _missing(paths: Sequence[Path]) -> str | None:
    """Describe the numbers that are missing between frames which are otherwise equally far apart."""
    found = [_NUMBER.search(path.stem) for path in paths]
    numbers = [int(match[1]) for match in found if match]
    steps = [after - before for before, after in pairwise(numbers)]
    if len(numbers) < len(paths) or not steps or min(steps) < 1 or any(step % min(steps) for step in steps):
        return None
    step = min(steps)
    gaps = [(before + step, after - step) for before, after in pairwise(numbers) if after - before > step]
    texts = [str(first) if first == last else f"{first} to {last}" for first, last in gaps]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return f"{', '.join(texts[:3])}{more}" if texts else None
