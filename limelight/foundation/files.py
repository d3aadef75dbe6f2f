"""Writes that are whole or absent, and hashes."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limelight.foundation.errors import UserError
from limelight.foundation.scratch import REPLACED, scratch_folder

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` when the block succeeds, and vanishes when it does not.

    Works for a file or a folder; an existing target of the same kind is replaced. The suffix is kept, since encoders
    choose their format by it. What a killed process left in the same folder is removed: see
    `limelight.foundation.scratch`.

    Raises:
        UserError: the system refuses to write: the disk is full, the place not writable, or there is no such place.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path.parent) as scratch:
            # Its name does not repeat the target's, which may be as long as a name can be.
            temporary = scratch / path.name
            yield temporary
            _sync(temporary)
            if temporary.is_dir() and path.is_dir():
                path.rename(scratch / REPLACED)
            temporary.replace(path)
    except OSError as error:
        if error.errno is None:  # made by a library, such as of an archive that is damaged
            raise
        advice = "free some space or choose another place" if error.errno in _FULL else "choose another place"
        raise UserError(f"cannot write {path}: {error.strerror}; {advice}") from error


def _sync(path: Path) -> None:
    """Flush one file to the disk, so that a power cut after the rename leaves no empty file behind."""
    if path.is_file():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, whole or not at all. NaN and infinity are refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path | str) -> str:
    """UTF-8 text; the byte order mark that Windows' editors put before it is left out.

    Raises:
        UserError: the file has another encoding.
        OSError: it cannot be opened.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}: {error.reason}); save it as UTF-8") from None


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing, cannot be read or is not JSON in UTF-8.
    """
    try:
        return json.loads(read_text(path))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; run the stage that writes it (dvc repro)") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the file and who may read it") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); restore it or write it anew") from error


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, 64 lower-case hex digits.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the file and who may read it") from error


def check_sha256(path: Path | str, expected: str | None) -> str:
    """SHA-256 of a file that is to have it; None = whatever it has.

    Raises:
        UserError: the file is missing, or has another.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; download it first")
    found = sha256_file(path)
    if expected and found != expected.lower():
        raise UserError(f"{path} has sha256 {found}, expected {expected}; download it again")
    return found
