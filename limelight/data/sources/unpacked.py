"""A folder unpacked from an archive whose hash is known, and proof that nobody has changed it since."""

from pathlib import Path
from typing import Any

from limelight.data.archives import extract
from limelight.data.hashes import HashCache, file_hashes
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_json


def ensure_unpacked(archive: Path, sha256: str, target: Path, cache: HashCache) -> Path:
    """Unpack `archive` into `target` unless that has been done; the archive's own hash has been checked before.

    The unpacked files' hashes are recorded in '<target>.json', null until they are known: hashing takes minutes.

    Raises:
        UserError: a file of the folder has changed since, or the folder was not made by this function.
    """
    record = target.with_name(target.name + ".json")
    if target.is_dir():
        known = _recorded(record)
        if known is None:
            raise UserError(f"{target} exists but was not unpacked from {archive}; move it away, or give it as `path`")
        current = file_hashes(target, cache)
        if known["files"] is not None:
            check_unchanged(target, known["files"], current)
        if known["archive"] == sha256:
            if known["files"] is None:
                write_json(record, {"archive": sha256, "files": current})
            return target
    record.unlink(missing_ok=True)
    extract(archive, target)
    write_json(record, {"archive": sha256, "files": None})
    write_json(record, {"archive": sha256, "files": file_hashes(target, cache)})
    return target


def is_unpacked(sha256: str, target: Path) -> bool:
    """Whether `target` was unpacked from the archive of this hash; later changes are not checked."""
    record = target.with_name(target.name + ".json")
    return target.is_dir() and (_recorded(record) or {}).get("archive") == sha256


def _recorded(record: Path) -> dict[str, Any] | None:
    """What `ensure_unpacked` recorded; None if it did not make the folder: the renderer keeps a record there too."""
    known = read_json(record) if record.is_file() else None
    return known if isinstance(known, dict) and {"archive", "files"} <= known.keys() else None


def check_unchanged(target: Path, known: dict[str, str], current: dict[str, str], made: str = "unpacked") -> None:
    """Compare a folder's files with those that were recorded when it was made.

    Raises:
        UserError: a file is missing, was added or has other contents.
    """
    changed = [
        *(f"{name} is missing" for name in known if name not in current),
        *(f"{name} was added" for name in current if name not in known),
        *(f"{name} has other contents" for name in known if name in current and known[name] != current[name]),
    ]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(
            f"{target} has changed since it was {made}: {'; '.join(changed[:3])}{more}; delete the folder to have it "
            f"{made} anew, or copy it elsewhere and give it as `path`"
        )
