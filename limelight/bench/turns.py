"""Rows that take turns: a slow phase of the machine then slows all of them alike."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from limelight.bench.rows import BenchRow, Left
from limelight.bench.subject import Timing
from limelight.bench.worker import Failure, Memory, Ready, Worker
from limelight.foundation.errors import UserError
from limelight.foundation.progress import progress

ROUNDS = 10
"""Turns that each row has, if it is called as often."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a row."""

    row: BenchRow
    ready: Ready
    timings: Sequence[Timing]
    memory: Memory


@dataclass(frozen=True)
class Calls:
    """How often a row is called."""

    pictures: int
    """Of rows that take pictures, or single frames."""
    windows: int
    """Of rows that take windows of frames."""
    discard_first: bool = False
    """Leave out the first tenth and one more, as SDNet's authors do."""

    def of(self, ready: Ready) -> int:
        return self.windows if ready.frames > 1 else self.pictures

    def counted(self, timings: Sequence[Timing]) -> Sequence[Timing]:
        return timings[len(timings) // 10 + 1 :] if self.discard_first else timings


def measure(rows: Sequence[BenchRow], calls: Calls) -> tuple[list[Measured], list[Left]]:
    """Load all rows, then time them in turns.

    Returns:
        What was measured, in the order of the rows; and the rows that could not be, with the reasons.

    Raises:
        UserError: there is no memory to load all rows at once.
    """
    left: list[Left] = []
    with ExitStack() as stack:
        loaded = list(_loaded(rows, stack, left))
        timings: dict[int, list[Timing]] = {index: [] for index, _, _ in loaded}
        failed: set[int] = set()

        def fail(index: int, failure: Failure) -> None:
            failed.add(index)
            left.append(_left(rows[index], failure))

        with progress(ROUNDS * len(loaded), "timing", "turns") as advance:
            for turn in range(ROUNDS):
                for index, worker, ready in loaded:
                    share = _share(calls.of(ready), turn)
                    if index not in failed and share:
                        answer = worker.turn(share)
                        if isinstance(answer, Failure):
                            fail(index, answer)
                        else:
                            timings[index] += answer
                    advance(1, rows[index].model.name)
        measured = []
        for index, worker, ready in loaded:
            memory = None if index in failed else worker.finish()
            if isinstance(memory, Failure):
                fail(index, memory)
            elif memory is not None:
                measured.append(Measured(rows[index], ready, calls.counted(timings[index]), memory))
    return measured, left


def _share(calls: int, turn: int) -> int:
    """Calls of a turn, so that all of them together are `calls`."""
    return calls * (turn + 1) // ROUNDS - calls * turn // ROUNDS


def _loaded(rows: Sequence[BenchRow], stack: ExitStack, left: list[Left]) -> Iterable[tuple[int, Worker, Ready]]:
    """Start a process for each row, one after another: (index of the row, its process, what it says)."""
    largest = 0
    with progress(len(rows), "loading", "rows") as advance:
        for index, row in enumerate(rows):
            before = _free_bytes()
            if before < largest:
                raise UserError(
                    f"{index} of {len(rows)} rows are loaded, and only {before / 1e9:.1f} GB of memory are left; name "
                    "fewer models or runtimes (--runtime)"
                )
            worker = stack.enter_context(Worker(row.job))
            answer = worker.ready()
            if isinstance(answer, Failure):
                left.append(_left(row, answer))
            else:
                largest = max(largest, before - _free_bytes())
                yield index, worker, answer
            advance(1, f"{row.model.name} {row.runtime}")


def _free_bytes() -> int:
    from limelight.inference.backends.memory import free_bytes

    return free_bytes("cpu")


def _left(row: BenchRow, failure: Failure) -> Left:
    print(f"{row.model.name}, {row.runtime}: {failure.reason}", file=sys.stderr)
    return Left(row.model.name, row.runtime, failure.reason)
