"""A process for each row: its memory is its own, and the parent lets the rows take turns."""

import contextlib
import multiprocessing
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from limelight.bench.subject import Job, Subject, Timing, open_subject
from limelight.foundation.errors import UserError
from limelight.models.inputs import Size
from limelight.reporting.speed import WARM_UP, peak_memory_mb

_WARM_UP_S = 2.0
"""After this long one call is enough."""
_QUICK_MS = 200.0
"""A turn of quicker calls begins with one that does not count: other rows have used the caches since."""
_ENDS_S = 10.0


@dataclass(frozen=True)
class Ready:
    """A row that is loaded."""

    description: str
    frames: int
    is_video: bool
    size: Size


@dataclass(frozen=True)
class Memory:
    """Peaks of the process, 10^6 bytes."""

    resident_mb: float
    gpu_mb: float | None


@dataclass(frozen=True)
class Failure:
    """Why a row could not be measured."""

    reason: str


class Worker:
    """The process of one row, as its parent sees it. A context manager, at whose end the process is gone."""

    def __init__(self, job: Job) -> None:
        # Not forked: memory of this process would count as the row's.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(job, theirs), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(_ENDS_S if kind is None else 0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def ready(self) -> Ready | Failure:
        """Wait until it is loaded and warm."""
        return self._receive()

    def turn(self, calls: int) -> list[Timing] | Failure:
        """Let it run so many timed calls."""
        return self._ask(calls)

    def finish(self) -> Memory | Failure:
        """Ask for its memory, and end it."""
        return self._ask(None)

    def _ask(self, what: int | None) -> Any:
        with contextlib.suppress(BrokenPipeError):
            self._pipe.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            return Failure(_ending(self._process.exitcode or 0))


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed, as systems do where memory runs out; measure fewer models or runtimes at once"
    return f"its process ended with status {code}"


def _serve(job: Job, pipe: Connection) -> None:
    """Run in the child process: load, then answer the parent until it wants no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent is gone, or has no use for this row
        try:
            subject = _opened(job)
            quick = _warm_up(subject) < _QUICK_MS
            pipe.send(Ready(subject.description, subject.frames, subject.is_video, subject.size))
            while (calls := pipe.recv()) is not None:
                if quick:
                    subject.call()
                pipe.send([subject.timed() for _ in range(calls)])
            pipe.send(Memory(peak_memory_mb(), _gpu_mb(job)))
        except UserError as error:
            pipe.send(Failure(str(error)))


def _opened(job: Job) -> Subject:
    import cv2

    cv2.setNumThreads(job.threads)
    return open_subject(job)


def _warm_up(subject: Subject) -> float:
    """Milliseconds of the last call of a few."""
    started, last = time.perf_counter(), 0.0
    for _ in range(WARM_UP):
        last = subject.timed().total_ms
        if time.perf_counter() - started > _WARM_UP_S:
            break
    return last


def _gpu_mb(job: Job) -> float | None:
    torch = sys.modules.get("torch")
    return None if torch is None or job.device != "cuda" else round(torch.cuda.max_memory_allocated() / 1e6, 1)
