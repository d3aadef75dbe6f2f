"""Sound of streams that were joined, such as transport streams one after another in a file."""

from collections import deque
from fractions import Fraction
from typing import Any

_STEP_BACK_S = 0.1
"""Seconds that times of sound go back where another stream begins, at least; less is the rounding of a format."""


class JoinedSound:
    """Packets of sound that wait for their frame. Those of each stream are shifted as its picture is."""

    def __init__(self) -> None:
        self.shifts = [Fraction(0)]
        """Seconds to add to the times of each stream; the reader of the picture appends."""
        self._stream = 0
        self._last: int | None = None
        self._taken, self._end = 0, 0
        """Stream and time of the packet that was taken last."""
        self._waiting = deque[tuple[int, Any]]()

    def add(self, packet: Any) -> None:
        """Add a packet, in the order of the file."""
        if packet.dts is not None:
            if self._last is not None and (self._last - packet.dts) * packet.time_base >= _STEP_BACK_S:
                self._stream += 1
            self._last = packet.dts
        self._waiting.append((self._stream, packet))

    def take(self, *, at_end: bool = False) -> list[Any]:
        """Take the packets of the streams whose picture has begun; at the end, all."""
        taken = []
        while self._waiting and (at_end or self._waiting[0][0] < len(self.shifts)):
            stream, packet = self._waiting.popleft()
            shift = round(self.shifts[min(stream, len(self.shifts) - 1)] / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + shift
            if packet.dts is not None:
                packet.dts += shift
                if stream != self._taken and packet.dts <= self._end:  # the stream before has more sound than picture
                    continue
                self._taken, self._end = stream, packet.dts
            taken.append(packet)
        return taken
