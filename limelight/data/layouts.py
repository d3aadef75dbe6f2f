"""Folder layouts of the original systems and the public datasets, and detection of the one that fits a folder."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from limelight.config import Labels, Layout
from limelight.config.patterns import NAME, fixed_part
from limelight.data.patterns import matches
from limelight.foundation.errors import UserError
from limelight.imaging.extensions import EXTENSIONS
from limelight.models.card import Modality

_SPLIT_NAMES = {
    "training": "train",
    "training set": "train",
    "train_set": "train",
    "train2017": "train",
    "val2017": "val",
    "training_set": "train",
    "validation": "val",
    "valid": "val",
    "validation set": "val",
    "validation_set": "val",
    "testing": "test",
    "test_set": "test",
    # DAVSOD's, where not all of its parts are there.
    "davsod_training_set": "train",
    "davsod_validation_set": "val",
    "davsod_test_set_easy_35": "test",
    "easy-35": "test",
}


@dataclass(frozen=True)
class Part:
    """One split of a dataset's folder. Paths are relative to the root and matched without regard to case.

    `{split}` in a path stands for a folder per split, `{clip}` for a folder per clip. One with `{name}` is a pattern of
    file names (`limelight.data.patterns`) instead of a folder; then all paths of the part are patterns.
    """

    image: str
    mask: str | None = None
    """None: the images are unlabelled."""
    companion: str | None = None
    split: str | None = None
    """None: the folder does not say."""
    mask_suffix: str = ""
    """Appended to the image's stem to get the mask's."""
    members: str | None = None
    """A text file that names the part's images (or clips), one per line; None: all of the folder."""
    labelled_only: bool = False
    """Images without a mask are expected, and are skipped silently."""
    include: str | None = None
    """Pattern of the images' relative paths without suffix, or of the clips' names; None: all of them."""

    @property
    def clips(self) -> bool:
        return "{clip}" in self.image

    def includes(self, name: str) -> bool:
        return self.include is None or fnmatchcase(name, self.include)


Parts = tuple[Part, ...]


def _stills(*folders: tuple[str, str], companion: str | None = None) -> list[Parts]:
    """Make layouts of the same folders, flat and below one folder per split."""
    flat: list[Parts] = [(Part(image, mask, companion),) for image, mask in folders]
    divided: list[Parts] = [
        (Part(f"{{split}}/{image}", f"{{split}}/{mask}", companion and f"{{split}}/{companion}"),)
        for image, mask in folders
    ]
    return flat + divided


def _listed(image: str, mask: str, listing: str, splits: Iterable[str]) -> Parts:
    return tuple(Part(image, mask, split=split, members=listing.format(split=split)) for split in splits)


_LISTS = (("train", "val", "test"), ("train", "val"), ("train", "test"), ("train",))
"""Lists of names that may lie beside a KD-SCFNet dataset's folders."""
_STILLS: dict[tuple[Modality, Labels], list[Parts]] = {
    ("rgb", "mask"): [
        *(_listed("image", "mask", "{split}.txt", splits) for splits in _LISTS),  # KD-SCFNet
        *_stills(
            ("images", "GT"),  # SDNet
            ("images", "masks"),  # InSPyReNet, the embedded set
            ("image", "mask"),
            ("imgs", "gt"),
            ("image", "GT"),
            ("RGB", "GT"),
            ("images", "ground_truth_mask"),
        ),
    ],
    ("rgbd", "mask"): [
        *_stills(("RGB", "GT"), companion="depth"),
        *_stills(("images", "masks"), companion="depth"),
        *_stills(("images", "GT"), companion="depth"),
        *_stills(("image", "GT"), companion="depth"),
        *_stills(("RGB", "GT"), companion="depths"),
        *_stills(("LR", "GT"), companion="depth"),
    ],
    ("rgbt", "mask"): [
        *_stills(("RGB", "GT"), companion="T"),
        *_stills(("images", "masks"), companion="thermal"),
        *_stills(("RGB", "GT"), companion="thermal"),
        *_stills(("images", "GT"), companion="thermal"),
    ],
    ("rgb", "classes"): [
        _listed("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/{split}.txt", ("train", "val")),
        *_stills(("images", "labels")),
        (Part("images/{split}", "annotations/{split}"),),
        (Part("images/{split}", "labels/{split}"),),
    ],
    ("rgbd", "classes"): _stills(("images", "labels"), ("RGB", "labels"), companion="depth"),
    ("rgbt", "classes"): _stills(("images", "labels"), ("RGB", "labels"), companion="thermal"),
}
_CLIPS: list[Parts] = [
    (Part("{clip}/Imgs", "{clip}/GT_object_level"),),
    (Part("{clip}/Imgs", "{clip}/ground-truth"),),
    (Part("{split}/{clip}/Imgs", "{split}/{clip}/GT_object_level"),),
    _listed("JPEGImages/480p/{clip}", "Annotations/480p/{clip}", "ImageSets/2016/{split}.txt", ("train", "val")),
    (Part("JPEGImages/480p/{clip}", "Annotations/480p/{clip}"),),
    (Part("JPEGImages/{clip}", "Annotations/{clip}", labelled_only=True),),
]
"""Layouts with images and masks only."""
_BY_NAME: list[Parts] = [
    (Part("{name}", f"{{name}}{end}"),) for end in ("_mask", "-mask", "_gt", "-gt", "_matte", "-matte")
]


def known_layouts(sensor: Modality, labels: Labels) -> list[Parts]:
    """List the layouts to detect in a user's own folder, the most specific first: stills, then clips, then file names.

    Args:
        labels: for 'none', the layouts' label folders are dropped.
    """
    if labels == "none":
        return without_labels(known_layouts(sensor, "mask")) + ([(Part("."),)] if sensor == "rgb" else [])
    kind = "masks" if labels == "mask" else "labels"
    companion = {"rgb": None, "rgbd": "depth", "rgbt": "thermal"}[sensor]
    clips = [
        (Part(f"{clip}/frames", f"{clip}/{kind}", companion and f"{clip}/{companion}"),)
        for clip in ("{split}/clips/{clip}", "{clip}")
    ]
    only_images = (sensor, labels) == ("rgb", "mask")
    return _STILLS[sensor, labels] + clips + (_CLIPS + _BY_NAME if only_images else [])


def without_labels(layouts: Iterable[Parts]) -> list[Parts]:
    """Drop the masks from layouts, and the duplicates that result."""
    return list(dict.fromkeys(tuple(replace(part, mask=None) for part in parts) for parts in layouts))


def from_setting(layout: Layout) -> Parts:
    """Build the parts of a layout given in params.yaml; its paths may hold `{split}`, `{clip}` and `{name}`."""
    image, mask, companion = layout.image, layout.mask, layout.companion
    if any(NAME in path for path in (image, mask, companion) if path):
        image = _named(image)
        mask = None if mask is None else _named(mask)
        companion = None if companion is None else _named(companion)
    return (Part(image, mask, companion),)


def _named(path: str) -> str:
    return path if NAME in path else f"{path}/{NAME}"


def locate(root: Path, relative: str) -> Path | None:
    """Find the file or folder at `relative` below `root`, ignoring case; None if there is none."""
    path = root
    for name in Path(relative).parts:
        exact = path / name
        if not exact.exists():
            if not path.is_dir():
                return None
            exact = next((entry for entry in sorted(path.iterdir()) if entry.name.lower() == name.lower()), exact)
        path = exact
    return path if path.exists() else None


def expand(root: Path, pattern: str, field: str) -> dict[str, str]:
    """Folder name -> `pattern` with `{field}` filled in, for every folder that exists below `root`."""
    before, _, after = pattern.partition(f"{{{field}}}")
    start = locate(root, before) if before else root
    if start is None or not start.is_dir():
        return {}
    names = sorted(entry.name for entry in start.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    filled = {name: f"{before}{name}{after}" for name in names}
    tail = after.partition("{")[0]
    return {name: path for name, path in filled.items() if locate(root, f"{before}{name}{tail}") is not None}


def concrete(root: Path, parts: Parts) -> Parts:
    """Replace each part that has `{split}` by one part per folder found.

    A split without the mask folder that others have is unlabelled; one without their companion folder is left out.
    """
    result: list[Part] = []
    for part in parts:
        if "{split}" not in part.image:
            result.append(part)
            continue
        filled = [_fill_split(part, name) for name in expand(root, part.image, "split")]
        with_companion = [split for split in filled if split.companion and _folder(root, split.companion)]
        filled = with_companion or filled
        labelled = [split for split in filled if split.mask and _folder(root, split.mask)]
        for split in filled:
            result.append(replace(split, mask=None) if labelled and split not in labelled else split)
    return tuple(result)


def _fill_split(part: Part, name: str) -> Part:
    def fill(path: str | None) -> str | None:
        return path and path.replace("{split}", name)

    return replace(
        part,
        image=part.image.replace("{split}", name),
        mask=fill(part.mask),
        companion=fill(part.companion),
        split=split_name(name),
    )


def split_name(folder: str) -> str:
    """Map a folder's name to its split: 'Training' -> 'train', 'Test' -> 'test', else the name in lower case."""
    name = folder.lower()
    return _SPLIT_NAMES.get(name, re.sub(r"[^a-z0-9]+", "_", name).strip("_"))


def resolve(root: Path, candidates: Iterable[Parts]) -> tuple[Path, Parts] | None:
    """Find the first candidate that fits what is below `root`, and the folder that it is relative to.

    Archives often wrap everything in one folder; as long as `root` holds one folder and no pictures, that one is tried
    too. Other files beside it, such as the archive itself, are none of the dataset's.
    """
    candidates = list(candidates)
    while True:
        visible = [entry for entry in root.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        inside = [entry for entry in visible if entry.is_dir() or entry.suffix.lower() in EXTENSIONS]
        wraps = len(inside) == 1 and inside[0].is_dir()
        for parts in candidates:
            if wraps and NAME in parts[0].image and "/" not in parts[0].image:
                continue  # it would match files below, with the wrapping folder in their names
            resolved = concrete(root, parts)
            if _fits(root, resolved):
                return root, resolved
        if not wraps:
            return None
        root = inside[0]


def require(root: Path, candidates: Iterable[Parts], name: str) -> tuple[Path, Parts]:
    """Find a layout as `resolve` does, or raise.

    Raises:
        UserError: none fits; lists what was looked for and what is there.
    """
    candidates = list(candidates)
    resolved = resolve(root, candidates)
    if resolved:
        return resolved
    looked = "; ".join(dict.fromkeys(_describe(parts) for parts in candidates))
    there = ", ".join(sorted(entry.name for entry in root.iterdir())[:12]) or "nothing"
    raise UserError(
        f"dataset {name}: no known layout in {root}, which holds {there}; looked for {looked}; "
        "arrange it so or give `layout: {image: ..., mask: ..., companion: ...}` in params.yaml"
    )


def _describe(parts: Parts) -> str:
    first = parts[0]
    return " + ".join(folder for folder in (first.image, first.companion, first.mask) if folder)


def _folder(root: Path, pattern: str) -> Path | None:
    """Return the folder of a pattern if a file in it matches; with `{clip}`, that of the first clip with a match."""
    if "{clip}" in pattern:
        return next(filter(None, (_folder(root, path) for path in expand(root, pattern, "clip").values())), None)
    path = locate(root, fixed_part(pattern)[0])
    if path is None or not path.is_dir() or (NAME in pattern and not matches(path, pattern)):
        return None
    return path


def _fits(root: Path, parts: Parts) -> bool:
    for part in parts:
        folders = [part.image, part.mask, part.companion]
        if any(_folder(root, folder) is None for folder in folders if folder):
            return False
        if part.members and locate(root, part.members) is None:
            return False
    return bool(parts)
