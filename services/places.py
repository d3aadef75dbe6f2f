"""How many pictures are in work at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from limelight.services.forms import Refusal


class Places:
    """Places for pictures in work.

    BentoML has threads for as many, but gives the thread of a request that took too long to the next, while it goes on:
    pictures would pile up, each slower than the one before.

    Args:
        count: of places.
        patience: seconds that a picture waits for one.
    """

    def __init__(self, count: int, patience: float) -> None:
        self._free, self._patience = threading.Semaphore(count), patience

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            Refusal: 503, none became free.
        """
        if not self._free.acquire(timeout=self._patience):
            raise Refusal(503, "earlier pictures are still being worked on; send it again later")
        try:
            yield
        finally:
            self._free.release()
