"""Work that goes on beside the network: a bounded number of items ahead of it, and behind it."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self, TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T], most: int) -> Iterator[T]:
    """Yield `items`, which a thread makes up to `most` before they are asked for. Its error is raised here."""
    made: queue.Queue[Any] = queue.Queue(most)
    stopped = threading.Event()

    def put(item: Any) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                made.put(item, timeout=0.1)
                return

    def make() -> None:
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
            put((_END, None))
        except BaseException as error:  # raised where the items are used
            put((_END, error))

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


class Behind:
    """One thread that runs calls in their order, at most `most` of them waiting. Their first error is raised here."""

    def __init__(self, most: int) -> None:
        self._pool, self._most = ThreadPoolExecutor(1, "behind"), most
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._waiting.append(self._pool.submit(function, *arguments))
        while len(self._waiting) > self._most:
            self._waiting.popleft().result()

    def wait(self) -> None:
        """Wait for all calls."""
        while self._waiting:
            self._waiting.popleft().result()
