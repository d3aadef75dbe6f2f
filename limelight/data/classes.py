"""What the pixel values of a semantic dataset's label maps mean."""

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from limelight.data.catalogue import ClassSource
from models.errors import UserError

_LINE = re.compile(r"^\s*(\d+)\s*[:,\s]\s*(.+?)\s*$")


def class_names(root: Path, source: ClassSource | None) -> dict[int, str]:
    """Pixel value -> class name, without the ignored values. A `classes.json` ({"1": "name"}) at the root comes first.

    Raises:
        UserError: no table can be found or read.
    """
    own = root / "classes.json"
    source = source or ClassSource()
    if own.is_file():
        table = _read_json(own)
    elif source.file and (root / source.file).is_file():
        table = {number - source.shift: name for number, name in _read_lines(root / source.file).items()}
    elif source.names:
        table = dict(enumerate(source.names, start=1))
    else:
        wanted = f"{source.file} or classes.json" if source.file else "classes.json"
        raise UserError(f"{root} has no {wanted}, which names the classes; add one such as {{'1': 'cat', '2': 'dog'}}")
    return {value: name for value, name in sorted(table.items()) if value not in source.ignore and value >= 0}


def _read_json(path: Path) -> dict[int, str]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(name, str) for name in table.values()):
            raise ValueError("a name is not a string")
        return {int(value): name for value, name in table.items()}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} must map pixel values to names, such as {{'1': 'cat'}} ({error})") from None


def _read_lines(path: Path) -> dict[int, str]:
    """'17: cat', or tab-separated with the id first and the names last; the first of several synonyms counts."""
    table: dict[int, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        match = _LINE.match(line)
        if match:
            names = match.group(2).split("\t")[-1]
            table[int(match.group(1))] = re.split(r"[,;]", names)[0].strip()
    if not table:
        raise UserError(f"{path} holds no 'id: name' line; restore it from the dataset's archive")
    return table


def label_map(path: Path) -> np.ndarray:
    """The pixel values of a label map, (H, W); of a palette image the indices, not the colours.

    Raises:
        UserError: the file cannot be read or has more than one channel.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1", "I", "I;16"):
                raise UserError(f"{path} is a label map of mode {image.mode}; it must have one channel of class ids")
            return np.asarray(image)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be decoded ({error}); replace it") from None


def label_values(path: Path) -> list[int]:
    """The distinct pixel values of a label map, sorted.

    Raises:
        UserError: as `label_map`.
    """
    return np.unique(label_map(path)).tolist()


def present(path: Path, names: dict[int, str], ignore: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the classes in a label map, in the order of their pixel values.

    Raises:
        UserError: as `label_values`, or a value is neither a class nor ignored.
    """
    values = [value for value in label_values(path) if value not in ignore]
    unknown = [value for value in values if value not in names]
    if unknown:
        raise UserError(f"{path} has pixel values {unknown[:5]} that the table of classes does not name")
    return tuple(names[value] for value in values)
