"""Memory that runs out, told in a line."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from limelight.foundation.errors import Shortage

ADVICE = "take fewer pictures at once (--batch-size 0), a smaller --size or --processing-res, or --half-precision"


@contextmanager
def told_in_a_line(advice: str = ADVICE) -> Iterator[None]:
    """Raises a Shortage, with advice on what would take less, where PyTorch, NumPy or OpenCV finds no memory."""
    try:
        yield
    except (MemoryError, RuntimeError, cv2.error) as error:
        if not _of_memory(error):
            raise
        raise Shortage(f"memory ran out; {advice}") from error


def _of_memory(error: Exception) -> bool:
    if isinstance(error, cv2.error):
        return error.code == cv2.Error.StsNoMem
    # PyTorch's own is known by its name: an exported network runs without PyTorch.
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in str(error)
