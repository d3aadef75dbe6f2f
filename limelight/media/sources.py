"""Pictures on the command line: single files, folders, and where their results go."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from limelight.media.images import EXTENSIONS
from models.errors import UserError


@dataclass(frozen=True)
class Source:
    """One picture and its place in the tree of results."""

    path: Path
    relative: PurePosixPath
    """Of the result, without its suffix."""


def find_sources(arguments: Sequence[Path], *, skip: Path | None = None) -> list[Source]:
    """Every picture named by files and folders, in order, each once, each with a place of its own for its result.

    A folder is walked to its depths for files with a picture's suffix; a file is taken whatever its name. The results
    mirror the tree below the one folder that was given, or below what all arguments have in common. Hidden files and
    folders are passed over.

    Args:
        skip: a folder whose contents are results of ours, not sources.

    Raises:
        UserError: an argument does not exist, or there is not one picture.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        if not argument.exists():
            raise UserError(f"{argument} does not exist; give a picture or a folder of pictures")
        found.update(dict.fromkeys(_walk(argument.resolve()) if argument.is_dir() else [_place(argument)]))
    paths = [path for path in found if skip is None or skip.resolve() not in path.parents]
    if not paths:
        places = ", ".join(str(argument) for argument in arguments)
        raise UserError(f"no pictures in {places}; looked for {', '.join(sorted(EXTENSIONS))}")
    return _assign(paths, _base(arguments))


def _place(path: Path) -> Path:
    """A file's absolute path by which it is known once; the file itself may be a link and keeps its own name."""
    return path.parent.resolve() / path.name


def _walk(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in EXTENSIONS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _base(arguments: Sequence[Path]) -> Path:
    """The folder that results are placed relative to."""
    folders = [path.resolve() if path.is_dir() else path.parent.resolve() for path in arguments]
    shared = folders[0]
    while not all(folder.is_relative_to(shared) for folder in folders):
        shared = shared.parent
    return shared


def _assign(paths: Sequence[Path], base: Path) -> list[Source]:
    """Name each result after its picture: by the stem where that is free, else by the whole name (a.jpg beside a.png).

    Names are compared without regard to case, since some file systems do so too. Whole names differ from each other, so
    that moving every party of a clash to its whole name ends.
    """
    relative = {path: PurePosixPath(path.relative_to(base).as_posix()) for path in paths}
    names = {path: place.with_suffix("") for path, place in relative.items()}
    while True:
        taken = Counter(str(name).casefold() for name in names.values())
        clashes = [path for path in paths if taken[str(names[path]).casefold()] > 1 and names[path] != relative[path]]
        if not clashes:
            return [Source(path, names[path]) for path in paths]
        names.update({path: relative[path] for path in clashes})
