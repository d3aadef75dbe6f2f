"""Read files, hash them, and write them whole or not at all: to a scratch folder first."""

import errno
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from limelight.foundation.errors import UserError
from limelight.foundation.scratch import REPLACED, scratch_folder

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of a full disk's errors; the last is that of a file as long as the system allows."""


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` when the block succeeds, and is removed if it fails.

    Works for a file or a folder; an existing target of the same kind is replaced. The suffix is kept, since encoders
    choose their format by it. What a killed process left in the same folder is removed.

    Raises:
        UserError: the system refuses to write: the disk is full, or the folder is not writable or missing.
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
        if error.errno is None:  # raised by a library, for example for a damaged archive
            raise
        advice = "free some space or choose another place" if error.errno in FULL_DISK else "choose another place"
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


def without_nan(value: Any) -> Any:
    """Return a tree of values for `write_json`: None in place of NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path | str) -> str:
    """Read UTF-8 text, without the byte order mark that Windows' editors add.

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
        raise UserError(f"cannot read {path}: {error.strerror}; check the file and its permissions") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); restore it or write it anew") from error


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, 64 lower-case hex digits.

    Raises:
        UserError: the file cannot be read.
    """
    return hash_file(path, "sha256")


def hash_file(path: Path | str, algorithm: Literal["sha256", "md5"]) -> str:
    """Hash of a file's bytes, lower-case hex digits.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as handle:
            # Machines under FIPS refuse MD5 unless it is said not to be a matter of security.
            return hashlib.file_digest(handle, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the file and its permissions") from error


def sha256_folder(folder: Path, pattern: str = "*") -> str:
    """Hash names and contents of the files below a folder whose names match a pattern: one SHA-256, 64 hex digits.

    Raises:
        UserError: a file cannot be read.
    """
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    lines = [f"{sha256_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_sha256(path: Path | str, expected: str | None) -> str:
    """Return a file's SHA-256, checked against `expected`; None = no check.

    Raises:
        UserError: the file is missing, or its hash differs.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; download it first")
    digest = sha256_file(path)
    if expected and digest != expected.lower():
        raise UserError(f"{path} has sha256 {digest}, expected {expected}; download it again")
    return digest
