"""Predict whole videos: frames are decoded ahead of the network, and rendered and encoded behind it."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.foundation.files import scratch_folder
from limelight.inference.predictor import Prediction, SaliencyPredictor
from limelight.inference.stream import Stream
from limelight.media.video.formats import USUAL, USUAL_TRANSPARENT, encoding, is_video
from limelight.media.video.reader import UNLIMITED, Frame, Limits, VideoReader
from limelight.media.video.threads import Behind, ahead
from limelight.media.video.writer import VideoWriter
from limelight.predict.styles import EXACT, LabelStyle, Style
from limelight.progress import progress

_QUEUE = 8
"""Frames that may wait on either side of the network."""
PARTIAL = ".partial"
"""Before the suffix of a video whose making was interrupted."""


@dataclass
class VideoReport:
    """What became of a video."""

    target: Path
    frames: int = 0
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)


def find_videos(sources: Sequence[Path], results: Path) -> dict[Path, Path]:
    """The videos among files and below folders, each with the place of its result below the results folder.

    Args:
        results: that folder, whose own videos are no sources.
    """
    found: dict[Path, Path] = {}
    for source in sources:
        if is_video(source) and source.is_file():
            found.setdefault(source, Path(source.name))
        elif os.path.isdir(source):  # noqa: PTH112 - Path raises in a folder without access
            videos = (path for path in source.rglob("*") if is_video(path) and path.is_file())
            kept = sorted(path for path in videos if results.resolve() not in path.resolve().parents)
            found |= {path: path.relative_to(source) for path in kept}
    return found


def video_suffix(style: Style, suffix: str | None) -> str:
    """The suffix of results, checked: as requested, or the usual one of the kind.

    Raises:
        UserError: videos cannot be made of this kind, or not as such files.
    """
    if isinstance(style, LabelStyle) or style.kind in EXACT or style.uncertainty:
        what = "uncertainty" if style.uncertainty else f"kind {style.name}"
        raise UserError(f"videos have no {what}; choose map, rgba, green, white, blur, overlay, a colour or a picture")
    transparent = style.kind == "rgba"
    suffix = suffix or (USUAL_TRANSPARENT if transparent else USUAL)
    encoding(suffix, transparent=transparent)
    return suffix


def predict_video(
    predictor: SaliencyPredictor,
    style: Style,
    path: Path,
    target: Path,
    *,
    smoothing: float = 0.0,
    look_ahead: int | None = None,
    limits: Limits = UNLIMITED,
    watch: Callable[[], None] | None = None,
    quiet: bool = False,
) -> VideoReport:
    """Make the result of a video, whole or (after Ctrl-C) up to where it was, under a name that says so.

    Rate, times, sound and proportions are those of the video.

    Args:
        target: file of one of `limelight.media.video.formats.FORMATS`; replaced.
        smoothing, look_ahead: see `limelight.inference.stream.Stream`.
        limits: of frames and seconds.
        watch: called for each frame and each part of the sound; what it raises ends the work, and leaves no file.

    Raises:
        UserError: as `Stream`, `VideoReader` and `VideoWriter`, or the target is the video itself.
    """
    if target.resolve() == path.resolve():
        raise UserError(f"{target} is the video itself; choose another --output")
    report = VideoReport(target)
    stream = Stream(predictor, smoothing=smoothing, look_ahead=look_ahead)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        VideoReader(path, max_pixels=style.max_pixels, limits=limits) as reader,
        scratch_folder(target.parent) as scratch,
    ):
        made = encoding(target.suffix.lower(), transparent=style.kind == "rgba")
        temporary = scratch / target.name
        with VideoWriter(temporary, made, reader) as writer:
            show = nullcontext(lambda items, note: None) if quiet else progress(reader.count, path.name, "frames")
            try:
                with show as advance, Behind(_QUEUE) as behind:
                    for frame, prediction in _predicted(stream, reader):
                        if watch:
                            watch()
                        behind.call(_finish, style, writer, frame, prediction)
                        report.frames += 1
                        advance(1, "")
            except KeyboardInterrupt:
                report.interrupted = True
            writer.add_sound(watch)
        report.notes += [*reader.notes, *writer.notes]
        if report.interrupted:
            report.target = target.with_name(f"{target.stem}{PARTIAL}{target.suffix}")
        temporary.replace(report.target)
    return report


def _predicted(stream: Stream, reader: VideoReader) -> Iterator[tuple[Frame, Prediction]]:
    """Yield each frame with its prediction."""
    waiting: deque[Frame] = deque()
    for frame in ahead(reader, _QUEUE):
        waiting.append(frame)
        for prediction in stream.push(frame.image_HW3):
            yield waiting.popleft(), prediction
    for prediction in stream.flush():
        yield waiting.popleft(), prediction


def _finish(style: Style, writer: VideoWriter, frame: Frame, prediction: Prediction) -> None:
    writer.add(style.pixels(frame.image_HW3, prediction.saliency_HW), frame.time)


def say(report: VideoReport, path: Path) -> None:
    """Print what became of a video."""
    state = "interrupted; playable so far" if report.interrupted else "written"
    print(f"{report.target}: {report.frames} frames {state}", file=sys.stderr)
    for note in report.notes:
        print(f"note: {path}: {note}", file=sys.stderr)
