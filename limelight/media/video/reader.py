"""Frames of a video file, upright, with their times."""

import errno
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Self

import cv2
import numpy as np

from limelight.foundation.errors import TooLarge, UserError
from limelight.imaging.header import MAX_PIXELS
from limelight.media.video.formats import av, open_video
from limelight.models.inputs import Size

USUAL_RATE = Fraction(25)
"""Frames per second of a file that does not say."""


class Frame(NamedTuple):
    """One frame."""

    image_HW3: np.ndarray
    """uint8 RGB, turned as players show it."""
    time: int
    """In units of the reader's `time_base`."""


class Limits(NamedTuple):
    """How long a video may be; None = any length."""

    frames: int | None = None
    seconds: float | None = None

    def check(self, frames: int, seconds: float) -> None:
        """Check a video, or as much of one as has been read.

        Raises:
            TooLarge: it is longer.
        """
        if self.frames is not None and frames > self.frames:
            raise TooLarge(f"the video has more than {self.frames} frames; make it shorter")
        if self.seconds is not None and seconds > self.seconds:
            raise TooLarge(f"the video lasts more than {self.seconds:g} seconds; make it shorter")


UNLIMITED = Limits()


class VideoReader:
    """An open video: iterate once for its frames, in the order in which they are shown. A context manager.

    Damaged parts are skipped, and counted in `notes`.

    Args:
        max_pixels: limit for a frame.
        limits: for all of it; by what the file says at once, and by what is read, while it is iterated.

    Raises:
        UserError: the file cannot be read, has no video stream or no frame.
        TooLarge: its frames are too large, or it is too long.
    """

    def __init__(self, path: Path, *, max_pixels: int = MAX_PIXELS, limits: Limits = UNLIMITED) -> None:
        self.path, self.notes, self._max_pixels, self._limits = path, list[str](), max_pixels, limits
        self._damage = av().error.FFmpegError
        try:
            self.container: Any = open_video(path)
        except (self._damage, OSError) as error:
            reason = getattr(error, "strerror", None) or "unknown format"
            if getattr(error, "errno", None) == errno.EINVAL:  # what FFmpeg says of formats that are not read
                reason = "it is in none of the formats that are read"
            raise UserError(f"cannot read {path}: {reason[0].lower()}{reason[1:]}; convert or replace it") from error
        try:
            self._begin()
        except BaseException:
            self.container.close()
            raise

    def _begin(self) -> None:
        streams = self.container.streams.video
        if not streams:
            raise UserError(f"{self.path} has no video stream; give a video")
        self._stream = streams[0]
        self._stream.thread_type = "AUTO"
        self._check_pixels(self._stream)
        self.rate = Fraction(self._stream.average_rate or self._stream.base_rate or USUAL_RATE)
        """Frames per second, on average."""
        self.time_base = Fraction(self._stream.time_base or 1 / self.rate)
        """Seconds that one unit of a frame's time lasts."""
        self.sound = next(iter(self.container.streams.audio), None)
        """The first stream of sound; None without one."""
        self._limits.check(self._stream.frames, self._seconds)
        self._frames = self._decoded()
        self._first = next(self._frames, None)
        if self._first is None:
            raise UserError(f"no frame of {self.path} can be read; convert or replace it")

    @property
    def size(self) -> Size:
        """Height and width of a frame, turned as players show it."""
        assert self._first is not None
        height, width = self._first.image_HW3.shape[:2]
        return height, width

    @property
    def aspect(self) -> Fraction:
        """Width of a pixel relative to its height, of a frame as it is turned."""
        aspect = Fraction(self._stream.sample_aspect_ratio or 1)
        return 1 / aspect if self._turned else aspect

    @property
    def count(self) -> int:
        """How many frames there are, as far as the file says; at least 1."""
        return max(1, self._stream.frames or round(self._seconds * self.rate))

    @property
    def _seconds(self) -> float:
        """How long it lasts, as far as the file says; 0 where it does not."""
        if self._stream.duration:
            return float(self._stream.duration * self.time_base)
        return self.container.duration / 1e6 if self.container.duration else 0.0

    def _check_pixels(self, frame: Any) -> None:
        if frame.width * frame.height > self._max_pixels:
            raise TooLarge(
                f"{self.path} has frames of {frame.width} x {frame.height} pixels, more than {self._max_pixels}; raise "
                "the limit (--max-pixels), or make it smaller"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._frames.close()
        self.container.close()

    def __iter__(self) -> Iterator[Frame]:
        assert self._first is not None
        yield self._first
        count = 1
        for frame in self._frames:
            count += 1
            self._limits.check(count, float((frame.time - self._first.time) * self.time_base))
            yield frame
        if count < self._stream.frames:
            self.notes.append(f"it ends early: {count} of {self._stream.frames} frames could be read")

    def _decoded(self) -> Any:
        damaged, last, size = 0, -1, None
        self._turned = False
        step = max(1, round(1 / (self.rate * self.time_base)))
        for packet in self._packets():
            try:
                frames = packet.decode()
            except self._damage:
                damaged += 1
                continue
            for frame in frames:
                self._check_pixels(frame)  # a stream may change to a larger size
                image_HW3, quarter_turns = frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4
                self._turned = quarter_turns % 2 == 1
                image_HW3 = np.ascontiguousarray(np.rot90(image_HW3, quarter_turns))
                size = size or image_HW3.shape[:2]
                if image_HW3.shape[:2] != size:  # the stream has changed to another size
                    image_HW3 = cv2.resize(image_HW3, size[::-1], interpolation=cv2.INTER_AREA)
                last = max(last + 1, frame.pts if frame.pts is not None else last + step)
                yield Frame(image_HW3, last)
        if damaged:
            self.notes.append(f"{damaged} damaged parts were skipped")

    def _packets(self) -> Iterator[Any]:
        with suppress(self._damage):  # a file that is cut off
            yield from self.container.demux(self._stream)
