"""Archives by URL: downloaded once, resumed after an interruption, verified by SHA-256 before they are unpacked."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from limelight.config import DatasetRequest
from limelight.data.hashes import HashCache
from limelight.data.index import DATASETS
from limelight.data.sources.unpacked import ensure_unpacked, is_unpacked
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, sha256_file, write_json
from limelight.progress import progress

DOWNLOADS = Path("work/downloads")
ATTEMPTS = 6
_RESERVE = 1 << 30
"""Bytes left free on the disk."""


class _Interrupted(Exception):
    """The transfer was interrupted; what was received is kept, and another attempt may finish it."""


def fetch(request: DatasetRequest, cache: HashCache) -> Path:
    """Return the unpacked archive; nothing is downloaded if it has been unpacked before.

    Raises:
        UserError: it cannot be fetched, has another hash, or is not safe to unpack.
    """
    url, sha256 = request.url or "", (request.sha256 or "").lower()
    name = re.sub(r"[^\w.-]", "_", Path(urlsplit(url).path).name) or "archive"
    target, file = DATASETS / request.name, DOWNLOADS / f"{sha256[:16]}-{name}"
    if not is_unpacked(sha256, target):
        download(url, sha256, file)
    return ensure_unpacked(file, sha256, target, cache)


def download(
    url: str, sha256: str, file: Path, *, attempts: int = ATTEMPTS, pause: Callable[[float], None] = time.sleep
) -> Path:
    """Fetch `url` into `file`, unless a file of this hash is there; one process at a time.

    The transfer goes to '<file>.part' and is continued there (HTTP Range, with If-Range so that a changed file is not
    spliced), after 1, 2, 4, ... seconds. The file gets its name once its hash is right.

    Args:
        sha256: 64 hex digits, of the whole file.
        pause: waits for so many seconds between attempts.

    Raises:
        UserError: the server refuses, the disk is full, every attempt was interrupted, or the hash differs; no file
            is left in the last case.
    """
    from filelock import FileLock

    if urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"url {url!r} is not an http(s) address; for a file on this machine unpack it and give `path`")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise UserError(f"sha256 {sha256!r} of {url} is not 64 hex digits; copy it from the archive's publisher")
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(file.name + ".lock")):
        if file.is_file() and sha256_file(file) == sha256:
            return file
        _transfer(url, sha256, file, attempts, pause)
    return file


def _transfer(url: str, sha256: str, file: Path, attempts: int, pause: Callable[[float], None]) -> None:
    part = file.with_name(file.name + ".part")
    for attempt in range(attempts):
        try:
            spliced = _receive(url, part)
        except _Interrupted as error:
            if attempt == attempts - 1:
                raise UserError(
                    f"{url} broke off {attempts} times ({error}); run it again later: it resumes from what was received"
                ) from None
            pause(2.0**attempt)
            continue
        digest = sha256_file(part)
        if digest == sha256:
            part.replace(file)
            _validator_file(part).unlink(missing_ok=True)
            return
        part.unlink()
        _validator_file(part).unlink(missing_ok=True)
        if not spliced:
            break
    raise UserError(f"{url} has sha256 {digest}, not {sha256}; nothing was kept: check the address and the hash")


def _receive(url: str, part: Path) -> bool:
    """Complete `part`, and return whether it was put together from several transfers."""
    import httpx

    start = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        headers |= _condition(part)
    try:
        with (
            httpx.Client(follow_redirects=True, timeout=30.0) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            if start and answer.status_code == 416:  # complete already, or of another file
                return True
            _check_status(answer, url)
            start = start if answer.status_code == 206 else 0
            _remember_validator(part, answer.headers)
            _append(answer, part, start)
    except (httpx.TransportError, httpx.StreamError) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error
    return start > 0


def _check_status(answer: Any, url: str) -> None:
    if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
        raise _Interrupted(f"HTTP {answer.status_code}")
    if answer.status_code not in (200, 206):
        raise UserError(f"{url} answers HTTP {answer.status_code} {answer.reason_phrase}; check the address")


def _append(answer: Any, part: Path, start: int) -> None:
    length = int(answer.headers.get("Content-Length", 0))
    free = shutil.disk_usage(part.parent).free
    if length and length + _RESERVE > free:
        raise UserError(
            f"{answer.url} needs {length >> 20:,} MB, but {part.parent} has {free >> 20:,} MB free; free some space"
        )
    total, done = (start + length) >> 20, start >> 20
    with (
        part.open("ab" if start else "wb") as sink,
        progress(total, f"fetching {answer.url.path.rsplit('/', 1)[-1]}", "MB", done) as advance,
    ):
        for chunk in answer.iter_raw():  # as received: a larger chunk would be lost on an interruption
            sink.write(chunk)
            shown = sink.tell() >> 20
            if shown > done:
                advance(shown - done, "")
                done = shown


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
