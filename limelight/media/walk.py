"""Walk folders of pictures or videos recursively: each folder once, however many links lead to it."""

import heapq
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.media.suffixes import is_named_as_picture, is_picture

Identity = tuple[int, int]
"""Device and inode, which identify a folder under all of its names."""


class Walk:
    """The pictures, or files of another kind, below folders; hidden files and folders are skipped.

    Links to files count as files. Links to folders are followed only after everything reachable without them, so that a
    folder with several paths is listed under its own, or else under that of the first link. A link to a folder above a
    root is not followed: it leads outside the requested folders, possibly to the whole disk.

    Args:
        roots: absolute paths of folders.
        marker: a folder below the roots that holds a file of this name is skipped.
        is_wanted: whether an ordinary file is one of those to find.
    """

    def __init__(
        self, roots: Iterable[Path], *, marker: str | None = None, is_wanted: Callable[[str], bool] = is_picture
    ) -> None:
        self.files: list[Path] = []
        """Sorted."""
        self.refused: list[tuple[Path, str]] = []
        """Unreadable files that look like a picture, and unreadable folders, with the reason."""
        self.results: list[Path] = []
        """Folders skipped because of the marker in them."""
        self.notes: list[tuple[Path, str]] = []
        """Links that were not followed, with the reason."""
        self.folders: dict[Identity, Path] = {}
        """All folders visited."""
        self._marker, self._is_wanted = marker, is_wanted
        self._roots = set(roots)
        self._above = {identify(folder) for root in self._roots for folder in root.parents}
        self._pending = sorted(self._roots, reverse=True)
        self._links: list[Path] = []
        while self._pending or self._links:
            self._scan_folder(self._pending.pop()) if self._pending else self._follow(heapq.heappop(self._links))
        self.files.sort()

    def _follow(self, link: Path) -> None:
        identity = identify(link)
        if identity in self._above and identity not in self.folders:
            self.notes.append((link, f"not followed: it is a link to {link.resolve()}, which is above what was given"))
        else:
            self._scan_folder(link)

    def _scan_folder(self, folder: Path) -> None:
        identity = identify(folder)
        if identity in self.folders:
            return
        try:
            with os.scandir(folder) as opened:
                entries = [entry for entry in opened if not entry.name.startswith(".")]
        except OSError as error:
            reason = f"this folder cannot be read: {error.strerror}; change its permissions, or leave it out"
            self.refused.append((folder, reason))
            return
        if identity is not None:
            self.folders[identity] = folder
        if folder not in self._roots and any(entry.name == self._marker for entry in entries):
            self.results.append(folder)
            return
        for entry in entries:
            try:
                self._sort_in(entry)
            except UserError as error:
                self.refused.append((Path(entry.path), str(error)))

    def _sort_in(self, entry: os.DirEntry[str]) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._pending.append(Path(entry.path))
        elif entry.is_file(follow_symlinks=False) or stat.S_ISREG(mode := _resolved_mode(entry)):
            if self._is_wanted(entry.path):
                self.files.append(Path(entry.path))
        elif stat.S_ISDIR(mode):
            heapq.heappush(self._links, Path(entry.path))
        elif is_named_as_picture(entry.name):
            raise UserError("it is a pipe, socket or device, not an ordinary file; save the picture as one first")


def identify(folder: Path) -> Identity | None:
    """Return what identifies a folder under all of its names; None where it is missing or inaccessible."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _resolved_mode(entry: os.DirEntry[str]) -> int:
    """Return the file mode of an entry, or of a link's target.

    Raises:
        UserError: the link is broken.
    """
    try:
        return entry.stat().st_mode
    except OSError as error:
        what = f"it is a link to {Path(entry.path).readlink()}" if entry.is_symlink() else "it cannot be opened"
        raise UserError(f"{what}: {error.strerror}; repair or remove it") from error
