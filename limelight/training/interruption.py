"""Defer SIGTERM and SIGINT until the next safe point."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """The signal received so far: its number, 0 = none."""

    signal: int = 0


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Record SIGTERM and SIGINT instead of terminating; a second Ctrl-C goes to the previous handler at once.

    A cancelled flow sends SIGTERM twice: to the whole group, and from the kernel when dvc, the parent, has ended. Who
    wants to end a training without its state being saved sends SIGKILL.

    Python delivers signals to the main thread only; in any other thread this has no effect.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def note(number: int, frame: FrameType | None) -> None:
        interruption.signal = number
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
