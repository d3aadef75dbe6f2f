"""The implementation of `limelight predict` for videos, folders of frames, standard input and webcams."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath

import cv2

from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.imaging.images import FILE_TYPES
from limelight.inference.saliency import SaliencyPredictor
from limelight.media.sources import RECORD, absolute
from limelight.media.standard_input import StandardInput
from limelight.media.standard_output import check_standard_output
from limelight.media.video.backdrop import Backdrop
from limelight.media.video.clip import MAX_RATE, Clip
from limelight.media.video.formats import FORMATS, av, is_video
from limelight.media.video.reader import VideoReader
from limelight.media.video.webcam import Webcam, check_is_there
from limelight.media.window import Window
from limelight.predict.clips import Found, at_unique_places, find_frames, find_videos
from limelight.predict.done import DONE, Done, Stamp, stamp_of
from limelight.predict.request import (
    STREAM,
    Request,
    check_task,
    is_folder,
    load_predictor,
    names_file,
    print_description,
    result_suffix,
    style_of,
)
from limelight.predict.styles import EXACT, Style
from limelight.predict.tree import FAILURES, list_failures
from limelight.predict.video import (
    MOST_TOGETHER,
    VideoJob,
    VideoReport,
    predict_to_file,
    predict_to_stream,
    predict_to_window,
    say,
    video_suffix,
)

INTERRUPTED = 130
"""Exit status after Ctrl-C."""
Failures = list[tuple[Path, str]]
"""Absolute paths of clips that failed, with the reason."""


def clips_of(request: Request, paths: Sequence[Path]) -> list[Found]:
    """The clips among files and below folders: videos, and with --video folders of frames.

    Raises:
        UserError: see `find_frames`; or --rate is no rate.
    """
    results, rate = Path(request.output or "results"), _rate(request)
    found = find_videos(paths, results)
    others = paths_beside(found, paths)
    return at_unique_places([*found, *(find_frames(others, results, rate) if request.video else [])])


def paths_beside(videos: Sequence[Found], paths: Sequence[Path]) -> list[Path]:
    """The paths that are none of these videos themselves."""
    taken = {absolute(video.path) for video in videos}
    return [path for path in paths if absolute(path) not in taken]


def option_of_pictures(request: Request) -> str | None:
    """Return an option that is given and for pictures alone."""
    given = _options_of_pictures(request) | {
        "--classes": request.classes,
        "--uncertainty": request.uncertainty or None,
        f"--kind {request.kind}": request.kind if request.kind in EXACT else None,
        f"--format {request.format}": request.format if result_suffix(request, None) in FILE_TYPES else None,
    }
    return next((name for name, value in given.items() if value is not None), None)


def option_of_videos(request: Request) -> str | None:
    """Return an option that is given and for videos alone."""
    if result_suffix(request, None) in FORMATS:
        return f"--format {request.format}"
    return f"--kind {request.kind}" if request.kind is not None and is_video(request.kind) else None


def run_videos(request: Request, videos: Sequence[Found]) -> tuple[int, Failures]:
    """Predict clips, and write the results.

    Args:
        videos: see `clips_of`.

    Returns:
        The exit status; and the clips that failed, which are listed in the folder of results.

    Raises:
        UserError: an error found before work begins, or of the single clip that was given.
    """
    target = request.output or ""
    one = len(videos) == len(request.sources) == 1 and (request.video or videos[0].path == Path(request.sources[0]))
    if target == STREAM:
        if not one:
            raise UserError("only one video can go to standard output; give a folder (--output)")
        return _run_one(request, STREAM, videos[0].open, videos[0].place.name), []
    named = _named_file(target)
    if names_file(target) and not one:
        raise UserError(f"{target} is a file's name, but these results need a folder; name one, or put / at its end")
    job, suffix = _job(request, named if one else None)
    if one and named:
        return _run_each(job, {Path(target): videos[0]}, raising=True)[:2]
    folder = Path(target or f"results/{job.style.name}")
    if folder.is_file():
        raise UserError(f"{folder} is a file, but results need a folder or a {suffix} file; choose another --output")
    places = {folder / f"{video.place}{suffix}": video for video in videos}
    done = Finished(folder, job)
    status, failures, written = _run_each(job, places, raising=one, done=done, overwrite=request.overwrite)
    list_failures(folder / FAILURES, failures, [absolute(video.path) for video in videos])
    if not one and not request.quiet and status != INTERRUPTED:
        there = len(places) - written - len(failures)
        listed = f"; see {folder / FAILURES}" if failures else ""
        summary = f"{written} written to {folder}, {there} already there, {len(failures)} failed{listed}"
        print(f"videos: {summary}", file=sys.stderr)
    return status, failures


class Finished:
    """The videos that are finished in a folder of results, with what they were made from and how."""

    def __init__(self, folder: Path, job: VideoJob) -> None:
        self._folder, self._settings = folder, job.record()

    @cached_property
    def _done(self) -> Done:  # made where there are results
        return Done(self._folder / DONE, self._settings)

    def holds(self, place: Path, video: Found) -> bool:
        """Whether a result is there that was made from this clip as it is now.

        Raises:
            UserError: one is there that was made with other settings, of another clip, or by something else.
        """
        if not os.path.exists(place):  # noqa: PTH110 - as in is_folder
            return False
        name, stamp = self._name(place), _stamp(video)
        if (refusal := self._done.refusal(name, place, video.path, stamp)) is not None:
            raise refusal
        return self._done.find(name, stamp, [place]) is not None

    def add(self, place: Path, video: Found, report: VideoReport) -> None:
        """Note a result, and mark the folder as one of results: what is in it is no source of a later run."""
        if not (self._folder / RECORD).exists():  # that of pictures' results stays
            write_json(self._folder / RECORD, {"videos": self._settings})
        if not report.interrupted and (stamp := _stamp(video)) is not None:
            self._done.add(self._name(place), video.path, stamp, [place.stat().st_size])

    def _name(self, place: Path) -> PurePosixPath:
        """With its suffix: pictures' results, which are in the same record, have none in their names."""
        return PurePosixPath(place.relative_to(self._folder).as_posix())


def _stamp(video: Found) -> Stamp | None:
    """What shows whether a clip has changed."""
    return stamp_of(sorted(video.path.iterdir()) if video.path.is_dir() else [video.path])


def _run_each(
    job: VideoJob, places: Mapping[Path, Found], *, raising: bool, done: Finished | None = None, overwrite: bool = False
) -> tuple[int, Failures, int]:
    """Predict clips into files, but those that are there; the error of one is raised, or printed before the next.

    Returns:
        The exit status, the clips that failed, and the number of those written.
    """
    failures: Failures = []
    written = 0
    for place, video in places.items():
        try:
            _refuse_to_destroy(place, video.path, job.style)
            if done is not None and not overwrite and done.holds(place, video):
                if not job.quiet:
                    print(f"{place} is already there (--overwrite makes it again)", file=sys.stderr)
                continue
            with video.open(job.style.max_pixels) as clip:
                report = predict_to_file(job, clip, place)
        except UserError as error:
            if raising:
                raise
            print(f"error: {error}", file=sys.stderr)
            failures.append((absolute(video.path), str(error)))
            continue
        _say(job, report, str(video.path))
        if done is not None and report.frames:
            done.add(place, video, report)
        if report.interrupted:
            return INTERRUPTED, failures, written
        written += 1
    return (1 if failures else 0), failures, written


def _options_of_pictures(request: Request) -> dict[str, object]:
    return {
        "--depth": request.depth,
        "--thermal": request.thermal,
        "--output-processing-res": request.output_processing_res or None,
        "--quality": request.quality,
    }


def run_stream(request: Request, piped: StandardInput) -> int:
    """Predict the video in standard input."""
    try:
        av()
    except UserError as error:
        raise UserError(f"{piped.name} holds no picture that is read; {error}") from error
    _refuse_options(request, {"--video": request.video or None, "--seconds": request.seconds}, piped.name)
    return _run_one(
        request, request.output or STREAM, lambda max_pixels: VideoReader(piped, max_pixels=max_pixels), piped.name
    )


def run_webcam(request: Request) -> int:
    """Predict a webcam, into a window, a file or standard output."""
    device = request.webcam
    assert device is not None, "see run"
    if request.sources:
        raise UserError(f"{request.sources[0]} and a webcam cannot be predicted together; leave out one")
    _refuse_options(request, {"--video": request.video or None}, "a webcam")
    check_is_there(device)

    def camera(max_pixels: int) -> Webcam:
        return Webcam(device, seconds=request.seconds, max_pixels=max_pixels)

    if request.output is not None:
        return _run_one(request, request.output, camera, "a webcam")
    _refuse_options(request, {"--format": request.format}, "a window")
    with Window(f"limelight: webcam {device}") as window:  # fails before work is done
        job, _ = _job(request, None)
        with camera(job.style.max_pixels) as clip:
            return _said(job, predict_to_window(job, clip, window), clip)


def _run_one(request: Request, target: str, opened: Callable[[int], Clip], source: str) -> int:
    """Predict one clip into standard output or a file that is named.

    Args:
        opened: the clip, of the most pixels of a frame.
        source: what it is, in messages.

    Raises:
        UserError: the target names no file.
    """
    if target == STREAM:
        job, suffix = _job(request, None)
        with opened(job.style.max_pixels) as clip:
            return _said(job, predict_to_stream(job, clip, sys.stdout.buffer, suffix), clip)
    named = _named_file(target)
    if not named:
        raise UserError(f"{target}: the result of {source} has no name; name a .mp4, .mkv, .mov or .webm file")
    job, _ = _job(request, named)
    with opened(job.style.max_pixels) as clip:
        return _said(job, predict_to_file(job, clip, Path(target)), clip)


def _job(request: Request, suffix: str | None) -> tuple[VideoJob, str]:
    """Check what is requested of videos, load the network, and keep OpenCV to one thread.

    Args:
        suffix: that of the single result's name; None = a folder, a pipe or a window.
    """
    _refuse_options(request, _options_of_pictures(request), "videos", rate_is_refused=False)
    suffix = result_suffix(request, suffix)
    streamed = request.output == STREAM or (request.sources == [STREAM] and request.output is None)
    if streamed:
        check_standard_output("pipe it into a program")
    style = style_of(request, ".png")
    suffix = video_suffix(style, suffix, streamed=streamed)
    if style.moving is not None:
        Backdrop(style.moving, max_pixels=style.max_pixels).close()  # fails before work is done
    # Beside a network that has all cores, threads of OpenCV's cost processor time and win none.
    cv2.setNumThreads(1)
    predictor = load_predictor(request)
    check_task(predictor, style, request)
    assert isinstance(predictor, SaliencyPredictor), "see check_task"
    if not request.quiet:
        print_description(request, predictor)
    most = request.batch_size or MOST_TOGETHER
    return VideoJob(predictor, style, request.smoothing, request.look_ahead, request.quiet, most), suffix


def _said(job: VideoJob, report: VideoReport, clip: Clip) -> int:
    _say(job, report, clip.name)
    return INTERRUPTED if report.interrupted else 0


def _say(job: VideoJob, report: VideoReport, name: str) -> None:
    if not job.quiet or report.interrupted:
        say(report, name)


def _named_file(target: str) -> str:
    """The suffix of a target that is a file; '' for a folder."""
    return "" if is_folder(target) else Path(target).suffix.lower()


def _refuse_to_destroy(place: Path, source: Path, style: Style) -> None:
    for path in (source, style.moving):
        if path is not None and place.resolve() == path.resolve():
            what = "the video itself" if path == source else "the background"
            raise UserError(f"{place} is {what}; choose another --output")


def _refuse_options(request: Request, given: Mapping[str, object], what: str, *, rate_is_refused: bool = True) -> None:
    """Refuse options that do not apply.

    Args:
        given: their values; None = not given.
    """
    given = dict(given) | ({"--rate": request.rate} if rate_is_refused else {})
    if names := [name for name, value in given.items() if value is not None]:
        raise UserError(f"{' and '.join(names)} cannot be given with {what}; leave it out")


def _rate(request: Request) -> Fraction | None:
    if request.rate is None:
        return None
    try:
        if "e" in request.rate.casefold():
            raise ValueError("a fraction of any number of digits would be computed")
        rate = Fraction(request.rate).limit_denominator(1001)  # FFmpeg's fractions have 32 bits
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= MAX_RATE:
        raise UserError(f"--rate {request.rate} is no rate of frames; give one from 0.001 to {MAX_RATE}, such as 25")
    return rate
