"""Work that goes on beside the network: a bounded number of items ahead of it and behind it, or the newest alone."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self, TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T], most: int, stop: Callable[[], None] | None = None) -> Generator[T, None, None]:
    """Yield `items`, which a thread makes up to `most` before they are asked for. Its error is raised here.

    Args:
        stop: called where no more items are wanted, so that the thread does not wait for one.
    """
    made: queue.Queue[Any] = queue.Queue(most)
    stopped = threading.Event()

    def put(item: Any) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                made.put(item, timeout=0.1)
                return

    return _from_thread(items, made, put, stopped, stop)


def latest(items: Iterable[T], stop: Callable[[], None] | None = None) -> Generator[T, None, None]:
    """Yield the newest of `items`, which a thread makes in their own time; those that nobody took are dropped.

    Args:
        stop: as of `ahead`.
    """
    made: queue.Queue[Any] = queue.Queue(1)

    def put(item: Any) -> None:
        with suppress(queue.Empty):
            made.get_nowait()
        made.put(item)

    return _from_thread(items, made, put, threading.Event(), stop)


def _from_thread(
    items: Iterable[T],
    made: queue.Queue[Any],
    put: Callable[[Any], None],
    stopped: threading.Event,
    stop: Callable[[], None] | None,
) -> Generator[T, None, None]:
    ended = threading.Event()  # a join that Ctrl-C interrupts takes the thread for ended (CPython before 3.13)

    def make() -> None:
        try:
            for item in () if stopped.is_set() else items:
                put((item, None))
                if stopped.is_set():
                    return
            put((_END, None))
        except BaseException as error:  # raised where the items are used
            put((_END, error))
        finally:
            ended.set()

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    try:
        thread.start()
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        if stop is not None:
            stop()
        if thread.ident is not None:
            _through_interrupts(ended.wait)


def _through_interrupts(wait: Callable[[], object]) -> None:
    """Wait to the end, and raise Ctrl-C only then: what the thread uses is closed next, which would crash FFmpeg."""
    try:
        wait()
    except KeyboardInterrupt:
        _through_interrupts(wait)
        raise


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
            for waiting in self._waiting:
                waiting.cancel()
            _through_interrupts(self._pool.submit(lambda: None).result)  # after the call that runs
            self._pool.shutdown()

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._waiting.append(self._pool.submit(function, *arguments))
        while len(self._waiting) > self._most:
            self._waiting.popleft().result()

    def wait(self) -> None:
        """Wait for all calls."""
        while self._waiting:
            self._waiting.popleft().result()
