"""Work on many files in several threads, with progress where there are enough of them to wait for."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from limelight.foundation.progress import track
from limelight.foundation.this_process import cores

T = TypeVar("T")
R = TypeVar("R")
_SLOW = 2000


def in_threads(
    function: Callable[[T], R], items: Sequence[T], what: str, unit: str = "images", slow: int = _SLOW
) -> list[R]:
    """Return `function` of each item, in order; one thread per core, at most 8. An exception is raised again.

    Args:
        what, unit: see `limelight.foundation.progress.track`.
        slow: number of items above which progress is shown.
    """
    with ThreadPoolExecutor(max_workers=min(8, cores())) as pool:
        results = pool.map(function, items)
        return list(track(results, len(items), what, unit) if len(items) > slow else results)
