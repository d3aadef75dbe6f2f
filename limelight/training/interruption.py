"""SIGTERM and SIGINT as a wish that is granted at the next safe point."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """The signal that asked this process to end; 0 = none did."""

    signal: int = 0


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Note SIGTERM and SIGINT instead of dying of them; a second one acts at once, as it would have before.

    Python delivers signals to the main thread alone; in any other one this changes nothing.
    """
    asked = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        asked.signal = number
        restore()

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield asked
    finally:
        restore()
