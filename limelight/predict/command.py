"""The implementation of `limelight predict`, after option parsing."""

import sys
from dataclasses import replace
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.media.sources import RECORD
from limelight.media.standard_input import StandardInput
from limelight.media.walk import Walk
from limelight.predict.options import INTERRUPTED, STREAM, PredictOptions, check_sources
from limelight.predict.picture_command import run_pictures
from limelight.predict.video_command import clips_of, paths_beside, run_stream, run_videos, run_webcam
from limelight.predict.video_options import first_picture_only_option, first_video_only_option


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
        return run_pictures(options, piped)
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
    return max(status, run_pictures(replace(options, sources=[str(path) for path in others]), failed=failures))


def _say_left_out(options: PredictOptions, count: int, what: str, option: str) -> None:
    if count and not options.quiet:
        counted = f"{count} {what}" if count == 1 else f"{count} {what}s"
        other = "videos" if what == "picture" else "pictures"
        print(f"note: {counted} left out: {option} is for {other} alone", file=sys.stderr)


def _check_has_video(options: PredictOptions, *, there: bool) -> None:
    """Refuse options of videos where there is none, and of webcams."""
    if options.seconds is not None:
        raise UserError("--seconds is for a webcam, and there is none; leave it out, or name one (--webcam)")
    if options.rate is not None and not options.video:
        raise UserError("--rate is for folders of frames; name one with --video, or leave it out")
    for_videos = {"--smoothing": options.smoothing > 0, "--look-ahead": options.look_ahead is not None}
    if not there and (given := [name for name, is_given in for_videos.items() if is_given]):
        raise UserError(f"{given[0]} is for videos, and there is none; leave it out")
