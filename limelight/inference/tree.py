"""Predictions for whole trees of pictures: nothing lost, nothing done twice, failures listed.

A folder of results holds `limelight.json`, the settings that they were made with, so that an interrupted run is resumed
and never mixed with another's results; and `failures.csv`, the pictures that could not be read, where there are any.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limelight.inference.pictures import Picture, read_picture
from limelight.inference.predictor import Predictor
from limelight.inference.saliency import Prediction
from limelight.media.outputs import Output, adjust, write_output
from limelight.media.sources import Source
from limelight.progress import progress
from models.errors import UserError
from models.files import read_json, write_json, write_text

RECORD, FAILURES = "limelight.json", "failures.csv"
_THREADS = 2
"""That decode and encode beside the network; both release the interpreter's lock."""


@dataclass(frozen=True)
class Style:
    """What is made of each prediction."""

    output: Output
    threshold: float | None = None
    reverse: bool = False

    def render(self, image_HW3: np.ndarray, saliency_HW: np.ndarray) -> np.ndarray:
        """The array to write for one picture; see `limelight.media.outputs`."""
        return self.output.render(image_HW3, adjust(saliency_HW, threshold=self.threshold, reverse=self.reverse))


@dataclass(frozen=True)
class Companions:
    """The second pictures of a tree."""

    modality: str
    """'rgbd' or 'rgbt'."""
    folder: Path
    """Where they are from; a file, for a single picture."""
    paths: Mapping[Source, Path | UserError]
    """Or why there is none."""


@dataclass(frozen=True)
class Report:
    """How a run went."""

    written: int
    skipped: int
    failures: list[tuple[Path, str]]
    """Pictures that could not be read, and why."""


def predict_tree(
    predictor: Predictor,
    sources: Sequence[Source],
    folder: Path,
    style: Style,
    *,
    companions: Companions | None = None,
    batch_size: int = 8,
    overwrite: bool = False,
    quiet: bool = False,
) -> Report:
    """Predict every source and write its result to its place below `folder`.

    Results that an earlier run with the same settings has finished are kept, unless their picture or its companion has
    changed since.

    Args:
        companions: of the sources; a source whose companion is missing or cannot be used is one of the failures.
        overwrite: replace whatever stands where a result goes, other settings' results included.
        quiet: show no progress.

    Raises:
        UserError: a result would replace a source or something that this run did not make, or the disk is full.
    """
    targets = {source: folder / f"{source.relative}{style.output.suffix}" for source in sources}
    record = _record(predictor, style, companions)
    inputs = {source: [source.path, *_companion_paths(source, companions)] for source in sources}
    _refuse_to_destroy(inputs, targets, folder, record, overwrite)
    todo = [source for source in sources if overwrite or not _is_done(inputs[source], targets[source])]
    write_json(folder / RECORD, record)
    failures: list[tuple[Path, str]] = []
    show = nullcontext(lambda items, note: None) if quiet else progress(len(todo), "predicting")
    with ThreadPoolExecutor(_THREADS) as pool, show as advance:
        for chunk, pictures in _read_ahead(todo, companions, batch_size, pool):
            pairs = list(zip(chunk, pictures, strict=True))
            failures += [(source.path, str(found)) for source, found in pairs if isinstance(found, UserError)]
            readable = [(targets[source], found) for source, found in pairs if isinstance(found, Picture)]
            predictions = predictor.predict(
                [picture.image_HW3 for _, picture in readable],
                [picture.companion_HW for _, picture in readable],
                modality=companions and companions.modality,
                batch_size=batch_size,
            )
            list(pool.map(partial(_write, style), readable, predictions))
            advance(len(chunk), "")
    _list_failures(folder / FAILURES, failures)
    return Report(len(todo) - len(failures), len(sources) - len(todo), failures)


def _companion_paths(source: Source, companions: Companions | None) -> list[Path]:
    found = companions and companions.paths[source]
    return [found] if isinstance(found, Path) else []


def _record(predictor: Predictor, style: Style, companions: Companions | None) -> dict[str, Any]:
    """What a result depends on besides its picture."""
    second = {"companions": [companions.modality, str(companions.folder.resolve())]} if companions else {}
    return {
        "weights": predictor.card.sha256,
        "size": list(predictor.size),
        "number_format": predictor.number_format,
        "kind": style.output.name,
        "threshold": style.threshold,
        "reverse": style.reverse,
        **second,
    }


def _refuse_to_destroy(
    inputs: dict[Source, list[Path]], targets: dict[Source, Path], folder: Path, record: dict[str, Any], overwrite: bool
) -> None:
    pictures = {path.parent.resolve() / path.name for paths in inputs.values() for path in paths}
    for target in targets.values():
        if target.parent.resolve() / target.name in pictures:
            raise UserError(f"{target} is itself one of the pictures; write the results to another folder (--output)")
    known = folder / RECORD
    if overwrite or (known.is_file() and read_json(known) == record):
        return
    existing = next((target for target in targets.values() if target.exists()), None)
    if existing is not None:
        raise UserError(
            f"{existing} exists and was made with other settings or by something else; "
            "choose another --output, or --overwrite it"
        )


def _is_done(inputs: Sequence[Path], target: Path) -> bool:
    return target.is_file() and all(target.stat().st_mtime >= path.stat().st_mtime for path in inputs)


def _read_ahead(
    sources: Sequence[Source], companions: Companions | None, batch_size: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[Sequence[Source], list[Picture | UserError]]]:
    """Batches of sources with their pictures, or why there is none; the next batch is decoded while one is in use."""

    def submit(start: int) -> Any:
        return pool.map(partial(_read, companions=companions), sources[start : start + batch_size])

    ahead = submit(0)
    for start in range(0, len(sources), batch_size):
        pictures = list(ahead)
        ahead = submit(start + batch_size)
        yield sources[start : start + batch_size], pictures


def _read(source: Source, companions: Companions | None) -> Picture | UserError:
    if companions is None:
        companion, modality = None, "rgb"
    else:
        companion, modality = companions.paths[source], companions.modality
    if isinstance(companion, UserError):
        return companion
    try:
        return read_picture(source.path, companion, modality)
    except UserError as error:
        return error


def _write(style: Style, place: tuple[Path, Picture], prediction: Prediction) -> None:
    target, picture = place
    write_output(target, style.render(picture.image_HW3, prediction.saliency_HW))


def _list_failures(path: Path, failures: list[tuple[Path, str]]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("source", "reason"))
    writer.writerows(failures)
    # A file's name may be bytes that are no text.
    write_text(path, table.getvalue().encode("utf-8", "backslashreplace").decode())
