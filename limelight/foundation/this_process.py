"""What concerns this process as a whole: its cores, its end with its parent, and another program in its place."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2); Python has no name for it."""


def cores() -> int:
    """Return how many cores this process may use; the machine's where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """Ask Linux for SIGTERM when the parent ends; other systems have no such request."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the request took effect
            os.kill(os.getpid(), signal.SIGTERM)


def replace_process(*arguments: str) -> None:
    """Replace this process by Python with these arguments, which then receives its signals."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *arguments])
