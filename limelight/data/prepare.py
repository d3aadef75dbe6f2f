"""From a dataset's folder to its rows of the manifest: pair files, check them, draw splits."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import PngImagePlugin

from limelight.config import DatasetRequest
from limelight.data.adapters import Pair, Problem, pair, pair_listed
from limelight.data.catalogue import class_source, default_split, ignores_by_default, layout_candidates, lookup
from limelight.data.census import Finding, Reading, findings, note_mask
from limelight.data.class_source import ClassSource
from limelight.data.classes import class_names, label_values, present
from limelight.data.hashes import HashCache, list_files
from limelight.data.index import Entry, portable
from limelight.data.layouts import Parts, locate, require
from limelight.data.manifest import Sample
from limelight.data.names import composed, without_suffix
from limelight.data.splits import assign_splits
from limelight.data.threads import in_threads
from limelight.foundation.csv_text import to_csv
from limelight.foundation.errors import UserError
from limelight.imaging.companions import fit_companion, same_proportions
from limelight.imaging.images import image_size, read_companion, read_image
from limelight.imaging.masks import decode_mask
from limelight.models.class_names import checked_classes, folded
from limelight.models.inputs import Size

MAX_REJECTED = 0.05
UNLABELLED = "unlabelled"
_EXAMPLES = 100
"""Label maps that are read again to list their values in an error."""
_PNG_END = b"IEND\xaeB`\x82"
"""Last bytes of a complete PNG; files with another end are decoded to find out."""


@dataclass(frozen=True)
class Prepared:
    """One dataset's samples, what was left out, what its label maps mean (empty without any), and which of its
    masks are odd."""

    samples: list[Sample]
    problems: list[Problem]
    classes: dict[int, str]
    source: ClassSource
    odd_masks: list[Finding]


def prepare_dataset(request: DatasetRequest, entry: Entry, seed: int, cache: HashCache) -> Prepared:
    """Find and check a dataset's samples, and divide them into splits.

    Raises:
        UserError: the folder is gone or fits no layout, more than 5 % of its files pair with nothing or cannot be
            read, or no label map shows a class.
    """
    root = Path(entry.root)
    if not root.is_dir():
        raise UserError(f"dataset {request.name}: {root} is gone; run the download stage anew")
    if request.layout is None and (root / "img_list.txt").is_file():
        pairs, problems = pair_listed(root, request.name, request.include)
        pairs = [replace(one, mask=None) if entry.labels == "none" else one for one in pairs]
    else:
        root, parts = require(root, layout_candidates(request), request.name)
        if entry.sensor != "rgb" and not all(part.companion for part in parts):
            raise UserError(
                f"dataset {request.name} is {entry.sensor}, but its layout names no companion; give `layout: "
                "{image: ..., mask: ..., companion: ...}` in params.yaml"
            )
        parts = tuple(replace(part, include=request.include) for part in parts)
        pairs, problems = pair(root, request.name, parts)
        problems += unlisted(root, request.name, parts, pairs)
    source = class_source(request)
    names = _names(root, request, source) if entry.labels == "classes" else {}
    divided = divide(pairs, request, seed)
    samples, readings, unreadable = measure(divided, request.name, entry, cache, names, source.ignore)
    if len(unreadable) > MAX_REJECTED * len(pairs):
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise UserError(
            f"dataset {request.name}: {len(unreadable)} of {len(pairs)} samples cannot be used: "
            f"{unreadable[0].reason}{more}"
        )
    if names:
        _check_shown(samples, request.name, names, source.ignore)
    known = lookup(request.name)
    odd = findings(request.name, readings, soft=known is not None and known.soft_masks)
    return Prepared(samples, problems + unreadable, names, source, odd)


def unlisted(root: Path, dataset: str, parts: Parts, pairs: Sequence[Pair]) -> list[Problem]:
    """List the pictures that have a mask, and that no list of their folder names."""
    listed = [part for part in parts if part.members and part.mask and not part.clips]
    used = {one.image for one in pairs}
    problems = {}
    for part in listed:
        images, masks = locate(root, part.image), locate(root, part.mask or "")
        if images is None or masks is None:
            continue
        lists = ", ".join(other.members or "" for other in listed if other.image == part.image)
        masked = {composed(without_suffix(name)) for name in list_files(masks)}
        for name, path in list_files(images).items():
            key = composed(without_suffix(name))
            if path not in used and part.includes(key) and composed(key + part.mask_suffix) in masked:
                problems[path] = Problem(dataset, str(path), f"named in no list ({lists})")
    return list(problems.values())


def _names(root: Path, request: DatasetRequest, source: ClassSource) -> dict[int, str]:
    """Read pixel value -> class, checked as class prompts are: names that pass here can be evaluated."""
    names = class_names(root, source, request.classes, default_only=ignores_by_default(request))
    try:
        return dict(zip(names, checked_classes(list(names.values())), strict=True))
    except UserError as error:
        raise UserError(f"dataset {request.name}: {error}") from error


def divide(pairs: Sequence[Pair], request: DatasetRequest, seed: int) -> list[Pair]:
    """Give every pair its split: the request's, else its folder's, else the catalogue's.

    Shares are drawn per image, or per clip, so that no clip is in two splits. They divide the labelled samples;
    unlabelled images beside labelled ones keep the split of their folder, or 'unlabelled'.
    """
    if isinstance(request.split, str):
        return [replace(one, split=request.split) for one in pairs]
    if request.split is None and all(one.split for one in pairs):
        return list(pairs)
    split = default_split(request)
    if isinstance(split, str):
        return [replace(one, split=one.split or split) for one in pairs]
    any_labelled = any(one.mask for one in pairs)
    drawn = [one for one in pairs if one.mask or not any_labelled]
    assigned = assign_splits((one.clip or one.sample_id for one in drawn), split, seed)
    return [
        replace(one, split=assigned[one.clip or one.sample_id])
        if one.mask or not any_labelled
        else replace(one, split=one.split or UNLABELLED)
        for one in pairs
    ]


def measure(
    pairs: Sequence[Pair],
    dataset: str,
    entry: Entry,
    cache: HashCache,
    names: dict[int, str],
    ignore: tuple[int, ...],
) -> tuple[list[Sample], list[Reading], list[Problem]]:
    """Inspect every file: size from its header, hash, completeness, a mask's encoding, a label map's classes.

    Returns:
        The samples by split, then clip and frame, then id; their masks' encodings, in the same order; and the pairs
        that cannot be used.
    """

    def look(one: Pair) -> tuple[Sample, Reading | None] | Problem:
        try:
            return _look(one, dataset, entry, cache, names, ignore)
        except UserError as error:
            return Problem(dataset, portable(one.image), str(error))

    results = in_threads(look, pairs, f"preparing {dataset}")
    usable = [result for result in results if not isinstance(result, Problem)]
    usable.sort(key=lambda pair: (pair[0].split, pair[0].clip or "", pair[0].frame or 0, pair[0].sample_id))
    readings = [reading for _, reading in usable if reading]
    return [sample for sample, _ in usable], readings, [result for result in results if isinstance(result, Problem)]


def _look(
    one: Pair, dataset: str, entry: Entry, cache: HashCache, names: dict[int, str], ignore: tuple[int, ...]
) -> tuple[Sample, Reading | None]:
    size = image_size(one.image)
    _check_whole(one.image)
    classes: tuple[str, ...] = ()
    reading = None
    if one.mask:
        _check_fits(one.mask, image_size(one.mask), size)
    if one.mask and entry.labels == "mask":
        reading = note_mask(one.sample_id, portable(one.mask), decode_mask(one.mask))
    if one.companion:  # decoded, since it may be empty or not a depth or thermal picture
        companion_HW = read_companion(one.companion, depth=entry.sensor == "rgbd")
        fit_companion(companion_HW, size, f"companion {one.companion}")
    if one.mask and entry.labels == "classes":
        classes = present(one.mask, names, ignore)
        _check_named(one, classes)
    sample = Sample(
        sample_id=one.sample_id,
        dataset=dataset,
        split=one.split or "",
        sensor=entry.sensor,
        labels=entry.labels if one.mask else "none",
        image=portable(one.image),
        companion=portable(one.companion) if one.companion else None,
        mask=portable(one.mask) if one.mask else None,
        clip=one.clip,
        frame=one.frame,
        classes=classes,
        width=size[1],
        height=size[0],
        sha256=cache.sha256([one.image])[0],
    )
    return sample, reading


def _check_named(one: Pair, shown: tuple[str, ...]) -> None:
    known = set(map(folded, shown))
    absent = [name for name in one.classes if folded(name) not in known]
    if absent:
        raise UserError(
            f"{one.mask} does not show {', '.join(map(repr, absent[:3]))}, which a *_text.json names for its image, "
            f"but {', '.join(map(repr, shown[:3])) or 'no class'}; correct that file or the table of classes"
        )


def _check_whole(path: Path) -> None:
    """Decode a file that may be damaged, which its header does not show; a PNG's checksums show it without decoding."""
    if not _is_whole_png(path):
        read_image(path)


def _is_whole_png(path: Path) -> bool:
    """Whether a file is a PNG whose chunks all have their checksums, the last one included."""
    with path.open("rb") as handle:
        handle.seek(-min(path.stat().st_size, 16), os.SEEK_END)
        if not handle.read().endswith(_PNG_END):
            return False
    try:
        with PngImagePlugin.PngImageFile(path) as image:
            image.verify()
    except Exception:  # Pillow's, by chunk; decoding decides, which minds not all of them
        return False
    return True


def _check_fits(path: Path, size: Size, image_size: Size) -> None:
    if not same_proportions(size, image_size):
        raise UserError(
            f"{path} is {size[1]}x{size[0]} and its image {image_size[1]}x{image_size[0]}; pair the files anew"
        )


def _check_shown(samples: Sequence[Sample], dataset: str, names: dict[int, str], ignore: tuple[int, ...]) -> None:
    """Refuse label maps without any class: masks of 0 and 255, say, pass as background and ignored."""
    labelled = [Path(sample.mask) for sample in samples if sample.mask]
    if not labelled or any(sample.classes for sample in samples):
        return
    values = sorted({value for path in labelled[:_EXAMPLES] for value in label_values(path)})
    ignored = [str(value) for value in values if value in ignore]
    note = f" ({', '.join(ignored)} {'is' if len(ignored) == 1 else 'are'} under `ignore`)" if ignored else ""
    classes = ", ".join(f"{value}: {name}" for value, name in list(names.items())[:5])
    raise UserError(
        f"dataset {dataset}: no label map shows any of the classes {classes}{', ...' if len(names) > 5 else ''}; "
        f"values found: {', '.join(map(str, values))}{note}; give the classes the values that the maps have"
    )


def describe(prepared: Prepared, name: str) -> str:
    """Summarise in one line what a dataset holds, beside what the catalogue expects."""
    entry = lookup(name)
    unit = entry.unit if entry else "images"
    keys = {(sample.split, sample.clip if unit == "clips" else sample.sample_id) for sample in prepared.samples}
    counts = Counter(split for split, _ in keys)
    text = ", ".join(f"{split} {count:,}" for split, count in sorted(counts.items()))
    line = f"{name}: {text} {unit}"
    expected = entry.expected if entry else {}
    if expected and sum(expected.values()) != sum(counts.values()):
        line += f" (published: {entry.expected_text()})" if entry else ""
    return line + (f"; {len(prepared.problems)} files left out" if prepared.problems else "")


def rejected_csv(problems: Sequence[Problem]) -> str:
    """The files left out as CSV: dataset, path, reason."""
    rows = ((problem.dataset, portable(problem.path), problem.reason) for problem in problems)
    return to_csv(("dataset", "path", "reason"), rows)
