"""A process that ends with the one that started it."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2); Python has no name for it."""


def end_with_parent() -> None:
    """Ask Linux for SIGTERM when the parent ends; other systems have no such request."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the request took effect
            os.kill(os.getpid(), signal.SIGTERM)
