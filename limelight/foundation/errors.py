"""Exceptions for problems that the reader can mend, and memory that runs out as one of them."""

from collections.abc import Iterator
from contextlib import contextmanager

ADVICE = "take fewer pictures at once (--batch-size 0), a smaller --size or --processing-res, or --half-precision"
_CV2_NO_MEMORY = -4
"""cv2.Error.StsNoMem."""


class UserError(Exception):
    """Something outside the program is wrong: a file, a setting, a request.

    The text is one line that says what was wrong, the value received and what to do. Command lines print it without a
    traceback and exit with 2; services answer 4xx with it. Anything else that is raised is a bug of ours.
    """


class Shortage(UserError):
    """There is too little memory for an item of work; others, or a smaller one, may still fit."""


class TooLarge(UserError):
    """A picture has more pixels than are let in."""


def shortage(error: Exception, advice: str = ADVICE) -> Shortage | None:
    """A Shortage with advice, where PyTorch, NumPy or OpenCV found no memory; None of any other error.

    Kinds of errors are known by their names: neither PyTorch nor OpenCV need be installed.
    """
    kind = type(error)
    if kind.__module__ == "cv2" and kind.__name__ == "error":
        short = getattr(error, "code", None) == _CV2_NO_MEMORY
    else:
        short = isinstance(error, MemoryError) or kind.__name__ == "OutOfMemoryError"
        short = short or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    return Shortage(f"memory ran out; {advice}") if short else None


@contextmanager
def raising_shortage(advice: str = ADVICE) -> Iterator[None]:
    """Raise a Shortage in place of an error that means that memory ran out."""
    try:
        yield
    except Exception as error:
        if (short := shortage(error, advice)) is not None:
            raise short from error
        raise
