"""Progress of long work: a bar with rate and ETA on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Advance = Callable[[int, str], None]
"""Takes how many more items are done, and a note."""
PLAIN_INTERVAL_S = 10.0


def track(items: Iterable[T], total: int, what: str, unit: str = "images") -> Iterator[T]:
    """Yield `items` while showing progress.

    Args:
        total: how many items are expected.
        what: the work's name, e.g. 'evaluating DUTS-TE'.
        unit: what one item is, for the rate.
    """
    with progress(total, what, unit) as advance:
        for item in items:
            yield item
            advance(1, "")


@contextmanager
def progress(
    total: int | None, what: str, unit: str = "images", done: int = 0, *, quiet: bool = False
) -> Iterator[Advance]:
    """Show progress; yield `advance(items, note)`, whose note (e.g. a loss) ends the line.

    Args:
        total: how many items are expected; None = nobody knows.
        done: items finished by an earlier, interrupted run; counted as done but not in the rate.
        quiet: show nothing.
    """
    if quiet:
        yield lambda items, note: None
        return
    show = _bar if sys.stderr.isatty() else _lines
    with show(total, what, unit, done) as advance:
        yield advance


@contextmanager
def _bar(total: int | None, what: str, unit: str, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    start, fresh = time.monotonic(), 0
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, completed=done, rate="", note="")

        def advance(items: int, note: str) -> None:
            nonlocal fresh
            fresh += items
            rate = fresh / max(time.monotonic() - start, 1e-9)
            bar.update(task, advance=items, rate=f"{rate:.1f} {unit}/s", note=note)

        yield advance


@contextmanager
def _lines(total: int | None, what: str, unit: str, done: int) -> Iterator[Advance]:
    start = last = time.monotonic()
    fresh = 0

    def advance(items: int, note: str) -> None:
        nonlocal fresh, last
        fresh += items
        now = time.monotonic()
        finished = total is not None and done + fresh >= total
        if now - last < PLAIN_INTERVAL_S and not finished:
            return
        last = now
        rate = fresh / max(now - start, 1e-9)
        count, left = str(done + fresh), ""
        if total is not None:
            count = f"{count}/{total}"
            left = f", {_clock((total - done - fresh) / rate if rate else 0.0)} left"
        print(f"{what}: {count} {unit}, {rate:.1f}/s{left} {note}".rstrip(), file=sys.stderr)

    yield advance


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
