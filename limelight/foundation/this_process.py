"""What concerns this process as a whole: its cores, and another program in its place."""

import os
import sys


def cores() -> int:
    """Return how many cores this process may use; the machine's where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def replace_process(*arguments: str) -> None:
    """Replace this process by Python with these arguments, which then receives its signals."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *arguments])
