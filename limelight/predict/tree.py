"""Predict whole trees of pictures: resumable, without repeated work, failures listed.

A results folder holds `limelight.json`, the settings of its last run; `limelight.done.jsonl`, the inputs and settings
of each result, so that an interrupted run can be resumed and replaces no results of other settings (see
`limelight.predict.done`); and, where there are any, `failures.csv`, what failed wholly or partly, and why.
"""

import errno
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_bytes, write_json
from limelight.foundation.progress import Advance, progress
from limelight.foundation.scratch import sweep
from limelight.imaging.images import Picture, read_picture
from limelight.inference.backends.backend import MAX_BATCH_SIZE
from limelight.media.sources import RECORD, Source, path_text
from limelight.predict.done import DONE, Done, stamp_of
from limelight.predict.failures import FAILURES, Failure, list_failures
from limelight.predict.job import PictureJob
from limelight.predict.styles import LabelStyle, Result, Style

LEGEND = "classes.json"
_THREADS = 2
"""Threads that decode and encode while the network runs; both release the interpreter's lock."""
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
"""Errors that concern one result only: its name is too long, invalid on this disk, or taken by another kind of file."""

_Processed = tuple[Source, Picture | UserError]
"""A picture whose results are written, or why it or one of them failed."""


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
class TreeReport:
    """What became of a tree of pictures."""

    written: int = 0
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)
    """Pictures that failed, lack a result or were used only in part, with the reason."""
    in_part: int = 0
    """How many of these have a result, of a part of them."""
    interrupted: bool = False
    """Whether Ctrl-C ended it."""
    notes: list[tuple[Path, str]] = field(default_factory=list)
    """Remarks on pictures whose results are complete."""

    def add_in_part(self, path: Path, omitted: str) -> None:
        """Record a picture with a result of a part of it."""
        self.failures.append((path, omitted))
        self.in_part += 1


def predict_tree(
    job: PictureJob,
    sources: Sequence[Source],
    folder: Path,
    *,
    given: Sequence[Path] = (),
    refused: Sequence[Failure] = (),
    companions: Companions | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> TreeReport:
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
    run = _TreeRun(job, sources, folder, companions)
    run.report.failures += refused
    run.begin(overwrite=overwrite)
    todo = sources if overwrite else run.unfinished()
    try:
        run.predict(todo, quiet=quiet)
    except KeyboardInterrupt:
        run.report.interrupted = True
    run.report.written = len(run.written)
    run.report.failures.sort()
    list_failures(folder / FAILURES, run.report.failures, [*given, *(source.path for source in sources)])
    return run.report


class _TreeRun:
    """One run over a tree of pictures.

    Raises:
        UserError: a result would replace a source or another source's result.
    """

    def __init__(self, job: PictureJob, sources: Sequence[Source], folder: Path, companions: Companions | None) -> None:
        self.report = TreeReport()
        self.written: list[Source] = []
        self._job, self._folder, self._companions = job, folder, companions
        self._targets = {
            source: [folder / f"{source.relative}{ending}" for ending in job.style.endings] for source in sources
        }
        inputs = {source: [source.path, *_companion_paths(source, companions)] for source in sources}
        _refuse_to_destroy([*chain(*inputs.values()), *job.style.files], self._targets)
        self._stamps = {source: stamp_of(paths) for source, paths in inputs.items()}
        self._record = job.record()
        if companions is not None:
            self._record["companions"] = [companions.modality, path_text(companions.folder)]
        self._done = Done(folder / DONE, self._record)

    def begin(self, *, overwrite: bool) -> None:
        """Check existing results, write the record if it changed, and remove what killed runs left."""
        try:
            known = read_json(self._folder / RECORD)
        except UserError:
            known = None
        existing = {
            source: target
            for source, targets in self._targets.items()
            if (target := next(filter(_exists, targets), None))
        }
        for source, target in existing.items():
            refusal = self._done.refusal(
                source.relative, target, source.path, self._stamps[source], unknown_is_ours=known == self._record
            )
            if refusal is not None and not overwrite:
                raise refusal
            if refusal is not None:  # an interrupted --overwrite is resumed without it
                self._done.add(source.relative, source.path, [], [])
        for place in {target.parent for targets in self._targets.values() for target in targets}:
            sweep(place)
        if known != self._record:
            write_json(self._folder / RECORD, self._record)
        elif self._done.is_new and existing:
            note = f"had no {DONE}, which records what results were made from; they were made again"
            self.report.notes.append((self._folder, note))
        if isinstance(self._job.style, LabelStyle):
            write_json(self._folder / LEGEND, self._job.style.legend)

    def unfinished(self) -> list[Source]:
        """List the sources that an earlier run has not finished; the others are reported as skipped."""
        todo = []
        for source, targets in self._targets.items():
            finished = self._done.find(source.relative, self._stamps[source], targets)
            if finished is None:
                todo.append(source)
                continue
            self.report.skipped += 1
            if finished.omitted:
                self.report.add_in_part(source.path, finished.omitted)
        return todo

    def predict(self, todo: Sequence[Source], *, quiet: bool) -> None:
        """Predict pictures and write their results, batch by batch.

        While the network has one batch, threads read the next and write the results of the one before.

        Raises:
            UserError: the disk is full or not writable.
        """
        size = self._job.batch_size or MAX_BATCH_SIZE
        show = progress(len(todo), "predicting", quiet=quiet)
        with ThreadPoolExecutor(_THREADS) as threads, show as advance:
            reading = threads.map(self._read, todo[:size])
            before: Iterable[_Processed] = ()
            for start in range(0, len(todo), size):
                pictures = list(reading)
                reading = threads.map(self._read, todo[start + size : start + 2 * size])
                predictions = self._predicted(pictures)
                writing = threads.map(self._finish, todo[start : start + size], pictures, predictions)
                self._count(before, advance)
                before = writing
            self._count(before, advance)

    def _read(self, source: Source) -> Picture | UserError:
        modality, companion = "rgb", None
        if self._companions is not None:
            modality, companion = self._companions.modality, self._companions.paths[source]
        if isinstance(companion, UserError):
            return companion
        try:
            return read_picture(source.path, companion, modality, self._job.style.max_pixels)
        except UserError as error:
            return error

    def _predicted(self, pictures: Sequence[Picture | UserError]) -> list[Result | UserError]:
        """Return each picture's prediction, or the error in its place."""
        predictions = iter(self._job.predict_each([picture for picture in pictures if isinstance(picture, Picture)]))
        return [picture if isinstance(picture, UserError) else next(predictions) for picture in pictures]

    def _finish(self, source: Source, picture: Picture | UserError, prediction: Result | UserError) -> _Processed:
        """Write a picture's results, and record them as finished."""
        if isinstance(picture, UserError):
            return source, picture
        if isinstance(prediction, UserError):
            return source, prediction
        error, sizes = _write(self._job.style, self._targets[source], picture, prediction)
        if error is not None:
            return source, error
        self.written.append(source)
        if (stamp := self._stamps[source]) is not None:
            self._done.add(source.relative, source.path, stamp, sizes, picture.photo.omitted)
        return source, picture

    def _count(self, outcomes: Iterable[_Processed], advance: Advance) -> None:
        """Wait for the results of a batch, and report what is to be said of its pictures."""
        for source, picture in outcomes:
            if isinstance(picture, UserError):
                self.report.failures.append((source.path, str(picture)))
            else:
                self.report.notes += [(source.path, note) for note in picture.photo.notes]
                if picture.photo.omitted:
                    self.report.add_in_part(source.path, picture.photo.omitted)
            advance(1, "")


def _companion_paths(source: Source, companions: Companions | None) -> list[Path]:
    path = companions and companions.paths[source]
    return [path] if isinstance(path, Path) else []


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
