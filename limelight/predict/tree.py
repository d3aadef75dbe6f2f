"""Predict whole trees of pictures: resumable, without repeated work, failures listed.

A results folder holds `limelight.json`, the settings of its last run; `limelight.done.jsonl`, the inputs and settings
of each result, so that an interrupted run can be resumed and replaces no results of other settings (see
`limelight.predict.done`); and, where there are any, `failures.csv`, what failed wholly or partly, and why.
"""

import errno
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_bytes, write_json
from limelight.foundation.progress import progress
from limelight.foundation.scratch import sweep
from limelight.imaging.images import Picture, read_picture
from limelight.inference.backends.backend import MAX_BATCH_SIZE
from limelight.media.sources import RECORD, Source, path_text
from limelight.predict.done import DONE, Done, Stamp, stamp_of
from limelight.predict.failures import FAILURES, list_failures
from limelight.predict.job import Job
from limelight.predict.styles import LabelStyle, Result, Style

LEGEND = "classes.json"
_THREADS = 2
"""Threads that decode and encode while the network runs; both release the interpreter's lock."""
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
"""Errors that concern one result only: its name is too long, invalid on this disk, or taken by another kind of file."""


@dataclass(frozen=True)
class Companions:
    """The companions of a tree of pictures."""

    modality: str
    """'rgbd' or 'rgbt'."""
    folder: Path
    """Their folder; a file, for a single picture."""
    paths: Mapping[Source, Path | UserError]
    """Each picture's companion, or why there is none."""


@dataclass
class Report:
    """Outcome of a run."""

    written: int = 0
    skipped: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)
    """Pictures that failed, lack a result or were used only in part, with the reason."""
    in_part: int = 0
    """How many of these have a result, of a part of them."""
    interrupted: bool = False
    """Whether Ctrl-C ended it."""
    notes: list[tuple[Path, str]] = field(default_factory=list)
    """Remarks on pictures whose results are complete."""

    def add(self, path: Path, picture: Picture | UserError, error: UserError | None) -> None:
        """Count a picture, and record the errors of the picture or its results."""
        if error is not None or isinstance(picture, UserError):
            self.failures.append((path, str(error or picture)))
            return
        self.written += 1
        self.notes += [(path, note) for note in picture.photo.notes]
        if picture.photo.omitted:
            self.add_in_part(path, picture.photo.omitted)

    def add_in_part(self, path: Path, omitted: str) -> None:
        """Record a picture with a result of a part of it."""
        self.failures.append((path, omitted))
        self.in_part += 1


def predict_tree(
    job: Job,
    sources: Sequence[Source],
    folder: Path,
    *,
    given: Sequence[Path] = (),
    refused: Sequence[tuple[Path, str]] = (),
    companions: Companions | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Report:
    """Predict every source and write its results to their places below `folder`, with a legend if they have labels.

    Finished results of an earlier run with the same settings are kept, unless their picture or companion has changed
    since, or a result's size differs from the one recorded.

    Args:
        job: for the companions' modality.
        given: absolute paths of the folders that the sources were found in.
        refused: further files to list as failures, with the reason.
        companions: the sources' companions; a source whose companion is missing or unusable counts as a failure.
        overwrite: replace any existing file where a result goes, including results of other settings.
        quiet: show no progress.

    Returns:
        What became of them; after Ctrl-C, up to where it was.

    Raises:
        UserError: a result would replace a source, another source's result, one of other settings or something that
            this program did not make, or the disk is full.
    """
    targets = {source: [folder / f"{source.relative}{ending}" for ending in job.style.endings] for source in sources}
    inputs = {source: [source.path, *_companion_paths(source, companions)] for source in sources}
    _refuse_to_destroy([*chain(*inputs.values()), *job.style.files], targets)
    report = Report(failures=list(refused))
    stamps = {source: stamp_of(inputs[source]) for source in sources}
    done = _begin(folder, job.record() | _record(companions), targets, stamps, overwrite, report)
    if isinstance(job.style, LabelStyle):
        write_json(folder / LEGEND, job.style.legend)
    kept = {
        source: finished
        for source in sources
        if not overwrite and (finished := done.find(source.relative, stamps[source], targets[source]))
    }
    todo = [source for source in sources if source not in kept]
    report.skipped = len(kept)
    for source, finished in kept.items():
        if finished.omitted:
            report.add_in_part(source.path, finished.omitted)
    written: list[Source] = []

    def finish(source: Source, picture: Picture | UserError, prediction: Result | UserError) -> UserError | None:
        if isinstance(picture, UserError):
            return picture
        if isinstance(prediction, UserError):
            return prediction
        error, sizes = _write(job.style, targets[source], picture, prediction)
        stamp = stamps[source]
        if error is None:
            written.append(source)
        if error is None and stamp is not None:
            done.add(source.relative, source.path, stamp, sizes, picture.photo.omitted)
        return error

    show = progress(len(todo), "predicting", quiet=quiet)
    try:
        with ThreadPoolExecutor(_THREADS) as pool, show as advance:
            begun = (
                (chunk, pictures, pool.map(finish, chunk, pictures, _predicted(job, pictures)))
                for chunk, pictures in _read_ahead(todo, companions, job, pool)
            )
            # Each chunk is waited for once the next has been predicted: it is encoded meanwhile.
            for (chunk, pictures, errors), _ in pairwise(chain(begun, [((), (), ())])):
                for source, picture, error in zip(chunk, pictures, errors, strict=True):
                    report.add(source.path, picture, error)
                advance(len(chunk), "")
    except KeyboardInterrupt:
        report.interrupted, report.written = True, len(written)  # those of the chunk in hand, too
    report.failures.sort()
    list_failures(folder / FAILURES, report.failures, [*given, *(source.path for source in sources)])
    return report


def _begin(
    folder: Path,
    record: dict[str, Any],
    targets: dict[Source, list[Path]],
    stamps: Mapping[Source, Stamp | None],
    overwrite: bool,
    report: Report,
) -> Done:
    """Check existing results, write the record if it changed, and remove what killed runs left."""
    try:
        known = read_json(folder / RECORD)
    except UserError:
        known = None
    done = Done(folder / DONE, record)
    existing = {source: target for source, made in targets.items() if (target := next(filter(_exists, made), None))}
    for source, target in existing.items():
        refusal = done.refusal(source.relative, target, source.path, stamps[source], unknown_is_ours=known == record)
        if refusal is not None and not overwrite:
            raise refusal
        if refusal is not None:  # an interrupted --overwrite is resumed without it
            done.add(source.relative, source.path, [], [])
    for place in {target.parent for made in targets.values() for target in made}:
        sweep(place)
    if known != record:
        write_json(folder / RECORD, record)
    elif done.is_new and existing:
        report.notes.append((folder, f"had no {DONE}, which records what results were made from; they were made again"))
    return done


def _predicted(job: Job, pictures: Sequence[Picture | UserError]) -> list[Result | UserError]:
    """Return each picture's prediction, or the error in its place."""
    predictions = iter(job.predict_each([picture for picture in pictures if isinstance(picture, Picture)]))
    return [picture if isinstance(picture, UserError) else next(predictions) for picture in pictures]


def _companion_paths(source: Source, companions: Companions | None) -> list[Path]:
    path = companions and companions.paths[source]
    return [path] if isinstance(path, Path) else []


def _record(companions: Companions | None) -> dict[str, Any]:
    return {"companions": [companions.modality, path_text(companions.folder)]} if companions else {}


def _refuse_to_destroy(given: Sequence[Path], targets: dict[Source, list[Path]]) -> None:
    resolved = cache(Path.resolve)
    pictures = {resolved(path.parent) / path.name for path in given}
    pictures |= {path.resolve() for path in given if path.is_symlink()}
    results = Counter(resolved(target.parent) / target.name for made in targets.values() for target in made)
    for target, count in results.items():
        if target in pictures:
            raise UserError(f"{target} is itself one of the pictures; write the results to another folder (--output)")
        if count > 1:
            raise UserError(f"{target} would be a result of two pictures; rename one of them")


def _exists(path: Path) -> bool:
    """Whether a path exists; works for names longer than the disk allows, on which Path's own methods fail."""
    try:
        return path.exists()
    except OSError:
        return False


def _read_ahead(
    sources: Sequence[Source], companions: Companions | None, job: Job, pool: ThreadPoolExecutor
) -> Iterator[tuple[Sequence[Source], list[Picture | UserError]]]:
    """Yield batches of sources with their pictures or errors, decoding the next batch while one is in use."""

    batch_size = job.batch_size or MAX_BATCH_SIZE
    read = partial(_read, companions=companions, max_pixels=job.style.max_pixels)

    def submit(start: int) -> Any:
        return pool.map(read, sources[start : start + batch_size])

    prefetched = submit(0)
    for start in range(0, len(sources), batch_size):
        pictures = list(prefetched)
        prefetched = submit(start + batch_size)
        yield sources[start : start + batch_size], pictures


def _read(source: Source, companions: Companions | None, max_pixels: int) -> Picture | UserError:
    if companions is None:
        companion, modality = None, "rgb"
    else:
        companion, modality = companions.paths[source], companions.modality
    if isinstance(companion, UserError):
        return companion
    try:
        return read_picture(source.path, companion, modality, max_pixels)
    except UserError as error:
        return error


def _write(
    style: Style, targets: Sequence[Path], picture: Picture, prediction: Result
) -> tuple[UserError | None, list[int]]:
    """Write a picture's results; return the first error of those that failed, and the sizes of the others in bytes.

    Raises:
        UserError: the disk is full or not writable, which affects every other result too.
    """
    failure, sizes = None, []
    try:
        contents = style.render(picture.photo, prediction)
    except UserError as error:
        return error, []
    for target, content in zip(targets, contents, strict=True):
        try:
            write_bytes(target, content)
            sizes.append(len(content))
        except UserError as error:
            refused = error.__cause__
            if not isinstance(refused, OSError) or refused.errno not in _NAME_ERRORS:
                raise
            failure = failure or UserError(
                f"cannot write {target}: {refused.strerror}; rename the picture, or shorten the class"
            )
    return failure, sizes
