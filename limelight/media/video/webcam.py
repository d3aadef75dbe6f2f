"""Frames of a webcam, as they come."""

import stat
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from limelight.foundation.errors import TooLarge, UserError
from limelight.imaging.header import MAX_PIXELS
from limelight.media.video.clip import MAX_RATE, USUAL_RATE, Clip, Frame
from limelight.models.inputs import Size


class Webcam(Clip):
    """A webcam, whose frames have the times at which they came.

    Args:
        device: its index, such as '0', or its path. A video file in its place is read at its own rate.
        seconds: when to end; None = never.
        max_pixels: limit for a frame.

    Raises:
        UserError: it is absent, in use or not permitted, or its frames are too large.
    """

    live = True

    def __init__(self, device: str, *, seconds: float | None = None, max_pixels: int = MAX_PIXELS) -> None:
        super().__init__()
        self.name, self._seconds = f"webcam {device}", seconds
        self.time_base = Fraction(1, 1000)
        self._stopped = threading.Event()
        check_is_there(device)
        path = _path(device)
        cv2.utils.logging.setLogLevel(0)  # of its back ends' notes; ours follows
        self._capture: Any = cv2.VideoCapture(int(device) if device.isdigit() else device)
        read, image_HW3 = self._capture.read()
        if not read:
            self._capture.release()
            raise UserError(f"{self.name} gives no frames; it may be in use by another program, or no webcam")
        self._first = image_HW3
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate = Fraction(rate).limit_denominator(1001) if 1 <= rate <= MAX_RATE else USUAL_RATE
        self._paced = path.is_file() and stat.S_ISREG(path.stat().st_mode)
        height, width = self.size
        if height * width > max_pixels:
            self._capture.release()
            raise TooLarge(
                f"{self.name} has frames of {width} x {height} pixels, more than {max_pixels}",
                "choose another webcam",
                "--max-pixels",
            )

    @property
    def size(self) -> Size:
        height, width = self._first.shape[:2]
        return height, width

    def __iter__(self) -> Iterator[Frame]:
        image_HW3, last, started = self._first, -1, time.monotonic()
        while True:
            last = max(last + 1, round(1000 * (time.monotonic() - started)))
            if self._seconds is not None and last >= 1000 * self._seconds:
                return
            if image_HW3.shape != self._first.shape:
                image_HW3 = cv2.resize(image_HW3, self._first.shape[1::-1], interpolation=cv2.INTER_AREA)
            self.taken += 1
            yield Frame(np.ascontiguousarray(image_HW3[..., ::-1]), last)
            if self._paced:
                self._stopped.wait(max(0.0, started + self.taken / float(self.rate) - time.monotonic()))
            if self._stopped.is_set():
                return
            read, image_HW3 = self._capture.read()
            if not read:
                if not self._paced:
                    self.notes.append("it gave no more frames")
                return

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._capture.release()


def check_is_there(device: str) -> None:
    """Refuse an absent webcam, without opening it.

    Raises:
        UserError: there is none of this index or path, or neither is given.
    """
    if not device:
        raise UserError("--webcam needs the index of a webcam, such as 0, or its path")
    path = _path(device)
    if not sys.platform.startswith("linux") or path.exists():
        return
    there = sorted(str(each) for each in Path("/dev").glob("video*"))
    known = f"this machine has {', '.join(there)}" if there else "this machine has none"
    raise UserError(f"there is no webcam {device} ({path} does not exist); {known}")


def _path(device: str) -> Path:
    return Path(f"/dev/video{device}") if device.isdigit() else Path(device)
