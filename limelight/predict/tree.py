"""Predictions for whole trees of pictures: nothing lost, nothing done twice, failures listed.

A folder of results holds `limelight.json`, the settings that they were made with, so that an interrupted run is resumed
and never mixed with another's results; and `failures.csv`, the pictures that could not be read, where there are any.
"""

import csv
import errno
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from limelight.inference.pictures import Picture, read_picture
from limelight.inference.predictor import MOST_AT_ONCE
from limelight.media.sources import RECORD, Source, path_text
from limelight.predict.job import Found, Job
from limelight.predict.styles import Style, WordStyle
from limelight.progress import progress
from models.errors import UserError
from models.files import read_json, write_bytes, write_json, write_text

FAILURES, LEGEND = "failures.csv", "classes.json"
_THREADS = 2
"""That decode and encode beside the network; both release the interpreter's lock."""
_OF_THE_NAME = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
"""Errors of one result alone: its name is too long, holds what the disk does not take, or is taken by another kind."""


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
    """Pictures of which nothing, or not every result, could be made, and why."""


def predict_tree(
    job: Job,
    sources: Sequence[Source],
    folder: Path,
    *,
    companions: Companions | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Report:
    """Predict every source and write its results to their places below `folder`, with a legend if they have labels.

    Results that an earlier run with the same settings has finished are kept, unless their picture or its companion has
    changed since. Those from before the folder's settings changed are made anew.

    Args:
        job: of the companions' modality.
        companions: of the sources; a source whose companion is missing or cannot be used is one of the failures.
        overwrite: replace whatever stands where a result goes, other settings' results included.
        quiet: show no progress.

    Raises:
        UserError: a result would replace a source, another result or something that this run did not make, or the disk
            is full.
    """
    targets = {source: [folder / f"{source.relative}{ending}" for ending in job.style.endings] for source in sources}
    record = job.record() | _record(companions)
    inputs = {source: [source.path, *_companion_paths(source, companions)] for source in sources}
    _refuse_to_destroy(inputs, targets)
    _keep_record(folder / RECORD, record, targets, overwrite)
    todo = [
        source for source in sources if overwrite or not _is_done([*inputs[source], folder / RECORD], targets[source])
    ]
    if isinstance(job.style, WordStyle):
        write_json(folder / LEGEND, job.style.legend)
    failures: list[tuple[Path, str]] = []
    show = nullcontext(lambda items, note: None) if quiet else progress(len(todo), "predicting")
    with ThreadPoolExecutor(_THREADS) as pool, show as advance:
        for chunk, pictures in _read_ahead(todo, companions, job.batch_size or MOST_AT_ONCE, pool):
            found = _predicted(job, pictures)
            errors = pool.map(partial(_write, job.style), [targets[source] for source in chunk], pictures, found)
            failures += [(source.path, str(error)) for source, error in zip(chunk, errors, strict=True) if error]
            advance(len(chunk), "")
    _list_failures(folder / FAILURES, failures)
    return Report(len(todo) - len(failures), len(sources) - len(todo), failures)


def _predicted(job: Job, pictures: Sequence[Picture | UserError]) -> list[Found | UserError]:
    """Predictions, or why there is none."""
    found = iter(job.predict_each([picture for picture in pictures if isinstance(picture, Picture)]))
    return [picture if isinstance(picture, UserError) else next(found) for picture in pictures]


def _companion_paths(source: Source, companions: Companions | None) -> list[Path]:
    found = companions and companions.paths[source]
    return [found] if isinstance(found, Path) else []


def _record(companions: Companions | None) -> dict[str, Any]:
    return {"companions": [companions.modality, path_text(companions.folder)]} if companions else {}


def _refuse_to_destroy(inputs: dict[Source, list[Path]], targets: dict[Source, list[Path]]) -> None:
    pictures = {path.parent.resolve() / path.name for paths in inputs.values() for path in paths}
    results = Counter(target.parent.resolve() / target.name for made in targets.values() for target in made)
    for target, count in results.items():
        if target in pictures:
            raise UserError(f"{target} is itself one of the pictures; write the results to another folder (--output)")
        if count > 1:
            raise UserError(f"{target} would be a result of two pictures; rename one of them")


def _keep_record(path: Path, record: dict[str, Any], targets: dict[Source, list[Path]], overwrite: bool) -> None:
    """Write the record where it is another: the file's age then tells which results were made before it."""
    try:
        known = read_json(path)
    except UserError:
        known = None
    if known == record:
        return
    existing = next((target for made in targets.values() for target in made if _exists(target)), None)
    if existing is not None and not overwrite:
        raise UserError(
            f"{existing} exists and was made with other settings or by something else; "
            "choose another --output, or --overwrite it"
        )
    write_json(path, record)


def _is_done(inputs: Sequence[Path], targets: Sequence[Path]) -> bool:
    """Whether all targets are files, none of them older than an input."""
    latest = max(path.stat().st_mtime_ns for path in inputs)
    return all(_exists(target) and target.is_file() and target.stat().st_mtime_ns >= latest for target in targets)


def _exists(path: Path) -> bool:
    """Of a name too that is longer than the disk takes, which Path's own methods fail on."""
    try:
        return path.exists()
    except OSError:
        return False


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


def _write(
    style: Style, targets: Sequence[Path], picture: Picture | UserError, found: Found | UserError
) -> UserError | None:
    """Returns what kept the prediction, or the first of its results that is missing, from being written.

    Raises:
        UserError: the disk is full or not writable, which no other result would be spared.
    """
    if isinstance(found, UserError):
        return found
    failure = None
    for target, content in zip(targets, style.render(picture, found), strict=True):
        try:
            write_bytes(target, content)
        except UserError as error:
            refused = error.__cause__
            if not isinstance(refused, OSError) or refused.errno not in _OF_THE_NAME:
                raise
            failure = failure or UserError(
                f"cannot write {target}: {refused.strerror}; rename the picture, or shorten the class"
            )
    return failure


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
