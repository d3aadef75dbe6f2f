"""Pictures on the command line: single files, folders, and where their results go."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from limelight.foundation.errors import UserError
from limelight.imaging.header import EXTENSIONS
from limelight.media.suffixes import check_is_read
from limelight.media.walk import Walk, identify

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


@dataclass(frozen=True)
class Scan:
    """What files and folders hold."""

    sources: list[Source]
    refused: list[tuple[Path, str]]
    """What looks like a picture or may hold some and cannot be read, and why; sorted."""
    notes: list[tuple[Path, str]]
    """Links that were not followed, and why."""
    earlier: int
    """How many folders of earlier results were passed over."""


def scan(arguments: Sequence[Path], *, skip: Collection[Path] = ()) -> Scan:
    """Every picture named by files and folders, each once, each with a place of its own for its result.

    Files come first, taken whatever their names, in the order given; then what a `Walk` finds in the folders. The
    results mirror the tree below the one folder that was given, or below what all arguments have in common. Folders of
    earlier results, which hold a `RECORD`, are passed over unless they are given.

    Args:
        skip: folders whose contents are no sources: results of ours, companions.

    Raises:
        UserError: an argument does not exist, nothing looks like a picture, or all that does is in folders to be
            skipped.
    """
    for argument in arguments:
        check_link(argument)
        if not argument.exists():
            raise UserError(f"{argument} does not exist; give a picture or a folder of pictures")
    walk = Walk([path.resolve() for path in arguments if path.is_dir()], marker=RECORD)
    files, refused = _sort_files([_place(path) for path in arguments if not path.is_dir()])
    found = list(dict.fromkeys(files + walk.pictures))
    refused |= dict(walk.refused)
    identities = {folder: identify(folder) for folder in skip}
    skipped = {
        place: folder
        for folder, identity in identities.items()
        for place in (folder.resolve(), identity and walk.folders.get(identity))
    }
    paths = [path for path in found if skipped.keys().isdisjoint(path.parents)]
    kept = [path for path in sorted(refused) if skipped.keys().isdisjoint((path, *path.parents))]
    if not paths and not kept:
        within = [str(folder) for place, folder in skipped.items() if any(place in path.parents for path in found)]
        raise _nothing_to_do(", ".join(map(str, arguments)), within)
    earlier = sum(folder not in skipped for folder in walk.results)
    return Scan(_assign(paths, _base(arguments)), [(path, refused[path]) for path in kept], walk.notes, earlier)


def find_sources(arguments: Sequence[Path], *, skip: Collection[Path] = ()) -> list[Source]:
    """The pictures of a `scan`.

    Raises:
        UserError: as for `scan`, or none of them can be read.
    """
    found = scan(arguments, skip=skip)
    if not found.sources:
        path, reason = found.refused[0]
        raise UserError(f"{path}: {reason}")
    return found.sources


def check_link(argument: Path) -> None:
    """Raise UserError where a file or folder that was named is a link that leads nowhere."""
    if os.path.islink(argument) and not os.path.exists(argument):  # noqa: PTH110, PTH114 - Path raises in a closed folder
        raise UserError(f"{argument} is a link to {argument.readlink()}, which cannot be reached; mend the link")


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
    walk = Walk([where.resolve()])
    places: dict[PurePosixPath, list[Path]] = {}
    for path in [*walk.pictures, *(path for path, _ in walk.refused)]:
        place = PurePosixPath(path.relative_to(where.resolve()).as_posix())
        places.setdefault(place.with_suffix(""), []).append(path)
    refused = dict(walk.refused)
    return {source: _match(source, places.get(source.below.with_suffix(""), []), where, refused) for source in sources}


def _match(source: Source, candidates: list[Path], where: Path, refused: Mapping[Path, str]) -> Path | UserError:
    """The candidate of the picture's whole name, or else the only one there is that is read."""
    named = [path for path in candidates if path.name == source.below.name]
    named = named or [path for path in candidates if path not in refused] or candidates
    if not named:
        return UserError(f"{source.below} has no companion in {where}; put one there as {source.below.stem}.png")
    if len(named) > 1:
        names = ", ".join(path.name for path in named)
        return UserError(f"{source.below} could have any of {names} in {where}; keep one, or give it the same name")
    return UserError(f"companion {named[0]}: {refused[named[0]]}") if named[0] in refused else named[0]


def _place(path: Path) -> Path:
    """A file's absolute path by which it is known once; the file itself may be a link and keeps its own name."""
    return path.parent.resolve() / path.name


def _sort_files(paths: Sequence[Path]) -> tuple[list[Path], dict[Path, str]]:
    """Those to be read, and, with the reason, those of a kind that is not."""
    refused: dict[Path, str] = {}
    for path in paths:
        try:
            check_is_read(path)
        except UserError as error:
            refused[path] = str(error)
    return [path for path in paths if path not in refused], refused


def _nothing_to_do(places: str, within: list[str]) -> UserError:
    """What to say where there is no picture, or all of them lie `within` folders that are to be skipped."""
    if within:
        return UserError(
            f"all pictures of {places} lie in {' or '.join(within)}, the folder of the results or companions itself; "
            "choose another folder for these"
        )
    suffixes = ", ".join(sorted(EXTENSIONS))
    return UserError(f"no pictures in {places}; looked for {suffixes} outside of earlier results ({RECORD})")


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
