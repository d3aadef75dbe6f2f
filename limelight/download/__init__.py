"""Files by URL: downloaded once, resumed after an interruption, held to a hash before they get their name.

What is left beside a file that is not there yet: '<file>.part', what was received; '<file>.part.json', how to know the
server's file again; '<file>.lock', by which processes wait for each other.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from limelight.download.drive import is_drive, receive_drive
from limelight.download.order import Announce, Order
from limelight.download.transfer import Interrupted, forget, receive
from limelight.download.turns import alone
from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path

ATTEMPTS = 6
OFFLINE = "LIMELIGHT_OFFLINE"
"""Environment variable: nothing is downloaded while it is set, unless to 0."""


def download(
    order: Order, file: Path, *, attempts: int = ATTEMPTS, pause: Callable[[float], None] = time.sleep
) -> Path:
    """Fetch a file by HTTP or from Google Drive, unless one of the expected hash is there; one process at a time.

    The transfer goes to '<file>.part' and is continued there (HTTP Range, with If-Range so that a changed file is not
    spliced), after 1, 2, 4, ... seconds, and anew from 1 once more of it is there than ever before. The file gets its
    name once its hash is right. Proxies are those of the environment (HTTPS_PROXY and so on).

    Args:
        attempts: that may fail one after another without progress.
        file: where it goes. Without an expected hash, a file that is there is taken as it is.
        pause: waits for so many seconds between attempts.

    Raises:
        UserError: the server refuses or sends a web page instead, the disk is full, every attempt was interrupted, the
            file is too large or has another hash, or `LIMELIGHT_OFFLINE` is set. Nothing has its name then.
    """
    if urlsplit(order.url).scheme not in ("http", "https"):
        raise UserError(f"url {order.shown!r} is not an http(s) address; a file on this machine needs no download")
    with alone(file):
        if file.is_file() and (order.expected is None or order.expected.fits(file)):
            return file
        if os.environ.get(OFFLINE, "0").lower() not in ("", "0", "false", "no"):
            raise UserError(
                f"{file.name} is not here and {OFFLINE} is set; get it from {order.shown} on another machine and put "
                f"it at {file}"
            )
        if is_drive(order.url):
            _from_drive(order, file, attempts)
        else:
            _transfer(order, file, attempts, pause)
    return file


def _from_drive(order: Order, file: Path, attempts: int) -> None:
    with atomic_path(file) as temporary:
        receive_drive(order, temporary, file, attempts)
        _check(order, temporary)


def _transfer(order: Order, file: Path, attempts: int, pause: Callable[[float], None]) -> None:
    part = file.with_name(file.name + ".part")
    order = replace(order, announce=_once(order.announce))
    most, failed = _received(part), 0
    while True:
        try:
            spliced = receive(order, part)
        except Interrupted as error:
            received = _received(part)
            failed = 1 if received > most else failed + 1
            most = max(most, received)
            if failed == attempts:
                raise UserError(
                    f"{order.shown} broke off {attempts} times ({error}); run it again later: it resumes from what was "
                    "received"
                ) from None
            seconds = 2 ** (failed - 1)
            print(f"{order.shown}: {error}; trying again in {seconds} s", file=sys.stderr)
            pause(float(seconds))
            continue
        try:
            _check(order, part)
        except UserError:
            most, failed = max(most, _received(part)), failed + 1
            forget(part)
            if not spliced or failed == attempts:
                raise
            continue
        part.replace(file)
        forget(part)
        return


def _received(part: Path) -> int:
    """Bytes that are there."""
    return part.stat().st_size if part.is_file() else 0


def _once(announce: Announce) -> Announce:
    done = False

    def wrapped(size: int | None) -> None:
        nonlocal done
        if not done:
            announce(size)
        done = True

    return wrapped


def _check(order: Order, path: Path) -> None:
    """Compare a received file with the expected hash."""
    expected = order.expected
    if expected is None:
        return
    if (digest := expected.of(path)) != expected.digest:
        raise UserError(
            f"{order.shown} has {expected.algorithm} {digest}, not {expected.digest}; nothing was kept: {order.advice}"
        )
