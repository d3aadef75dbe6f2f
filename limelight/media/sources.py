"""Pictures on the command line: single files, folders, and where their results go."""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from limelight.media.header import EXTENSIONS
from models.errors import UserError

RECORD = "limelight.json"
"""In a folder of results: the settings that they were made with."""


@dataclass(frozen=True)
class Source:
    """One picture and its place in the tree of results."""

    path: Path
    relative: PurePosixPath
    """Of the result, without its suffix."""
    below: PurePosixPath
    """Its own path below the folder that results are placed relative to."""


def find_sources(arguments: Sequence[Path], *, skip: Collection[Path] = ()) -> list[Source]:
    """Every picture named by files and folders, in order, each once, each with a place of its own for its result.

    A folder is walked to its depths for files with a picture's suffix; a file is taken whatever its name. The results
    mirror the tree below the one folder that was given, or below what all arguments have in common. Hidden files and
    folders are passed over, and so are folders of earlier results, which hold a `RECORD`, unless they are given.

    Args:
        skip: folders whose contents are no sources: results of ours, companions.

    Raises:
        UserError: an argument does not exist, there is not one picture, or all are in folders to be skipped.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        if not argument.exists():
            raise UserError(f"{argument} does not exist; give a picture or a folder of pictures")
        found.update(dict.fromkeys(_pictures(argument.resolve()) if argument.is_dir() else [_place(argument)]))
    skipped = {folder.resolve(): folder for folder in skip}
    paths = [path for path in found if skipped.keys().isdisjoint(path.parents)]
    places = ", ".join(str(argument) for argument in arguments)
    if found and not paths:
        within = [str(folder) for place, folder in skipped.items() if any(place in path.parents for path in found)]
        raise UserError(
            f"all pictures of {places} lie in {' or '.join(within)}, the folder of the results or companions itself; "
            "choose another folder for these"
        )
    if not paths:
        raise UserError(
            f"no pictures in {places}; looked for {', '.join(sorted(EXTENSIONS))} outside of earlier results ({RECORD})"
        )
    return _assign(paths, _base(arguments))


def path_text(path: Path) -> str:
    """An absolute path as text that can be stored; bytes of a name that are no UTF-8 become escapes."""
    return os.fsencode(path.resolve()).decode("utf-8", "backslashreplace")


def find_companions(sources: Sequence[Source], where: Path) -> dict[Source, Path | UserError]:
    """Each picture's second one.

    Args:
        where: a file, for a single picture; or a folder that mirrors the pictures' own: sub/photo.jpg has
            sub/photo.png, or the same with any other suffix of a picture.

    Returns:
        The path; or, where there is none or more than one that could be meant, what is wrong.

    Raises:
        UserError: there is no such file or folder, or it is one file for several pictures.
    """
    if where.is_file():
        if len(sources) > 1:
            raise UserError(f"{where} is one file for {len(sources)} pictures; give a folder that mirrors theirs")
        return {sources[0]: where}
    if not where.is_dir():
        raise UserError(f"{where} does not exist; give the companion's file, or a folder that mirrors the pictures'")
    places: dict[PurePosixPath, list[Path]] = {}
    for path in _walk(where.resolve()):
        place = PurePosixPath(path.relative_to(where.resolve()).as_posix())
        places.setdefault(place.with_suffix(""), []).append(path)
    return {source: _match(source, places.get(source.below.with_suffix(""), []), where) for source in sources}


def _match(source: Source, candidates: list[Path], where: Path) -> Path | UserError:
    """The candidate of the picture's whole name, or else the only one there is."""
    named = [path for path in candidates if path.name == source.below.name] or candidates
    if not named:
        return UserError(f"{source.below} has no companion in {where}; put one there as {source.below.stem}.png")
    if len(named) > 1:
        names = ", ".join(path.name for path in named)
        return UserError(f"{source.below} could have any of {names} in {where}; keep one, or give it the same name")
    return named[0]


def _place(path: Path) -> Path:
    """A file's absolute path by which it is known once; the file itself may be a link and keeps its own name."""
    return path.parent.resolve() / path.name


def _pictures(folder: Path) -> list[Path]:
    """All below a folder but the results that an earlier run left there."""
    results = {path.parent for path in folder.rglob(RECORD)} - {folder}
    return [path for path in _walk(folder) if results.isdisjoint(path.parents)]


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
            return [Source(path, names[path], relative[path]) for path in paths]
        names.update({path: relative[path] for path in clashes})
