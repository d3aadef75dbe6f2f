"""A video behind the object of another video."""

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np

from limelight.imaging.header import MAX_PIXELS
from limelight.media.video.clip import Frame
from limelight.media.video.reader import VideoReader
from limelight.media.video.threads import ahead

_AHEAD = 4
"""Frames that are decoded before they are needed."""


class Backdrop:
    """The frames of a video by time, which begins anew where it ends. A context manager.

    Raises:
        UserError: as `VideoReader`.
    """

    def __init__(self, path: Path, *, max_pixels: int = MAX_PIXELS) -> None:
        self._path, self._max_pixels = path, max_pixels
        self._length: float | None = None
        """Seconds until it begins anew; known after the first time."""
        self._rounds = 0
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._frames.close()
        self._reader.close()

    @property
    def aspect(self) -> Fraction:
        """Width of a pixel relative to its height."""
        return self._reader.aspect

    def at(self, seconds: float) -> np.ndarray:
        """The frame that is shown at a time, uint8 HxWx3.

        Args:
            seconds: from the beginning; never less than at the call before.
        """
        while self._length is None and self._next is not None and self._time(self._next) <= seconds:
            self._step()
        if self._length is None:
            return self._shown.image_HW3
        rounds, within = divmod(seconds, self._length)
        if rounds > self._rounds and self._is_moving:
            self.close()
            self._open()
            self._rounds = int(rounds)
        while self._next is not None and self._time(self._next) <= within:
            self._step()
        return self._shown.image_HW3

    def _open(self) -> None:
        self._reader = VideoReader(self._path, max_pixels=self._max_pixels, with_sound=False)
        self._frames: Generator[Frame, None, None] = ahead(self._reader, _AHEAD, self._reader.stop)
        try:
            self._shown, self._next = next(self._frames), next(self._frames, None)
        except BaseException:
            self.close()
            raise
        self._start = self._shown.time
        self._is_moving = self._next is not None
        if self._next is None:
            self._end()

    def _step(self) -> None:
        assert self._next is not None
        self._shown, self._next = self._next, next(self._frames, None)
        if self._next is None:
            self._end()

    def _end(self) -> None:
        self._length = self._time(self._shown) + float(1 / self._reader.rate)

    def _time(self, frame: Frame) -> float:
        return float((frame.time - self._start) * self._reader.time_base)
