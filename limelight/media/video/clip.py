"""What videos are made from: frames one after another, whatever they come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Self

import numpy as np

from limelight.foundation.errors import TooLarge
from limelight.models.inputs import Size

USUAL_RATE = Fraction(25)
"""Frames per second where nothing says another."""
MAX_RATE = 1000
"""Frames per second above which neither a user nor a driver is believed."""


class Frame(NamedTuple):
    """One frame."""

    image_HW3: np.ndarray
    """uint8 RGB, turned as players show it."""
    time: int
    """In units of the clip's `time_base`; 0 is the beginning of picture and sound."""
    sound: Sequence[Any] = ()
    """Packets of sound that were read since the frame before."""


class Limits(NamedTuple):
    """How long a clip may be; None = any length."""

    frames: int | None = None
    seconds: float | None = None

    def check(self, frames: int, seconds: float) -> None:
        """Check a video, or as much of one as has been read.

        Raises:
            TooLarge: it is longer.
        """
        if self.frames is not None and frames > self.frames:
            raise TooLarge(f"the video has more than {self.frames} frames", "make it shorter")
        if self.seconds is not None and seconds > self.seconds:
            raise TooLarge(f"the video lasts more than {self.seconds:g} seconds", "make it shorter")


UNLIMITED = Limits()


class Clip(ABC):
    """An open clip: iterate once for its frames, in the order in which they are shown. A context manager."""

    name: str
    """Of messages."""
    rate: Fraction
    """Frames per second, on average."""
    time_base: Fraction
    """Seconds that one unit of a frame's time lasts."""
    aspect = Fraction(1)
    """Width of a pixel relative to its height."""
    sound: Any = None
    """PyAV's stream of sound; None without one."""
    sound_origin = Fraction(0)
    """Seconds to subtract from the times of sound, so that 0 is the beginning."""
    live = False
    """Whether frames come in real time: those that nobody takes are dropped."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        """What was not as it should be; complete after the last frame."""
        self.rest: list[Any] = []
        """Packets of sound after the last frame."""
        self.taken = 0
        """Of a live clip: frames that came so far."""

    @property
    @abstractmethod
    def size(self) -> Size:
        """Height and width of a frame, turned as players show it."""

    @property
    def count(self) -> int | None:
        """How many frames there are, as far as is known."""
        return None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def stop(self) -> None:  # noqa: B027 - most need not
        """Let an iteration in another thread end soon, even where it waits for input."""

    def close(self) -> None:  # noqa: B027 - as above
        """Release what is open. No iteration may be going on."""
