"""One transfer over HTTP, which continues what an earlier one left."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from limelight.download.order import Order, check_is_no_page
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_json
from limelight.foundation.progress import progress

RESERVE = 1 << 30
"""Bytes left free on the disk."""


class Interrupted(Exception):
    """The transfer was interrupted; what was received is kept, and another attempt may finish it."""


def receive(order: Order, part: Path) -> bool:
    """Complete `part`, and return whether it was put together from several transfers.

    Raises:
        Interrupted: another attempt may succeed.
        UserError: none would: the server refuses, sends a web page or too many bytes, or `part` cannot be written.
    """
    start = part.stat().st_size if part.is_file() else 0
    condition = _condition(part) if start else {}
    if start and order.expected is None and not condition:  # nothing would tell a splice of two files
        forget(part)
        return receive(order, part)
    headers = {"Accept-Encoding": "identity", **condition}
    if start:
        headers["Range"] = f"bytes={start}-"
    with _response(order, headers) as answer:
        if start and answer.status_code == 416:  # complete already, or of another file
            if order.expected is not None:
                return True
            forget(part)
            raise Interrupted("its earlier part is of another file")
        _check_status(answer, order.shown)
        continued = answer.status_code == 206
        if continued and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            forget(part)
            raise Interrupted("it sent another part of the file than was asked for")
        chunks = answer.iter_raw()  # as received: a larger chunk would be lost on an interruption
        first = next(chunks, b"")
        check_is_no_page(order.shown, b"" if continued else first, answer.headers.get("Content-Type", ""))
        with _writing(part):
            if start and not continued:  # the validator of this answer would vouch for what is here of another file
                forget(part)
                start = 0
            _remember_validator(part, answer.headers)
            _append(order, chain([first], chunks), int(answer.headers.get("Content-Length", 0)), part, start)
    return start > 0


def forget(part: Path) -> None:
    """Remove what was received."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


@contextmanager
def _response(order: Order, headers: dict[str, str]) -> Iterator[Any]:
    """Yield the response to a GET request, redirects followed."""
    import httpx

    url = order.shown
    try:
        with _client() as client, client.stream("GET", order.url, headers=headers) as answer:
            way = [each.url for each in (*answer.history, answer)]
            plain = [each.host for each in way if each.scheme != "https"]
            if way[0].scheme == "https" and plain:
                raise UserError(f"{url} leads to {plain[0]} without encryption; nothing was fetched")
            yield answer
    except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise UserError(f"{url} leads nowhere ({error}); check the address and the proxy of the environment") from error
    except (httpx.TransportError, httpx.StreamError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise UserError(
                f"{url}: the host's certificate is not trusted ({error}); where a proxy has one of its own, name its "
                "file in SSL_CERT_FILE"
            ) from error
        raise Interrupted(str(error) or type(error).__name__) from error


def _client() -> Any:
    import httpx

    try:
        return httpx.Client(follow_redirects=True, timeout=30.0)
    except OSError as error:
        if not (file := os.environ.get("SSL_CERT_FILE")):
            raise
        raise UserError(
            f"the certificates of SSL_CERT_FILE={file} cannot be read ({error.strerror}); correct it, or unset it"
        ) from error
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"the proxy of the environment cannot be used ({reason}); correct HTTPS_PROXY") from error


def _check_status(answer: Any, url: str) -> None:
    if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
        raise Interrupted(f"HTTP {answer.status_code}")
    if answer.status_code not in (200, 206):
        raise UserError(f"{url} answers HTTP {answer.status_code} {answer.reason_phrase}; check the address")


@contextmanager
def _writing(part: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {part}: {error.strerror}; free some space or choose another place: the download continues "
            "where it ended"
        ) from error


def _append(order: Order, chunks: Iterator[bytes], length: int, part: Path, start: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if length and length + RESERVE > free:
        raise UserError(
            f"{order.shown} needs {length >> 20:,} MiB, but {part.parent} has {free >> 20:,} MiB free; free some space"
        )
    _check_size(order, start + length, part)
    order.announce(start + length if length else None)
    with part.open("ab" if start else "wb") as sink, _shown(order, start, length) as advance:
        for chunk in chunks:
            sink.write(chunk)
            _check_size(order, sink.tell(), part)
            advance(sink.tell())


def _check_size(order: Order, size: int, part: Path) -> None:
    try:
        order.check_size(size)
    except UserError:
        forget(part)
        raise


@contextmanager
def _shown(order: Order, start: int, length: int) -> Iterator[Callable[[int], None]]:
    """Show progress in MiB; yield what takes the number of bytes that are there."""
    done = start >> 20
    with progress((start + length) >> 20, f"fetching {order.name}", "MiB", done, quiet=not length) as advance:

        def show(received: int) -> None:
            nonlocal done
            if (mebibytes := received >> 20) > done:
                advance(mebibytes - done, "")
                done = mebibytes

        yield show


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remember_validator(part: Path, headers: Any) -> None:
    strong = headers.get("ETag", "")
    validator = strong if strong and not strong.startswith("W/") else headers.get("Last-Modified", "")
    write_json(_validator_file(part), {"validator": validator})


def _condition(part: Path) -> dict[str, str]:
    """Return If-Range with the first response's validator; empty without one: then the hash decides."""
    record = _validator_file(part)
    validator = read_json(record)["validator"] if record.is_file() else ""
    return {"If-Range": validator} if validator else {}
