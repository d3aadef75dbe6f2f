"""The catalogue of public datasets: their folders, counts, terms and download sources."""

from dataclasses import replace

from limelight.config import DatasetRequest, Labels
from limelight.data.catalogue_entries import ENTRIES
from limelight.data.class_source import ClassSource
from limelight.data.dataset import Dataset
from limelight.data.layouts import Parts, from_setting, known_layouts, without_labels
from limelight.foundation.errors import UserError
from limelight.models.card import Modality


def catalogue() -> dict[str, Dataset]:
    """Every dataset by name, in the order of the documentation."""
    return {entry.name: entry for entry in ENTRIES}


def lookup(name: str) -> Dataset | None:
    """Look up a dataset by name, ignoring case; None if the catalogue has none."""
    return next((entry for key, entry in catalogue().items() if key.lower() == name.lower()), None)


def sensor_of(request: DatasetRequest) -> Modality:
    """Return a requested dataset's sensor: the request's if given, else the catalogue's."""
    entry = lookup(request.name)
    return request.sensor if "sensor" in request.model_fields_set or entry is None else entry.sensor


def labels_of(request: DatasetRequest) -> Labels:
    """Return a requested dataset's kind of labels: the request's if given, else the catalogue's.

    Raises:
        UserError: the request describes label maps, and the dataset has none.
    """
    entry = lookup(request.name)
    labels = request.labels if "labels" in request.model_fields_set or entry is None else entry.labels
    for key in ("classes", "ignore"):
        if labels != "classes" and getattr(request, key) is not None:
            raise UserError(
                f"dataset {request.name} has labels {labels} and `{key}`, which is for label maps; set "
                f"`labels: classes`, or take `{key}` out"
            )
    return labels


def class_source(request: DatasetRequest) -> ClassSource:
    """Return how to read a requested dataset's label maps: the catalogue's way, overridden by the request.

    A value that the request names as a class is not ignored.
    """
    entry = lookup(request.name)
    source = (entry.classes if entry else None) or ClassSource()
    ignore = source.ignore if request.ignore is None else request.ignore
    return replace(source, ignore=tuple(value for value in ignore if value not in (request.classes or ())))


def ignores_by_default(request: DatasetRequest) -> bool:
    """Whether 255 is ignored by default only: neither the request nor the catalogue mentions it."""
    entry = lookup(request.name)
    return request.ignore is None and not (entry and entry.classes)


def layout_candidates(request: DatasetRequest) -> list[Parts]:
    """List the layouts to try on a requested dataset's folder, in order: only the request's own, else the catalogue's,
    else those known for its sensor and labels."""
    sensor, labels = sensor_of(request), labels_of(request)
    if request.layout is not None:
        candidates = [from_setting(request.layout)]
    else:
        entry = lookup(request.name)
        fits = entry and entry.sensor == sensor and labels in (entry.labels, "none")
        candidates = [*(entry.layouts if entry and fits else ()), *known_layouts(sensor, labels)]
    return without_labels(candidates) if labels == "none" else candidates


def default_split(request: DatasetRequest) -> str | dict[str, float]:
    """Return the split, or the shares of splits, of samples whose folders name no split.

    Raises:
        UserError: neither the request nor the catalogue gives one.
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
    lines = ["| name | sensor | labels | what | expected | licence | source |", f"|{' --- |' * 7}"]
    for entry in catalogue().values():
        source = f"[by hand]({entry.homepage})" if entry.homepage else "comes with it" if entry.pack else "drawn"
        lines.append(
            f"| `{entry.name}` | {entry.sensor} | {entry.labels} | {entry.title} | {entry.expected_text()} "
            f"| {entry.licence} | {source} |"
        )
    return "\n".join(lines) + "\n"
