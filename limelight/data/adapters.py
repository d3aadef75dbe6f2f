"""Pairing of a dataset folder's images with masks and companions by relative path, and the files left unpaired."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from limelight.config.patterns import NAME, fixed_part
from limelight.data.hashes import list_files
from limelight.data.layouts import Part, Parts, expand, locate
from limelight.data.lists import read_parallel_lists
from limelight.data.names import composed, frame_numbers, without_suffix
from limelight.data.patterns import Matches, assign_roles, matches
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_text
from limelight.imaging.extensions import EXTENSIONS

MAX_UNPAIRED = 0.05
"""A larger share of files without a partner means that the layout is wrong, not that a file is missing."""


@dataclass(frozen=True)
class Pair:
    """One image with its mask, companion and metadata; the files have not been read yet."""

    sample_id: str
    split: str | None
    image: Path
    mask: Path | None
    companion: Path | None
    clip: str | None = None
    frame: int | None = None
    classes: tuple[str, ...] = ()
    """Class names from a list's prompts; empty if unknown."""


@dataclass(frozen=True)
class Problem:
    """A rejected file, and the reason."""

    dataset: str
    path: str
    reason: str


@dataclass(frozen=True)
class _Folder:
    """The pictures of one folder by relative path without suffix (composed Unicode), or of a pattern by key."""

    path: Path
    files: dict[str, Path]
    shadowed: list[tuple[Path, Path]]
    pattern: str = ""

    def place(self, key: str) -> str:
        """Return where a file with this key is expected."""
        return str(self.path / self.pattern.replace(NAME, key)) if self.pattern else f"{key}.* in {self.path}"


def pair(root: Path, dataset: str, parts: Parts) -> tuple[list[Pair], list[Problem]]:
    """Find the samples of a dataset.

    Sub-folders are mirrored: `images/a/1.jpg` belongs to `masks/a/1.png` and to no other `1.png`. Suffixes may differ.

    Args:
        root: the folder that `parts` are relative to.

    Returns:
        The pairs, in the order of their ids within each part, and the files that have no partner.

    Raises:
        UserError: nothing pairs, or more than 5 % of the files have no partner.
    """
    pairs: list[Pair] = []
    problems: list[Problem] = []
    prefixed = len({part.image for part in parts}) > 1
    for part in parts:
        prefix = f"{dataset}/{part.split}/" if prefixed and part.split else f"{dataset}/"
        part_pairs, unpaired = (_clips if part.clips else _stills)(root, part, prefix)
        pairs += part_pairs
        problems += [Problem(dataset, str(path), reason) for path, reason in unpaired]
        if part_pairs or unpaired or not part.include:  # `include` may select files of another part only
            _check_share(dataset, root, part, len(part_pairs), unpaired)
    if not pairs:
        places = ", ".join(str(root / part.image) for part in parts)
        raise UserError(f"dataset {dataset}: no picture in {places} matches {parts[0].include!r}; check `include`")
    return pairs, problems


def pair_listed(root: Path, dataset: str, include: str | None = None) -> tuple[list[Pair], list[Problem]]:
    """Find the samples of a folder that holds list files (img_list.txt and those beside it) instead of pictures.

    A listed path that does not exist as written is looked up below `root`.

    Args:
        include: pattern of the images' paths below the folder that they share, without suffix; None: all of them.

    Raises:
        UserError: a list is wrong, or more than 5 % of the listed files are not there.
    """
    listed = read_parallel_lists(root)
    by_kind = {Path(line.image).is_absolute(): line.image for line in listed}
    if len(by_kind) > 1:  # ids are paths below a common folder, which these lack
        raise UserError(
            f"{root / 'img_list.txt'} has absolute paths, such as {by_kind[True]}, and relative ones, such as "
            f"{by_kind[False]}; write all of them one way"
        )
    below = os.path.commonpath([str(Path(line.image).parent) for line in listed])
    part = Part("img_list.txt", include=include)
    pairs: list[Pair] = []
    missing: list[tuple[Path, str]] = []
    for line in listed:
        key = composed(without_suffix(Path(line.image).relative_to(below).as_posix()))
        if not part.includes(key):
            continue
        files = [_listed_file(root, path) if path else None for path in (line.image, line.mask, line.companion)]
        absent = next((path for path in files if path and not path.is_file()), None)
        if absent:
            missing.append((absent, "listed, but missing"))
            continue
        image, mask, companion = files
        pairs.append(Pair(f"{dataset}/{key}", None, image or root, mask, companion, classes=line.classes))
    _check_share(dataset, root, part, len(pairs), missing)
    return pairs, [Problem(dataset, str(path), reason) for path, reason in missing]


def _listed_file(root: Path, listed: str) -> Path:
    path = Path(listed)
    return path if path.is_file() else root / path


def _check_share(dataset: str, root: Path, part: Part, paired: int, unpaired: list[tuple[Path, str]]) -> None:
    examples = "; ".join(f"{path}: {reason}" for path, reason in unpaired[:3])
    where = f"dataset {dataset}: {root / part.image}" + (f" with {part.mask}" if part.mask else "")
    where += f", of these {part.include!r}" if part.include else ""
    if not paired:
        raise UserError(f"{where} gives no sample ({examples or 'no picture in it'}); check the layout")
    if len(unpaired) > MAX_UNPAIRED * (paired + len(unpaired)):
        raise UserError(
            f"{where}: {len(unpaired)} of {paired + len(unpaired)} files have no partner ({examples}); "
            "check the layout or complete the dataset"
        )


def _stills(root: Path, part: Part, prefix: str) -> tuple[list[Pair], list[tuple[Path, str]]]:
    images, masks, companions = (_named if NAME in part.image else _folders)(root, part)
    unpaired = [
        (later, f"has the same name as {first.name}")
        for folder in (images, masks, companions)
        if folder
        for first, later in folder.shadowed
    ]
    keys, missing = _members(root, part, images)
    unpaired += missing
    pairs = []
    for key in keys:
        image = images.files[key]
        mask = masks.files.get(composed(key + part.mask_suffix)) if masks else None
        companion = companions.files.get(key) if companions else None
        if masks and mask is None:
            if not part.labelled_only:
                unpaired.append((image, f"no mask {masks.place(key + part.mask_suffix)}"))
        elif companions and companion is None:
            unpaired.append((image, f"no companion {companions.place(key)}"))
        else:
            pairs.append(Pair(prefix + key, part.split, image, mask, companion))
    if part.members is None and part.include is None:
        for folder, suffix in ((masks, part.mask_suffix), (companions, "")):
            unpaired += _orphans(images, folder, suffix)
    return pairs, unpaired


def _orphans(images: _Folder, others: _Folder | None, suffix: str) -> list[tuple[Path, str]]:
    if others is None:
        return []
    owned = {composed(key + suffix) for key in images.files}
    return [(path, f"no image of this name in {images.path}") for key, path in others.files.items() if key not in owned]


def _folders(root: Path, part: Part) -> tuple[_Folder, _Folder | None, _Folder | None]:
    return (
        _pictures(root, part.image, part),
        _pictures(root, part.mask) if part.mask else None,
        _pictures(root, part.companion) if part.companion else None,
    )


def _named(root: Path, part: Part) -> tuple[_Folder, _Folder | None, _Folder | None]:
    """Images, masks and companions by patterns, whose files may lie in one folder.

    Raises:
        UserError: two files match a pattern with the same key.
    """
    patterns = [path for path in (part.image, part.mask, part.companion) if path]
    places = [_place(root, fixed_part(pattern)[0]) for pattern in patterns]
    claimed = [_only_pictures(matches(*place)) for place in zip(places, patterns, strict=True)]
    folders = []
    for pattern, place, role in zip(patterns, places, assign_roles(claimed), strict=True):
        if duplicates := next((paths for paths in role.values() if len(paths) > 1), None):
            raise UserError(
                f"{' and '.join(map(str, duplicates))} both fit {pattern!r}; give its suffix, or remove one"
            )
        files = {key: path for key, (path,) in role.items() if pattern is not part.image or part.includes(key)}
        folders.append(_Folder(place, files, [], fixed_part(pattern)[1]))
    images, *others = folders
    masks = others.pop(0) if part.mask else None
    return images, masks, others[0] if others else None


def _only_pictures(files_by_key: Matches) -> Matches:
    kept = {key: [path for path in paths if path.suffix.lower() in EXTENSIONS] for key, paths in files_by_key.items()}
    return {key: paths for key, paths in kept.items() if paths}


def _clips(root: Path, part: Part, prefix: str) -> tuple[list[Pair], list[tuple[Path, str]]]:
    """Pair each clip like a small dataset of stills, and number its frames."""
    pairs: list[Pair] = []
    unpaired: list[tuple[Path, str]] = []
    clips = {clip: path for clip, path in expand(root, part.image, "clip").items() if part.includes(clip)}
    listed_clips = _member_names(root, part)
    if listed_clips is not None:
        unpaired += [
            (root / clip, f"listed in {part.members}, but no such clip")
            for clip in listed_clips
            if clip not in clips and part.includes(clip)
        ]
        clips = {clip: path for clip, path in clips.items() if clip in listed_clips}
    for clip, folder in clips.items():
        mask = part.mask and part.mask.replace("{clip}", clip)
        companion = part.companion and part.companion.replace("{clip}", clip)
        if mask and locate(root, fixed_part(mask)[0]) is None:
            unpaired.append((root / folder, f"no masks in {mask}"))
            continue
        still = Part(folder, mask, companion, part.split, part.mask_suffix, labelled_only=part.labelled_only)
        name = composed(clip)
        frame_pairs, missing = _stills(root, still, f"{prefix}{name}/")
        unpaired += missing
        frames = frame_numbers([Path(one.sample_id).name for one in frame_pairs])
        pairs += [
            Pair(one.sample_id, one.split, one.image, one.mask, one.companion, name, frame)
            for one, frame in zip(frame_pairs, frames, strict=True)
        ]
    return pairs, unpaired


def _members(root: Path, part: Part, images: _Folder) -> tuple[list[str], list[tuple[Path, str]]]:
    """Return the keys of the part's images, and the listed names without an image."""
    names = _member_names(root, part)
    if names is None:
        return list(images.files), []
    keys = [key for key in map(composed, names) if part.includes(key)]
    missing = [
        (images.path / key, f"listed in {part.members}, but no such image") for key in keys if key not in images.files
    ]
    return [key for key in dict.fromkeys(keys) if key in images.files], missing


def _member_names(root: Path, part: Part) -> list[str] | None:
    """The stems (clips: folder names) that the part's list file names; None without one."""
    listing = part.members and locate(root, part.members)
    if not listing:
        return None
    lines = [line.strip() for line in read_text(listing).splitlines()]
    if part.clips:  # one clip or one frame per line: '/JPEGImages/480p/bear/00000.jpg /Annotations/...'
        return list(dict.fromkeys(line.split("/")[-2] if "/" in line else line for line in _first_paths(lines)))
    return [without_suffix(line) for line in lines if line]


def _first_paths(lines: Iterable[str]) -> list[str]:
    return [line.split(" /")[0] for line in lines if line]


def _place(root: Path, relative: str) -> Path:
    folder = locate(root, relative)
    if folder is None or not folder.is_dir():
        raise UserError(f"no folder {relative} in {root}; correct the layout or complete the dataset")
    return folder


def _pictures(root: Path, relative: str, part: Part | None = None) -> _Folder:
    """List a folder's pictures; with `part`, only those that it includes."""
    folder = _place(root, relative)
    files: dict[str, Path] = {}
    shadowed: list[tuple[Path, Path]] = []
    for name, path in list_files(folder).items():
        key = composed(without_suffix(name))
        if path.suffix.lower() not in EXTENSIONS or (part and not part.includes(key)):
            continue
        if key in files:
            shadowed.append((files[key], path))
        else:
            files[key] = path
    return _Folder(folder, files, shadowed)
