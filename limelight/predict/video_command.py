"""The implementation of `limelight predict` for videos, folders of frames, standard input and webcams."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2

from limelight.foundation.errors import UserError
from limelight.foundation.options import refuse_options
from limelight.inference.saliency import SaliencyPredictor
from limelight.media.sources import absolute
from limelight.media.standard_input import StandardInput
from limelight.media.standard_output import check_standard_output
from limelight.media.video.backdrop import Backdrop
from limelight.media.video.clip import Clip
from limelight.media.video.formats import av
from limelight.media.video.reader import VideoReader
from limelight.media.video.webcam import Webcam, check_is_there
from limelight.media.window import Window
from limelight.predict.clips import FoundClip, at_unique_places, find_frames, find_videos
from limelight.predict.failures import FAILURES, Failure, list_failures
from limelight.predict.finished_videos import FinishedVideos
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
from limelight.predict.styles import Style
from limelight.predict.video import (
    MOST_TOGETHER,
    VideoJob,
    VideoReport,
    predict_to_file,
    predict_to_stream,
    predict_to_window,
    video_suffix,
)
from limelight.predict.video_options import picture_only_options, rate_of


def clips_of(options: PredictOptions, paths: Sequence[Path]) -> list[FoundClip]:
    """The clips among files and below folders: videos, and with --video folders of frames.

    Raises:
        UserError: see `find_frames`; or --rate is no rate.
    """
    results, rate = Path(options.output or "results"), rate_of(options)
    found = find_videos(paths, results)
    others = paths_beside(found, paths)
    return at_unique_places([*found, *(find_frames(others, results, rate) if options.video else [])])


def paths_beside(videos: Sequence[FoundClip], paths: Sequence[Path]) -> list[Path]:
    """The paths that are none of these videos themselves."""
    taken = {absolute(video.path) for video in videos}
    return [path for path in paths if absolute(path) not in taken]


def run_videos(options: PredictOptions, videos: Sequence[FoundClip]) -> tuple[int, list[Failure]]:
    """Predict clips, and write the results.

    Args:
        videos: see `clips_of`.

    Returns:
        The exit status; and the clips that failed, which are listed in the folder of results.

    Raises:
        UserError: an error found before work begins, or of the single clip that was given.
    """
    target = options.output or ""
    one = len(videos) == len(options.sources) == 1 and (options.video or videos[0].path == Path(options.sources[0]))
    if target == STREAM and not one:
        raise UserError("only one video can go to standard output; give a folder (--output)")
    if names_file(target) and not one:
        raise UserError(f"{target} is a file's name, but these results need a folder; name one, or put / at its end")
    if one and (target == STREAM or _named_file(target)):
        return _run_one(options, target, videos[0].open, str(videos[0].path), videos[0].path), []
    job, suffix = _job(options, None)
    folder = Path(target or f"results/{job.style.name}")
    if folder.is_file():
        raise UserError(f"{folder} is a file, but results need a folder or a {suffix} file; choose another --output")
    places = {folder / f"{video.place}{suffix}": video for video in videos}
    return _run_folder(job, folder, places, one=one, overwrite=options.overwrite)


def _run_folder(
    job: VideoJob, folder: Path, places: Mapping[Path, FoundClip], *, one: bool, overwrite: bool
) -> tuple[int, list[Failure]]:
    """Predict clips into a folder, but those that are there.

    Args:
        places: the place of each clip's result.
        one: raise the error of the single clip; those of several are printed and listed, and the next clip follows.

    Returns:
        As `run_videos`.
    """
    done, failures = FinishedVideos(folder, job), list[Failure]()
    written, interrupted = 0, False
    for place, video in places.items():
        try:
            _refuse_to_destroy(place, video.path, job.style)
            if not overwrite and done.holds(place, video):
                if not job.quiet:
                    print(f"{place} is already there (--overwrite makes it again)", file=sys.stderr)
                continue
            with video.open(job.style.max_pixels) as clip:
                report = predict_to_file(job, clip, place)
        except UserError as error:
            if one:
                raise
            print(f"error: {error}", file=sys.stderr)
            failures.append((absolute(video.path), str(error)))
            continue
        print_report(report, str(video.path), quiet=job.quiet)
        if report.frames:
            done.add(place, video, report)
        if interrupted := report.interrupted:
            break
        written += 1
    list_failures(folder / FAILURES, failures, [absolute(video.path) for video in places.values()])
    if interrupted:
        return INTERRUPTED, failures
    if not one and not job.quiet:
        there = len(places) - written - len(failures)
        listed = f"; see {folder / FAILURES}" if failures else ""
        summary = f"{written} written to {folder}, {there} already there, {len(failures)} failed{listed}"
        print(f"videos: {summary}", file=sys.stderr)
    return (1 if failures else 0), failures


def run_stream(options: PredictOptions, piped: StandardInput) -> int:
    """Predict the video in standard input."""
    try:
        av()
    except UserError as error:
        raise UserError(f"{piped.name} holds no picture that is read; {error}") from error
    refused = {"--video": options.video or None, "--seconds": options.seconds, "--rate": options.rate}
    refuse_options(refused, piped.name)
    return _run_one(
        options, options.output or STREAM, lambda max_pixels: VideoReader(piped, max_pixels=max_pixels), piped.name
    )


def run_webcam(options: PredictOptions) -> int:
    """Predict a webcam, into a window, a file or standard output."""
    device = options.webcam
    assert device is not None, "see run"
    if options.sources:
        raise UserError(f"{options.sources[0]} and a webcam cannot be predicted together; leave out one")
    refuse_options({"--video": options.video or None, "--rate": options.rate}, "a webcam")
    check_is_there(device)

    def camera(max_pixels: int) -> Webcam:
        return Webcam(device, seconds=options.seconds, max_pixels=max_pixels)

    if options.output is not None:
        return _run_one(options, options.output, camera, "a webcam")
    refuse_options({"--format": options.format}, "a window")
    with Window(f"limelight: webcam {device}") as window:  # fails before work is done
        job, _ = _job(options, None)
        with camera(job.style.max_pixels) as clip:
            return print_report(predict_to_window(job, clip, window), clip.name, quiet=job.quiet)


def _run_one(
    options: PredictOptions, target: str, opened: Callable[[int], Clip], source: str, path: Path | None = None
) -> int:
    """Predict one clip into standard output or a file that is named.

    Args:
        opened: the clip, of the most pixels of a frame.
        source: what it is, in messages.
        path: its file or folder; None = it is no such.

    Raises:
        UserError: the target names no file, or is the clip itself or its background.
    """
    named = None if target == STREAM else _named_file(target)
    if named == "":
        raise UserError(f"{target}: the result of {source} has no name; name a .mp4, .mkv, .mov or .webm file")
    job, suffix = _job(options, named)
    if target != STREAM:
        _refuse_to_destroy(Path(target), path, job.style)
    with opened(job.style.max_pixels) as clip:
        if target == STREAM:
            report = predict_to_stream(job, clip, sys.stdout.buffer, suffix)
        else:
            report = predict_to_file(job, clip, Path(target))
        return print_report(report, clip.name, quiet=job.quiet)


def print_report(report: VideoReport, name: str, *, quiet: bool) -> int:
    """Print what became of a clip, and return the exit status.

    Args:
        name: what the clip is called.
        quiet: print only that it was interrupted, if it was.
    """
    if report.interrupted or not quiet:
        if report.interrupted and not report.frames:
            print(f"{name}: interrupted before the first frame; nothing was written", file=sys.stderr)
        else:
            frames = f"{report.frames} frame{'s' if report.frames != 1 else ''}"
            state = "interrupted; playable so far" if report.interrupted else "written"
            print(f"{report.target}: {frames} {state}", file=sys.stderr)
        for note in report.notes:
            print(f"note: {name}: {note}", file=sys.stderr)
    return INTERRUPTED if report.interrupted else 0


def _job(options: PredictOptions, suffix: str | None) -> tuple[VideoJob, str]:
    """Check what is requested of videos, load the network, and keep OpenCV to one thread.

    Args:
        suffix: that of the single result's name; None = a folder, a pipe or a window.
    """
    refuse_options(picture_only_options(options), "videos")
    suffix = result_suffix(options, suffix)
    streamed = options.output == STREAM or (options.sources == [STREAM] and options.output is None)
    if streamed:
        check_standard_output("pipe it into a program")
    style = style_of(options, ".png")
    suffix = video_suffix(style, suffix, streamed=streamed)
    if style.moving is not None:
        Backdrop(style.moving, max_pixels=style.max_pixels).close()  # fails before work is done
    # Beside a network that has all cores, threads of OpenCV's cost processor time and win none.
    cv2.setNumThreads(1)
    predictor = load_predictor(options)
    check_task(predictor, style, options)
    assert isinstance(predictor, SaliencyPredictor), "see check_task"
    if not options.quiet:
        print_description(options, predictor)
    most = options.batch_size or MOST_TOGETHER
    return VideoJob(predictor, style, options.smoothing, options.look_ahead, options.quiet, most), suffix


def _named_file(target: str) -> str:
    """The suffix of a target that is a file; '' for a folder."""
    return "" if is_folder(target) else Path(target).suffix.lower()


def _refuse_to_destroy(place: Path, source: Path | None, style: Style) -> None:
    for path in (source, style.moving):
        if path is not None and place.resolve() == path.resolve():
            what = "the video itself" if path == source else "the background"
            raise UserError(f"{place} is {what}; choose another --output")
