"""SHA-256 of many files, cached by size, modification time and inode: an unchanged file costs a `stat`."""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limelight.data.threads import in_threads
from limelight.foundation.files import atomic_path, sha256_file

CACHE = Path("work/hashes.json")
_IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


class HashCache:
    """Cache of file hashes, each valid until the file changes; `save` keeps it for the next process."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or CACHE
        self._entries: dict[str, list[Any]] = {}
        self._changed = False
        with contextlib.suppress(OSError, ValueError):  # a missing or damaged cache counts as empty
            known = json.loads(self.path.read_text(encoding="utf-8"))
            if isinstance(known, dict):
                self._entries = {key: entry for key, entry in known.items() if _is_entry(entry)}

    def sha256(self, paths: Sequence[Path]) -> list[str]:
        """The SHA-256 of each file, in order."""
        # resolve() instead of abspath would follow links, which is slow and would give two names one entry
        keys = [os.path.abspath(path) for path in paths]  # noqa: PTH100
        stamps = [_stamp(path) for path in paths]
        fresh = [
            (key, stamp) for key, stamp in zip(keys, stamps, strict=True) if self._entries.get(key, [])[:3] != stamp
        ]
        for (key, stamp), digest in zip(fresh, _hash_all([key for key, _ in fresh]), strict=True):
            self._entries[key] = [*stamp, digest]
            self._changed = True
        return [self._entries[key][3] for key in keys]

    def save(self) -> None:
        """Write the cache if it has new entries."""
        if self._changed:
            with atomic_path(self.path) as temporary:
                temporary.write_text(json.dumps(self._entries), encoding="utf-8")
            self._changed = False


def _is_entry(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 4


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _hash_all(paths: Sequence[str]) -> list[str]:
    if len(paths) < 2:  # no thread for a single file: `prepare` asks for one at a time
        return [sha256_file(path) for path in paths]
    return in_threads(sha256_file, paths, "hashing", "files")


def list_files(root: Path) -> dict[str, Path]:
    """List every file below `root` as relative POSIX path -> path, sorted; without hidden and file managers' files.

    Symbolic links are followed, since DVC and users build datasets from them; links to a parent folder are not.
    """
    files: dict[str, Path] = {}
    _walk(root, "", files, (os.path.realpath(root),))
    return dict(sorted(files.items()))


def _walk(folder: Path, prefix: str, files: dict[str, Path], above: tuple[str, ...]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _IGNORED:
                continue
            if entry.is_file():
                files[prefix + entry.name] = Path(entry.path)
            elif entry.is_dir():
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real not in above:
                    _walk(Path(entry.path), f"{prefix}{entry.name}/", files, (*above, real))


def file_hashes(root: Path, cache: HashCache) -> dict[str, str]:
    """Hash every file below `root`: relative POSIX path -> SHA-256."""
    files = list_files(root)
    return dict(zip(files, cache.sha256(list(files.values())), strict=True))


def tree_hash(hashes: dict[str, str]) -> str:
    """Hash a folder: one SHA-256 of the sorted lines '<sha256> <relative path>'."""
    digest = hashlib.sha256()
    for name, value in sorted(hashes.items()):
        digest.update(f"{value} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
