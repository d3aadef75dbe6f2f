"""What is known of a public dataset: its folders, its counts, its terms, and where to get it."""

from dataclasses import dataclass, replace

from limelight.config import DatasetRequest
from limelight.data.layouts import KNOWN, Parts, from_setting
from limelight.foundation.errors import UserError

UNKNOWN_LICENCE = "unknown, research use"
OWN_LICENCE = "MIT, as this repository"


@dataclass(frozen=True)
class ClassSource:
    """Where a dataset keeps the names of its classes, and how its label maps count."""

    file: str | None = None
    """Below the root: 'id: name' lines, or a table with the id first and the name last."""
    names: tuple[str, ...] = ()
    """Names of pixel values 1, 2, ... where the dataset has no such file."""
    shift: int = 0
    """Class id of the file = pixel value + shift."""
    ignore: tuple[int, ...] = (255,)
    """Pixel values that say nothing: borders, unlabelled. 0, where it is none of them and no class, is background."""


@dataclass(frozen=True)
class Dataset:
    """One entry of the catalogue."""

    name: str
    modality: str
    title: str
    layouts: tuple[Parts, ...]
    """Relative to data/datasets/<name>; the first that fits counts. Empty: those of `layouts.KNOWN`."""
    expected: dict[str, int]
    """Split -> number of `unit`s, as published. Empty where it depends on settings."""
    licence: str
    homepage: str = ""
    fetch: str = ""
    """What to download by hand, and what of it goes where."""
    split: str | dict[str, float] | None = None
    """Where the folders themselves say nothing; shares are drawn per image, or per clip."""
    unit: str = "images"
    classes: ClassSource | None = None
    soft_masks: bool = False
    """Grey levels between are meant, so masks need not be black and white."""
    pack: bool = False
    """Comes with the repository, in data/raw."""

    def expected_text(self) -> str:
        """'train 700, test 300 images', or 'as set' where it depends on settings."""
        if not self.expected:
            return "as set"
        counts = ", ".join(f"{split} {count:,}" for split, count in self.expected.items())
        return f"{counts} {self.unit}"


def catalogue() -> dict[str, Dataset]:
    """Every dataset by name, in the order of the documentation."""
    from limelight.data.catalogue_entries import ENTRIES

    return {entry.name: entry for entry in ENTRIES}


def lookup(name: str) -> Dataset | None:
    """The entry of this name, letters' case aside; None where the catalogue has none."""
    return next((entry for key, entry in catalogue().items() if key.lower() == name.lower()), None)


def dataset_modality(request: DatasetRequest) -> str:
    """The modality of a requested dataset: what the request says where it says something, else the catalogue's.

    Raises:
        UserError: the request says what label maps mean, and the dataset has none.
    """
    entry = lookup(request.name)
    modality = request.modality if "modality" in request.model_fields_set or entry is None else entry.modality
    for key in ("classes", "ignore"):
        if modality != "text" and getattr(request, key) is not None:
            raise UserError(
                f"dataset {request.name} has modality {modality} and `{key}`, which is for label maps; set "
                f"`modality: text`, or take `{key}` out"
            )
    return modality


def class_source(request: DatasetRequest) -> ClassSource:
    """How a requested dataset's label maps count: the catalogue's way, with what the request says otherwise.

    A value that the request names as a class is not ignored.
    """
    entry = lookup(request.name)
    source = (entry.classes if entry else None) or ClassSource()
    ignore = source.ignore if request.ignore is None else request.ignore
    return replace(source, ignore=tuple(value for value in ignore if value not in (request.classes or ())))


def ignores_unasked(request: DatasetRequest) -> bool:
    """Whether 255 is ignored only because nobody, neither the request nor the catalogue, says anything of it."""
    entry = lookup(request.name)
    return request.ignore is None and not (entry and entry.classes)


def layout_candidates(request: DatasetRequest) -> list[Parts]:
    """Layouts to try on a requested dataset's folder, in order: the request's own alone, else the catalogue's, else
    those known for its modality."""
    if request.layout is not None:
        return [from_setting(request.layout)]
    modality = dataset_modality(request)
    entry = lookup(request.name)
    own = list(entry.layouts) if entry and entry.modality == modality else []
    return own + KNOWN[modality]


def default_split(request: DatasetRequest) -> str | dict[str, float]:
    """Where the samples go whose folders name no split.

    Raises:
        UserError: neither the request nor the catalogue says.
    """
    entry = lookup(request.name)
    split = request.split or (entry.split if entry else None)
    if split is None:
        raise UserError(
            f"dataset {request.name}: its folders name no split; give `split: train` (one for all) or shares such as "
            "`split: {train: 0.8, val: 0.1, test: 0.1}` in params.yaml"
        )
    return split


def markdown_table() -> str:
    """The catalogue as the Markdown table of docs/data.md."""
    lines = ["| name | modality | what | expected | licence | source |", "| --- | --- | --- | --- | --- | --- |"]
    for entry in catalogue().values():
        source = f"[by hand]({entry.homepage})" if entry.homepage else "comes with it" if entry.pack else "drawn"
        lines.append(
            f"| `{entry.name}` | {entry.modality} | {entry.title} | {entry.expected_text()} | {entry.licence} "
            f"| {source} |"
        )
    return "\n".join(lines) + "\n"
