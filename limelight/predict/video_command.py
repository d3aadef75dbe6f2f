"""The implementation of `limelight predict` for videos, folders of frames, standard input and webcams."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.inference.predictor import SaliencyPredictor
from limelight.media.standard_input import StandardInput
from limelight.media.video.backdrop import Backdrop
from limelight.media.video.clip import Clip
from limelight.media.video.formats import FORMATS, av
from limelight.media.video.reader import VideoReader
from limelight.media.video.webcam import Webcam, check_is_there
from limelight.media.window import Window
from limelight.predict.clips import Found, at_unique_places, find_frames, find_videos
from limelight.predict.request import STREAM, Request, check_task, load_predictor, style_of
from limelight.predict.styles import Style
from limelight.predict.video import (
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
_MAX_RATE = 1000


def clips_of(request: Request, paths: Sequence[Path]) -> list[Found]:
    """The clips among files and below folders: videos, and with --video folders of frames.

    Raises:
        UserError: see `find_frames`; or --rate is no rate.
    """
    results, rate = Path(request.output or "results"), _rate(request)
    found = find_videos(paths, results)
    return at_unique_places([*found, *(find_frames(paths, results, rate) if request.video else [])])


def run_videos(request: Request, videos: Sequence[Found]) -> int:
    """Predict clips, and write the results.

    Args:
        videos: see `clips_of`.
    """
    target = request.output or ""
    one = len(videos) == len(request.sources) == 1 and (request.video or videos[0].path == Path(request.sources[0]))
    named = _named_file(target)
    if target == STREAM and not one:
        raise UserError("only one video can go to standard output; give a folder (--output)")
    if named in FORMATS and not one:
        raise UserError(f"{target} is a file's name, but these results need a folder; name one, or put / at its end")
    if one and target == STREAM:
        job, suffix = _job(request, None)
        return _to_stream(request, job, videos[0].open(job.style.max_pixels), suffix)
    job, suffix = _job(request, named if one else None)
    status = 0
    for video in videos:
        folder = Path(target or f"results/{job.style.name}")
        place = Path(target) if one and named else folder / f"{video.place}{suffix}"
        if not (one and named) and place.exists() and not request.overwrite:
            print(f"{place} is already there (--overwrite makes it again)", file=sys.stderr)
            continue
        try:
            _refuse_to_destroy(place, video.path, job.style)
            with video.open(job.style.max_pixels) as clip:
                report = predict_to_file(job, clip, place)
        except UserError as error:
            if len(videos) == 1:
                raise
            print(f"error: {error}", file=sys.stderr)
            status = 1
            continue
        say(report, str(video.path))
        if report.interrupted:
            return INTERRUPTED
    return status


def run_stream(request: Request, piped: StandardInput) -> int:
    """Predict the video in standard input."""
    try:
        av()
    except UserError as error:
        raise UserError(f"{piped.name} holds no picture that is read; {error}") from error
    _refuse_options(request, {"--video": request.video or None, "--seconds": request.seconds}, piped.name)
    target = request.output or STREAM
    if target == STREAM:
        job, suffix = _job(request, None)
        return _to_stream(request, job, VideoReader(piped, max_pixels=job.style.max_pixels), suffix)
    job = _to_named_file(request, target, piped.name)
    with VideoReader(piped, max_pixels=job.style.max_pixels) as clip:
        return _said(predict_to_file(job, clip, Path(target)), clip)


def run_webcam(request: Request) -> int:
    """Predict a webcam, into a window, a file or standard output."""
    assert request.webcam is not None, "see run"
    if request.sources:
        raise UserError(f"{request.sources[0]} and a webcam cannot be predicted together; leave out one")
    _refuse_options(request, {"--video": request.video or None}, "a webcam")
    check_is_there(request.webcam)
    target = request.output

    def camera(job: VideoJob) -> Webcam:
        assert request.webcam is not None
        return Webcam(request.webcam, seconds=request.seconds, max_pixels=job.style.max_pixels)

    with ExitStack() as stack:
        if target is None:
            window = stack.enter_context(Window(f"limelight: webcam {request.webcam}"))  # fails before work is done
            job, _ = _job(request, None)
            clip = stack.enter_context(camera(job))
            return _said(predict_to_window(job, clip, window), clip)
        if target == STREAM:
            job, suffix = _job(request, None)
            return _to_stream(request, job, camera(job), suffix)
        job = _to_named_file(request, target, "a webcam")
        clip = stack.enter_context(camera(job))
        return _said(predict_to_file(job, clip, Path(target)), clip)


def _job(request: Request, suffix: str | None) -> tuple[VideoJob, str]:
    """Load the network, and check what is requested of videos.

    Args:
        suffix: that of the single result's name; None = a folder, a pipe or a window.
    """
    only_pictures = {
        "--depth": request.depth,
        "--thermal": request.thermal,
        "--output-processing-res": request.output_processing_res or None,
        "--quality": request.quality,
    }
    _refuse_options(request, only_pictures, "videos", rate_is_refused=False)
    requested = None if request.format is None else f".{request.format.lower().removeprefix('.')}"
    if suffix and requested and suffix != requested:
        raise UserError(
            f"--format {request.format} makes {requested} files, but --output is {request.output}; leave out one"
        )
    streamed = request.output == STREAM or (request.sources == [STREAM] and request.output is None)
    if streamed and sys.stdout.isatty():
        raise UserError("standard output is a terminal; pipe it into a program, or name a file (--output)")
    style = style_of(request, ".png")
    suffix = video_suffix(style, suffix or requested, streamed=streamed)
    if style.moving is not None:
        Backdrop(style.moving, max_pixels=style.max_pixels).close()  # fails before work is done
    predictor = load_predictor(request)
    check_task(predictor, style, request)
    assert isinstance(predictor, SaliencyPredictor), "see check_task"
    if not request.quiet:
        print(predictor.description, file=sys.stderr)
    return VideoJob(predictor, style, request.smoothing, request.look_ahead, request.quiet), suffix


def _to_named_file(request: Request, target: str, source: str) -> VideoJob:
    """The job of a clip without a name of its own.

    Raises:
        UserError: the target does not name a file.
    """
    suffix = _named_file(target)
    if not suffix:
        raise UserError(f"{target}: the result of {source} has no name; name a .mp4, .mkv, .mov or .webm file")
    return _job(request, suffix)[0]


def _to_stream(request: Request, job: VideoJob, clip: Clip, suffix: str) -> int:
    with clip:
        return _said(predict_to_stream(job, clip, sys.stdout.buffer, suffix), clip)


def _said(report: VideoReport, clip: Clip) -> int:
    say(report, clip.name)
    return INTERRUPTED if report.interrupted else 0


def _named_file(target: str) -> str:
    """The suffix of a target that is a file; '' for a folder."""
    return "" if target.endswith("/") or Path(target).is_dir() else Path(target).suffix.lower()


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
        rate = Fraction(request.rate)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= _MAX_RATE:
        raise UserError(f"--rate {request.rate} is no rate of frames; give a number up to {_MAX_RATE}, such as 25")
    return rate
