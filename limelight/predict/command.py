"""The implementation of `limelight predict`, after option parsing."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.foundation.files import write_bytes, write_json
from limelight.imaging.encoding import FILE_TYPES
from limelight.imaging.images import read_picture
from limelight.media.sources import RECORD, check_link, find_companions, find_sources, scan
from limelight.media.standard_input import StandardInput
from limelight.media.standard_output import check_standard_output
from limelight.media.suffixes import check_is_read
from limelight.media.video.formats import is_video
from limelight.media.walk import Walk
from limelight.predict.failures import FAILURES, Failure
from limelight.predict.job import Job
from limelight.predict.options import (
    STREAM,
    PredictOptions,
    check_sources,
    check_task,
    is_folder,
    load_predictor,
    names_file,
    print_description,
    result_suffix,
    style_of,
)
from limelight.predict.styles import EXACT, LabelStyle, Style
from limelight.predict.tree import LEGEND, Companions, predict_tree
from limelight.predict.video_command import (
    INTERRUPTED,
    clips_of,
    paths_beside,
    run_stream,
    run_videos,
    run_webcam,
)
from limelight.predict.video_options import first_picture_only_option, first_video_only_option

_NOTES = 5
"""Number of notes printed."""
Second = tuple[str, Path] | None
"""Modality and path of the companions, if any."""


def run(options: PredictOptions) -> int:
    """Predict, and write the requested results.

    Returns:
        The exit status: 1 where some pictures failed and are listed, or a video; 130 after Ctrl-C.

    Raises:
        UserError: an error found before work begins, or in a single picture or video.
    """
    check_sources(options.sources)
    if options.webcam is not None:
        return run_webcam(options)
    if not options.sources:
        raise UserError("nothing to predict; give pictures, videos, folders, - for standard input, or --webcam")
    piped = StandardInput() if options.sources == [STREAM] else None
    if piped is not None and not piped.is_picture:
        return run_stream(options, piped)
    paths = [Path(source) for source in options.sources if source != STREAM]
    videos = clips_of(options, paths)
    if (option := first_picture_only_option(options)) and not options.video and paths_beside(videos, paths) == paths:
        _say_left_out(options, len(videos), "video", option)
        videos = []
    _check_has_video(options, there=bool(videos))
    if not videos:
        return _run_pictures(options, piped)
    if STREAM in options.sources:
        raise UserError(f"{STREAM} (standard input) cannot be combined with other sources; give it alone")
    status, failures = run_videos(options, videos)
    if options.video or status == INTERRUPTED:
        return status
    others = paths_beside(videos, paths)
    folders = [path.resolve() for path in others if path.is_dir()]
    if len(folders) == len(others):
        walk, option = Walk(folders, marker=RECORD), first_video_only_option(options)
        if option is not None:
            _say_left_out(options, len(walk.files), "picture", option)
        if option is not None or not (walk.files or walk.refused):
            return status
    return max(status, _run_pictures(replace(options, sources=[str(path) for path in others]), failed=failures))


def _say_left_out(options: PredictOptions, count: int, what: str, option: str) -> None:
    if count and not options.quiet:
        other = "videos" if what == "picture" else "pictures"
        print(f"note: {count} {what}{'s' * (count > 1)} left out: {option} is for {other} alone", file=sys.stderr)


def _check_has_video(options: PredictOptions, *, there: bool) -> None:
    """Refuse options of videos where there is none, and of webcams."""
    if options.seconds is not None:
        raise UserError("--seconds is for a webcam, and there is none; leave it out, or name one (--webcam)")
    if options.rate is not None and not options.video:
        raise UserError("--rate is for folders of frames; name one with --video, or leave it out")
    for_videos = {"--smoothing": options.smoothing > 0, "--look-ahead": options.look_ahead is not None}
    if not there and (given := [name for name, is_given in for_videos.items() if is_given]):
        raise UserError(f"{given[0]} is for videos, and there is none; leave it out")


def _run_pictures(options: PredictOptions, piped: StandardInput | None = None, failed: Sequence[Failure] = ()) -> int:
    file_type = _file_type(options)
    style, second = style_of(options, file_type), _second(options)
    if style.moving is not None:
        raise UserError(
            f"{options.kind} is a video, a background for videos alone; give a picture or a colour (--kind)"
        )
    target = options.output or (STREAM if options.sources == [STREAM] else f"results/{style.name}/")
    single = _single_target(options.sources, target, style)
    predictor = load_predictor(options)
    check_task(predictor, style, options)  # fail before any work is done
    predictor.modality_for(second is not None, second and second[0])
    if not options.quiet:
        print_description(options, predictor)
    job = Job(predictor, style, second and second[0], options.batch_size, options.output_processing_res)
    if single is not None:
        return _predict_one(job, options, single, second, piped)
    return _predict_many(job, options, Path(target), second, failed)


def _file_type(options: PredictOptions) -> str:
    """Return the suffix of 8-bit results: as requested, or that of the single result's name."""
    if options.kind == "npy" and options.format is not None:
        raise UserError("results of kind npy are .npy files; leave --format out")
    output = options.output or ""
    suffix = Path(output).suffix.lower()
    named = suffix if suffix in FILE_TYPES and not is_folder(output) else None
    return result_suffix(options, named) or ".png"


def _second(options: PredictOptions) -> Second:
    pairs = (("rgbd", options.depth), ("rgbt", options.thermal))
    given = [(modality, path) for modality, path in pairs if path is not None]
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
    suffix, made = Path(target).suffix.lower(), Path(style.endings[0]).suffix or style.endings[0]
    folder = is_folder(target)
    if target == STREAM or sources == [STREAM]:
        if not one:
            raise UserError("only one picture can go to standard output; give a folder (--output)")
        if target == STREAM and len(style.endings) > 1:
            raise UserError(
                f"the results are {len(style.endings)} files, not one for standard output; name a file (--output)"
            )
        if target == STREAM:
            check_standard_output("redirect it")
        if target != STREAM and (folder or suffix != made):
            raise UserError(f"{target}: the result of - (standard input) has no name; name a {made} file")
        return target
    if not folder and is_video(target):
        raise UserError(f"{target} is the name of a video, and there is none; name a {made} file, or a folder")
    if not names_file(target):
        return None
    if not one:
        raise UserError(f"{target} is a file's name, but these results need a folder; name one, or put / at its end")
    if suffix != made:
        types = made if style.kind in EXACT else f"{', '.join(FILE_TYPES[:-1])} or {FILE_TYPES[-1]}"
        raise UserError(f"{target}: results of kind {style.name} are {types} files; rename it")
    return target


def _predict_one(job: Job, options: PredictOptions, target: str, second: Second, piped: StandardInput | None) -> int:
    source, (modality, where) = options.sources[0], second or ("rgb", None)
    companion = where and _companion_of(source, where)
    for path in (source, companion):
        if path is not None and path != STREAM:
            check_link(Path(path))
    if source != STREAM:
        check_is_read(source)
    places = _places(target, job.style)
    inputs = {Path(path).resolve() for path in (source, companion, *job.style.files) if path is not None}
    if target != STREAM and any(place.resolve() in inputs for place in places):
        raise UserError(f"{target} is the picture itself, its companion or its background; choose another --output")
    given = Path(source) if piped is None else piped.read_all()
    picture = read_picture(given, companion, modality, job.style.max_pixels)
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


def _predict_many(job: Job, options: PredictOptions, folder: Path, second: Second, failed: Sequence[Failure]) -> int:
    arguments, skip, companions = [Path(source) for source in options.sources], [folder], None
    if folder.is_file():
        raise UserError(
            f"{folder} is a file, but results need a folder or a .png or .npy file; choose another --output"
        )
    if second is not None and any(second[1].resolve() == argument.resolve() for argument in arguments):
        raise UserError(f"{second[1]} holds the pictures themselves; put their companions into another folder")
    if second is not None and any(argument.resolve() in second[1].resolve().parents for argument in arguments):
        skip.append(second[1])  # companions below the pictures' folder are not input pictures
    scanned = scan(arguments, skip=skip)
    if second is not None:
        companions = Companions(*second, find_companions(scanned.sources, second[1]))
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
        goes_on = "the same command goes on" + " without --overwrite" * options.overwrite
        todo = len(scanned.sources) - report.skipped
        print(f"interrupted: {report.written} of {todo} written to {folder}; {goes_on}", file=sys.stderr)
        return INTERRUPTED
    failures = len(report.failures) - report.in_part
    summary = f"{report.written} written to {folder}, {report.skipped} already there, {failures} failed"
    summary += f", {report.in_part} in part" if report.in_part else ""
    folder_word = "folder" if scanned.earlier == 1 else "folders"
    skipped_note = f"; {scanned.earlier} {folder_word} of earlier results skipped" if scanned.earlier else ""
    if report.failures:
        path, reason = report.failures[0]
        first = reason if str(path) in reason else f"{path}: {reason}"
        word = "error" if failures else "note"
        print(f"{word}: {summary}; see {folder / FAILURES}{skipped_note}. The first: {first}", file=sys.stderr)
        return 1
    if not options.quiet:
        print(f"{summary}{skipped_note}", file=sys.stderr)
    return 0


def _print_notes(notes: Sequence[tuple[Path, str]]) -> None:
    for path, text in notes[:_NOTES]:
        print(f"note: {path}: {text}", file=sys.stderr)
    if len(notes) > _NOTES:
        print(f"note: and {len(notes) - _NOTES} more", file=sys.stderr)
