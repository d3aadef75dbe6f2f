"""What the pixel values of a semantic dataset's label maps mean."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from limelight.data.class_source import ClassSource
from limelight.data.manifest import MANIFEST
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, read_text

BACKGROUND, VOID = 0, -1
"""Labels of pixels of no class, and of unlabelled pixels."""
BACKGROUND_NAME = "background"
VALUES = 1 << 16
"""Exclusive upper bound of a label map's pixel values."""
_LINE = re.compile(r"^\s*(\d+)\s*[:,\s]\s*(.+?)\s*$")


@dataclass(frozen=True)
class Vocabulary:
    """A dataset's classes. Label n, from 1, is names[n - 1], whatever pixel value the dataset's own files give it."""

    names: tuple[str, ...]
    values: tuple[int, ...]
    """Pixel value of each."""
    background: bool
    """Whether there is a background: pixels known to be none of the classes."""

    def labels(self, values_HW: np.ndarray) -> np.ndarray:
        """Map pixel values to labels, int16: 1 to the number of classes, `BACKGROUND` or `VOID`."""
        table = np.full(VALUES, VOID, np.int16)
        if self.background:
            table[0] = BACKGROUND
        table[list(self.values)] = np.arange(1, len(self.values) + 1)
        labels_HW = np.take(table, values_HW, mode="clip")
        labels_HW[(values_HW < 0) | (values_HW >= len(table))] = VOID
        return labels_HW


NO_CLASSES = Vocabulary((), (), background=False)


def vocabulary(dataset: str) -> Vocabulary:
    """Read the classes of a prepared dataset with label maps of class ids.

    Raises:
        UserError: its table is missing or damaged.
    """
    path = MANIFEST.parent / dataset / "classes.json"
    if not path.is_file():
        raise UserError(f"{path} does not exist; run the prepare stage (dvc repro prepare)")
    return _vocabulary(path.absolute(), path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _vocabulary(path: Path, _written: int) -> Vocabulary:
    tree = read_json(path)
    try:
        table = sorted((int(value), name) for value, name in tree["classes"].items())
        return Vocabulary(tuple(name for _, name in table), tuple(value for value, _ in table), tree["background"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is not a table of classes; run the prepare stage anew") from None


def vocabulary_tree(classes: dict[int, str], source: ClassSource) -> dict[str, object]:
    """Build the JSON tree that `vocabulary` reads back."""
    known = {str(value): name for value, name in sorted(classes.items())}
    return {"background": 0 not in classes and 0 not in source.ignore, "classes": known}


def class_names(
    root: Path, source: ClassSource, given: dict[int, str] | None = None, *, default_only: bool = False
) -> dict[int, str]:
    """Read the table of pixel value -> class name, without the ignored values and the background.

    Args:
        given: the user's own table; else a `classes.json` ({"1": "name"}) at the root comes first.
        default_only: `source.ignore` is only a default; then a class with such a value is an error.

    Raises:
        UserError: no table can be found or read, it names no class, or one with a value that no label map can hold.
    """
    table = _table(root, source) if given is None else given
    outside = [value for value in table if not 0 <= value < VALUES]
    if outside:
        raise UserError(
            f"the classes of {root} give {table[outside[0]]!r} pixel value {outside[0]}; label maps hold 0 to "
            f"{VALUES - 1}: correct the number"
        )
    ambiguous = [value for value in source.ignore if value in table] if default_only else []
    if ambiguous:
        raise UserError(
            f"the classes of {root} name pixel value {ambiguous[0]} {table[ambiguous[0]]!r}, which is "
            f"ignored by default; set `ignore: []` in params.yaml if it is a class, `ignore: [{ambiguous[0]}]` if it "
            "marks unlabelled pixels"
        )
    background = {0} if table.get(0, "").strip().casefold() == BACKGROUND_NAME else set()
    left_out = {*source.ignore, *background}
    classes = {value: name for value, name in sorted(table.items()) if value not in left_out}
    if not classes:
        raise UserError(f"the classes of {root} name no class; give each class's pixel value a name")
    return classes


def _table(root: Path, source: ClassSource) -> dict[int, str]:
    own = root / "classes.json"
    if own.is_file():
        table = _read_json(own)
    elif source.file and (root / source.file).is_file():
        lines = _read_lines(root / source.file)
        # COCO's 0 is 'unlabeled', which no pixel value stands for.
        table = {number - source.shift: name for number, name in lines.items() if number >= source.shift}
    elif source.names:
        table = dict(enumerate(source.names, start=1))
    else:
        expected = f"{source.file} or classes.json" if source.file else "classes.json"
        raise UserError(
            f"{root} has no {expected}, which names the classes; add one such as {{'1': 'cat', '2': 'dog'}}, or give "
            "`classes` in params.yaml"
        )
    return table


def _read_json(path: Path) -> dict[int, str]:
    try:
        table = json.loads(read_text(path))
        if not all(isinstance(name, str) for name in table.values()):
            raise ValueError("a name is not a string")
        return {int(value): name for value, name in table.items()}
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"{path} must map pixel values to names, such as {{'1': 'cat'}} ({error}); or give `classes` in params.yaml"
        ) from None


def _read_lines(path: Path) -> dict[int, str]:
    """Read '17: cat' lines, or tab-separated ones with the id first and names last; of synonyms the first counts."""
    table: dict[int, str] = {}
    for line in read_text(path).splitlines():
        match = _LINE.match(line)
        if match:
            names = match.group(2).split("\t")[-1]
            table[int(match.group(1))] = re.split(r"[,;]", names)[0].strip()
    if not table:
        raise UserError(f"{path} holds no 'id: name' line; restore it from the dataset's archive")
    return table


def read_label_map(path: Path) -> np.ndarray:
    """Read the pixel values of a label map, (H, W); of a palette image the indices, not the colours.

    Three equal 8-bit channels are read as one.

    Raises:
        UserError: the file cannot be read or has colours.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("RGB", "RGBA"):
                return _grey(path, image)
            if image.mode not in ("P", "L", "1", "I") and not image.mode.startswith("I;16"):
                raise UserError(f"{path} is a label map of mode {image.mode}; save it with one channel of class ids")
            return np.asarray(image)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be decoded ({error}); replace it") from None


def _grey(path: Path, image: ImageFile.ImageFile) -> np.ndarray:
    if ";16" in str(image.tile):  # Pillow would keep only the upper 8 bits, which are 0 for every small id
        raise UserError(f"{path} has channels of 16 bits; save it with one channel of class ids")
    pixels_HWC = np.asarray(image)
    if (pixels_HWC[..., 1:3] != pixels_HWC[..., :1]).any() or (pixels_HWC[..., 3:] != 255).any():
        raise UserError(f"{path} holds colours, not ids; convert them by the dataset's palette")
    return pixels_HWC[..., 0]


def label_values(path: Path) -> list[int]:
    """The distinct pixel values of a label map, sorted.

    Raises:
        UserError: as `read_label_map`.
    """
    return np.unique(read_label_map(path)).tolist()


def present(path: Path, names: dict[int, str], ignore: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the classes in a label map, in the order of their pixel values.

    Raises:
        UserError: as `label_values`, or a value other than 0 is neither a class nor ignored.
    """
    values = label_values(path)
    unknown = [value for value in values if value not in names and value not in (0, *ignore)]
    if unknown:
        raise UserError(
            f"{path} has pixel values {unknown[:5]} that the table of classes does not name; name them, or list them "
            "under `ignore` in params.yaml"
        )
    return tuple(names[value] for value in values if value in names)
