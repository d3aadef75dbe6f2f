"""Exceptions for problems that the user can fix, out of memory included."""

from collections.abc import Iterator
from contextlib import contextmanager

ADVICE = "take fewer pictures at once (--batch-size 0), a smaller --size or --processing-res, or --half-precision"
_CV2_NO_MEMORY = -4
"""cv2.Error.StsNoMem."""


class UserError(Exception):
    """Something outside the program is wrong: a file, a setting, a request.

    The text is one line that says what was wrong, the value received and what to do. Command lines print it without a
    traceback and exit with 2; services answer 4xx with it. Any other exception is a bug.
    """


class Shortage(UserError):
    """Out of memory for one item of work; others, or a smaller one, may still fit."""


class TooLarge(UserError):
    """A picture has more pixels than allowed, or a video more frames.

    Args:
        problem: what is too large, and the limit.
        remedy: what to do, wherever the program runs.
        option: of the command line, which raises the limit.
    """

    def __init__(self, problem: str, remedy: str, option: str | None = None) -> None:
        super().__init__(problem, remedy, option)  # what other processes make it anew from
        self.without_option = f"{problem}; {remedy}"
        """The text for those who cannot raise the limit, such as clients of a service."""
        self._option = option

    def __str__(self) -> str:
        return self.without_option + (f", or raise the limit ({self._option})" if self._option else "")


def reason_of(error: BaseException, most: int = 200) -> str:
    """What another library's error says, on one line of at most so many characters; its type where it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def shortage(error: Exception, advice: str = ADVICE) -> Shortage | None:
    """Convert an out-of-memory error of PyTorch, NumPy or OpenCV to a Shortage with advice; None for any other error.

    Error types are recognised by name: neither PyTorch nor OpenCV need be installed.
    """
    kind = type(error)
    if kind.__module__ == "cv2" and kind.__name__ == "error":
        short = getattr(error, "code", None) == _CV2_NO_MEMORY
    else:
        short = isinstance(error, MemoryError) or kind.__name__ == "OutOfMemoryError"
        short = short or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    return Shortage(f"out of memory; {advice}") if short else None


@contextmanager
def raising_shortage(advice: str = ADVICE) -> Iterator[None]:
    """Raise a Shortage in place of an out-of-memory error within the block."""
    try:
        yield
    except Exception as error:
        if (short := shortage(error, advice)) is not None:
            raise short from error
        raise
