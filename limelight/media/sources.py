"""Input pictures of the command line: single files, folders, and the places of their results."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from limelight.foundation.errors import UserError
from limelight.imaging.extensions import EXTENSIONS
from limelight.media.suffixes import check_is_read
from limelight.media.walk import Walk, identify

RECORD = "limelight.json"
"""File in a results folder that holds the settings of its results."""


@dataclass(frozen=True)
class Source:
    """One picture and the place of its result."""

    path: Path
    relative: PurePosixPath
    """Path of the result below the results folder, without suffix."""
    below: PurePosixPath
    """The picture's own path below the folder that results are placed relative to."""


@dataclass(frozen=True)
class Scan:
    """The pictures found in files and folders."""

    sources: list[Source]
    refused: list[tuple[Path, str]]
    """Unreadable files that look like a picture, and unreadable folders, with the reason; sorted."""
    notes: list[tuple[Path, str]]
    """Links that were not followed, with the reason."""
    earlier: int
    """Number of skipped folders that hold earlier results."""


def scan(arguments: Sequence[Path], *, skip: Collection[Path] = ()) -> Scan:
    """Collect every picture in files and folders, each once and with a unique place for its result.

    Files come first, whatever their names, in the order given; then what a `Walk` finds in the folders. The results
    mirror the tree below the single folder given, or below the arguments' common parent. Folders of earlier results,
    which hold a `RECORD`, are skipped unless given as arguments.

    Args:
        skip: folders whose contents are not sources: results of this program, companions.

    Raises:
        UserError: an argument does not exist, nothing looks like a picture, or all pictures lie in skipped folders.
    """
    for argument in arguments:
        check_link(argument)
        if not argument.exists():
            raise UserError(f"{argument} does not exist; give a picture or a folder of pictures")
    walk = Walk([path.resolve() for path in arguments if path.is_dir()], marker=RECORD)
    files, refused = _sort_files([absolute(path) for path in arguments if not path.is_dir()])
    pictures = list(dict.fromkeys(files + walk.files))
    refused |= dict(walk.refused)
    identities = {folder: identify(folder) for folder in skip}
    skipped = {
        place: folder
        for folder, identity in identities.items()
        for place in (folder.resolve(), identity and walk.folders.get(identity))
    }
    paths = [path for path in pictures if skipped.keys().isdisjoint(path.parents)]
    kept = [path for path in sorted(refused) if skipped.keys().isdisjoint((path, *path.parents))]
    if not paths and not kept:
        within = [str(folder) for place, folder in skipped.items() if any(place in path.parents for path in pictures)]
        raise _no_pictures_error(", ".join(map(str, arguments)), within)
    earlier = sum(folder not in skipped for folder in walk.results)
    return Scan(_assign(paths, _base(arguments)), [(path, refused[path]) for path in kept], walk.notes, earlier)


def find_sources(arguments: Sequence[Path], *, skip: Collection[Path] = ()) -> list[Source]:
    """List the pictures of a `scan`.

    Raises:
        UserError: as `scan`, or none of them can be read.
    """
    scanned = scan(arguments, skip=skip)
    if not scanned.sources:
        path, reason = scanned.refused[0]
        raise UserError(f"{path}: {reason}")
    return scanned.sources


def check_link(argument: Path) -> None:
    """Raise UserError where an argument is a broken link."""
    if os.path.islink(argument) and not os.path.exists(argument):  # noqa: PTH110, PTH114 - Path raises in a closed folder
        raise UserError(f"{argument} is a link to {argument.readlink()}, which cannot be reached; correct the link")


def absolute(path: Path) -> Path:
    """Return the absolute path that identifies a file; links in its folder are resolved, the file's own is not."""
    return path.parent.resolve() / path.name


def path_text(path: Path) -> str:
    """Return an absolute path as text that can be stored; bytes that are not UTF-8 become escapes."""
    return os.fsencode(path.resolve()).decode("utf-8", "backslashreplace")


def find_companions(sources: Sequence[Source], where: Path) -> dict[Source, Path | UserError]:
    """Find each picture's companion.

    Args:
        where: a file, for a single picture; or a folder that mirrors the pictures' own: sub/photo.jpg has
            sub/photo.png, or the same with any other picture suffix.

    Returns:
        The path; or an error where there is no companion or an ambiguous one.

    Raises:
        UserError: the file or folder does not exist, or it is one file for several pictures.
    """
    if where.is_file():
        if len(sources) > 1:
            raise UserError(f"{where} is one file for {len(sources)} pictures; give a folder that mirrors theirs")
        return {sources[0]: where}
    if not where.is_dir():
        raise UserError(f"{where} does not exist; give the companion's file, or a folder that mirrors the pictures'")
    walk = Walk([where.resolve()])
    places: dict[PurePosixPath, list[Path]] = {}
    for path in [*walk.files, *(path for path, _ in walk.refused)]:
        place = PurePosixPath(path.relative_to(where.resolve()).as_posix())
        places.setdefault(place.with_suffix(""), []).append(path)
    refused = dict(walk.refused)
    return {source: _match(source, places.get(source.below.with_suffix(""), []), where, refused) for source in sources}


def _match(source: Source, candidates: list[Path], where: Path, refused: Mapping[Path, str]) -> Path | UserError:
    """Choose the candidate with the picture's whole name, or else the only readable one."""
    named = [path for path in candidates if path.name == source.below.name]
    named = named or [path for path in candidates if path not in refused] or candidates
    if not named:
        return UserError(f"{source.below} has no companion in {where}; put one there as {source.below.stem}.png")
    if len(named) > 1:
        names = ", ".join(path.name for path in named)
        return UserError(f"{source.below} could have any of {names} in {where}; keep one, or give it the same name")
    return UserError(f"companion {named[0]}: {refused[named[0]]}") if named[0] in refused else named[0]


def _sort_files(paths: Sequence[Path]) -> tuple[list[Path], dict[Path, str]]:
    """Split files into those to read, and those of an unsupported kind with the reason."""
    refused: dict[Path, str] = {}
    for path in paths:
        try:
            check_is_read(path)
        except UserError as error:
            refused[path] = str(error)
    return [path for path in paths if path not in refused], refused


def _no_pictures_error(places: str, within: list[str]) -> UserError:
    """Make the error for no pictures, or for pictures that all lie `within` skipped folders."""
    if within:
        return UserError(
            f"all pictures of {places} lie in {' or '.join(within)}, the folder of the results or companions itself; "
            "choose another folder for these"
        )
    suffixes = ", ".join(sorted(EXTENSIONS))
    return UserError(f"no pictures in {places}; looked for {suffixes} outside of earlier results ({RECORD})")


def _base(arguments: Sequence[Path]) -> Path:
    """Return the folder that results are placed relative to."""
    folders = [path.resolve() if path.is_dir() else path.parent.resolve() for path in arguments]
    shared = folders[0]
    while not all(folder.is_relative_to(shared) for folder in folders):
        shared = shared.parent
    return shared


def _assign(paths: Sequence[Path], base: Path) -> list[Source]:
    """Name each result after its picture: by the stem if unique, else by the whole name (a.jpg beside a.png).

    Names are compared case-insensitively, as some file systems do. Whole names differ from each other, so renaming all
    parties of a clash to their whole names terminates.
    """
    relative = {path: PurePosixPath(path.relative_to(base).as_posix()) for path in paths}
    names = {path: place.with_suffix("") for path, place in relative.items()}
    while True:
        taken = Counter(str(name).casefold() for name in names.values())
        clashes = [path for path in paths if taken[str(names[path]).casefold()] > 1 and names[path] != relative[path]]
        if not clashes:
            return [Source(path, names[path], relative[path]) for path in paths]
        names.update({path: relative[path] for path in clashes})
