"""The implementation of `limelight predict` for pictures."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from limelight.foundation.errors import UserError
from limelight.foundation.files import write_bytes, write_json
from limelight.imaging.encoding import FILE_TYPES
from limelight.imaging.images import read_picture
from limelight.media.sources import check_link, find_companions, find_sources, scan
from limelight.media.standard_input import StandardInput
from limelight.media.standard_output import check_standard_output
from limelight.media.suffixes import check_is_read
from limelight.media.video.formats import is_video
from limelight.predict.failures import FAILURES, Failure
from limelight.predict.job import PictureJob
from limelight.predict.options import (
    INTERRUPTED,
    STREAM,
    PredictOptions,
    check_task,
    is_folder,
    load_predictor,
    names_file,
    print_description,
    result_suffix,
    style_of,
)
from limelight.predict.styles import EXACT, LabelStyle, Style
from limelight.predict.tree import LEGEND, Companions, TreeReport, predict_tree

_NOTES = 5
"""Number of notes printed."""


class CompanionOption(NamedTuple):
    """--depth or --thermal."""

    modality: str
    """'rgbd' or 'rgbt'."""
    path: Path
    """A file, for a single picture, or a folder."""


def run_pictures(options: PredictOptions, piped: StandardInput | None = None, failed: Sequence[Failure] = ()) -> int:
    """Predict pictures, and write the results.

    Args:
        piped: the picture, where it comes through standard input.
        failed: videos that failed beside them, to be listed too.

    Returns:
        The exit status; see `limelight.predict.command.run`.

    Raises:
        UserError: an error found before work begins, or in a single picture.
    """
    file_type = _file_type(options)
    style, companion = style_of(options, file_type), _companion_option(options)
    if style.moving is not None:
        raise UserError(
            f"{options.kind} is a video, a background for videos alone; give a picture or a colour (--kind)"
        )
    target = options.output or (STREAM if options.sources == [STREAM] else f"results/{style.name}/")
    single = _single_target(options.sources, target, style)
    predictor = load_predictor(options)
    check_task(predictor, style, options)  # fail before any work is done
    modality = companion and companion.modality
    predictor.modality_for(companion is not None, modality)
    if not options.quiet:
        print_description(options, predictor)
    job = PictureJob(predictor, style, modality, options.batch_size, options.output_processing_res)
    if single is not None:
        return _predict_one(job, options, single, companion, piped)
    return _predict_many(job, options, Path(target), companion, failed)


def _file_type(options: PredictOptions) -> str:
    """Return the suffix of 8-bit results: as requested, or that of the single result's name."""
    if options.kind == "npy" and options.format is not None:
        raise UserError("results of kind npy are .npy files; leave --format out")
    output = options.output or ""
    suffix = Path(output).suffix.lower()
    named = suffix if suffix in FILE_TYPES and not is_folder(output) else None
    return result_suffix(options, named) or ".png"


def _companion_option(options: PredictOptions) -> CompanionOption | None:
    pairs = (("rgbd", options.depth), ("rgbt", options.thermal))
    given = [CompanionOption(modality, path) for modality, path in pairs if path is not None]
    if len(given) > 1:
        raise UserError("a picture has depth or a thermal picture, not both; leave out --depth or --thermal")
    return given[0] if given else None


def _single_target(sources: list[str], target: str, style: Style) -> str | None:
    """Return the target of the single picture's result if it is a file or standard output; None for a folder.

    Raises:
        UserError: the target is neither, or does not fit these sources.
    """
    if STREAM in sources and len(sources) > 1:
        raise UserError("- (standard input) cannot be combined with other sources; give it alone")
    one = len(sources) == 1 and not os.path.isdir(sources[0])  # noqa: PTH112 - Path raises in a folder without access
    if STREAM in (target, *sources):
        if not one:
            raise UserError("only one picture can go to standard output; give a folder (--output)")
        _check_streamed(target, style)
        return target
    suffix, made = Path(target).suffix.lower(), _made_suffix(style)
    if not is_folder(target) and is_video(target):
        raise UserError(f"{target} is the name of a video, and there is none; name a {made} file, or a folder")
    if not names_file(target):
        return None
    if not one:
        raise UserError(f"{target} is a file's name, but these results need a folder; name one, or put / at its end")
    if suffix != made:
        types = made if style.kind in EXACT else f"{', '.join(FILE_TYPES[:-1])} or {FILE_TYPES[-1]}"
        raise UserError(f"{target}: results of kind {style.name} are {types} files; rename it")
    return target


def _check_streamed(target: str, style: Style) -> None:
    """Check the target of a picture that comes from standard input, or whose result goes to standard output.

    Raises:
        UserError: it takes several files, a terminal would show it, or a name is missing.
    """
    made, count = _made_suffix(style), len(style.endings)
    if target != STREAM and (is_folder(target) or Path(target).suffix.lower() != made):
        raise UserError(f"{target}: the result of - (standard input) has no name; name a {made} file")
    if target == STREAM and count > 1:
        raise UserError(f"the results are {count} files, not one for standard output; name a file (--output)")
    if target == STREAM:
        check_standard_output("redirect it")


def _made_suffix(style: Style) -> str:
    """The suffix of the first file that is made from a picture."""
    return Path(style.endings[0]).suffix or style.endings[0]


def _predict_one(
    job: PictureJob, options: PredictOptions, target: str, given: CompanionOption | None, piped: StandardInput | None
) -> int:
    source, modality = options.sources[0], given.modality if given else "rgb"
    companion = given and _companion_of(source, given.path)
    for path in (source, companion):
        if path is not None and path != STREAM:
            check_link(Path(path))
    if source != STREAM:
        check_is_read(source)
    places = _places(target, job.style)
    inputs = {Path(path).resolve() for path in (source, companion, *job.style.files) if path is not None}
    if target != STREAM and any(place.resolve() in inputs for place in places):
        raise UserError(f"{target} is the picture itself, its companion or its background; choose another --output")
    read_from = Path(source) if piped is None else piped.read_all()
    picture = read_picture(read_from, companion, modality, job.style.max_pixels)
    (prediction,) = job.predict([picture])
    contents = job.style.render(picture.photo, prediction)
    if target == STREAM:
        sys.stdout.buffer.write(contents[0])
        sys.stdout.buffer.flush()
    else:
        for place, content in zip(places, contents, strict=True):
            write_bytes(place, content)
        if isinstance(job.style, LabelStyle):
            places.append(Path(target).with_suffix(f".{LEGEND}"))
            write_json(places[-1], job.style.legend)
        if not options.quiet:
            print(f"written to {', '.join(map(str, places))}", file=sys.stderr)
    if not options.quiet:
        for note in picture.photo.notes:
            print(f"note: {source}: {note}", file=sys.stderr)
    if picture.photo.omitted:
        print(f"error: {source}: {picture.photo.omitted}", file=sys.stderr)
    return 1 if picture.photo.omitted else 0


def _places(target: str, style: Style) -> list[Path]:
    """List the paths of one picture's results: the target with the style's endings, its suffix (.PNG) as typed."""
    stem, suffix = str(Path(target).with_suffix("")), Path(target).suffix
    bare = [ending.removesuffix(suffix.lower()) for ending in style.endings]
    return [
        Path(f"{stem}{ending if short == ending else short + suffix}")
        for short, ending in zip(bare, style.endings, strict=True)
    ]


def _companion_of(source: str, where: Path) -> Path:
    """Return a single picture's companion: the file itself, or the match for its name in a folder."""
    if source == STREAM or not where.is_dir():
        return where
    (companion,) = find_companions(find_sources([Path(source)]), where).values()
    if isinstance(companion, UserError):
        raise companion
    return companion


def _predict_many(
    job: PictureJob, options: PredictOptions, folder: Path, given: CompanionOption | None, failed: Sequence[Failure]
) -> int:
    arguments, skip, companions = [Path(source) for source in options.sources], [folder], None
    if folder.is_file():
        raise UserError(
            f"{folder} is a file, but results need a folder or a .png or .npy file; choose another --output"
        )
    if given is not None and any(given.path.resolve() == argument.resolve() for argument in arguments):
        raise UserError(f"{given.path} holds the pictures themselves; put their companions into another folder")
    if given is not None and any(argument.resolve() in given.path.resolve().parents for argument in arguments):
        skip.append(given.path)  # companions below the pictures' folder are not input pictures
    scanned = scan(arguments, skip=skip)
    if given is not None:
        companions = Companions(*given, find_companions(scanned.sources, given.path))
    report = predict_tree(
        job,
        scanned.sources,
        folder,
        given=[argument.resolve() for argument in arguments if argument.is_dir()],
        refused=[*scanned.refused, *failed],
        companions=companions,
        overwrite=options.overwrite,
        quiet=options.quiet,
    )
    if not options.quiet:
        _print_notes([*scanned.notes, *report.notes])
    if report.interrupted:
        goes_on = f"the same command goes on{' without --overwrite' if options.overwrite else ''}"
        todo = len(scanned.sources) - report.skipped
        print(f"interrupted: {report.written} of {todo} written to {folder}; {goes_on}", file=sys.stderr)
        return INTERRUPTED
    _print_summary(report, folder, earlier=scanned.earlier, quiet=options.quiet)
    return 1 if report.failures else 0


def _print_summary(report: TreeReport, folder: Path, *, earlier: int, quiet: bool) -> None:
    """Print what became of the pictures, with the first failure; with `quiet` only where there is one.

    Args:
        earlier: skipped folders of earlier results.
    """
    failures = len(report.failures) - report.in_part
    summary = f"{report.written} written to {folder}, {report.skipped} already there, {failures} failed"
    summary += f", {report.in_part} in part" if report.in_part else ""
    skipped = f"; {earlier} {'folder' if earlier == 1 else 'folders'} of earlier results skipped" if earlier else ""
    if report.failures:
        path, reason = report.failures[0]
        first = reason if str(path) in reason else f"{path}: {reason}"
        word = "error" if failures else "note"
        print(f"{word}: {summary}; see {folder / FAILURES}{skipped}. The first: {first}", file=sys.stderr)
    elif not quiet:
        print(f"{summary}{skipped}", file=sys.stderr)


def _print_notes(notes: Sequence[tuple[Path, str]]) -> None:
    for path, text in notes[:_NOTES]:
        print(f"note: {path}: {text}", file=sys.stderr)
    if len(notes) > _NOTES:
        print(f"note: and {len(notes) - _NOTES} more", file=sys.stderr)
