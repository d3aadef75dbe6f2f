"""How many pictures are in work at a time, and for whom."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

from starlette.types import Message, Receive

from limelight.services.forms import Refusal

_ENDED: ContextVar[threading.Event | None] = ContextVar("ended", default=None)
"""Set once nobody waits for this context's request any more. The threads that BentoML works in have its context."""


@asynccontextmanager
async def awaited(receive: Receive) -> AsyncIterator[Receive]:
    """Watch over a request whose body has been received: `Slots` gives none to it after its client has gone, or after
    the block has been left.

    Yields:
        What receives its further messages within the block.
    """
    ended = threading.Event()

    async def watch() -> Message:
        while (message := await receive())["type"] != "http.disconnect":
            pass
        ended.set()
        return message

    watching = asyncio.ensure_future(watch())
    token = _ENDED.set(ended)
    try:
        yield lambda: asyncio.shield(watching)
    finally:
        _ENDED.reset(token)
        ended.set()
        watching.cancel()


class Slots:
    """Slots for pictures in work.

    BentoML has threads for as many, but gives the thread of a request that took too long to the next, while it goes on:
    pictures would pile up, each slower than the one before.

    Args:
        count: how many there are.
        patience: seconds that a picture waits for one.
    """

    def __init__(self, count: int, patience: float) -> None:
        self._free, self._patience = threading.Semaphore(count), patience

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold one of them.

        Raises:
            Refusal: 503, none became free. 400, nobody waits for this picture any more: to compute it nevertheless
                would make those wait too long whose clients are still there.
        """
        if not self._free.acquire(timeout=self._patience):
            raise Refusal(503, "earlier pictures are still being worked on; send it again later")
        try:
            if (ended := _ENDED.get()) is not None and ended.is_set():
                raise Refusal(400, "the request ended early; send it again")
            yield
        finally:
            self._free.release()
