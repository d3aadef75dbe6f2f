"""Predict whole clips: frames are decoded ahead of the network, and rendered and encoded behind it."""

from collections import deque
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limelight.foundation.errors import UserError
from limelight.foundation.progress import Advance, progress
from limelight.foundation.scratch import scratch_folder
from limelight.inference.prediction import Prediction
from limelight.inference.saliency import SaliencyPredictor
from limelight.inference.stream import Stream
from limelight.media.video.backdrop import Backdrop
from limelight.media.video.clip import Clip, Frame
from limelight.media.video.formats import USUAL, USUAL_STREAMED, USUAL_TRANSPARENT, encoding
from limelight.media.video.sink import Sink
from limelight.media.video.threads import Behind, ahead, latest
from limelight.media.video.writer import VideoWriter
from limelight.media.window import Window
from limelight.models.inputs import Size
from limelight.predict.job import settings_of
from limelight.predict.styles import EXACT, LabelStyle, Style

_QUEUE = 8
"""Frames that may wait on either side of the network."""
MOST_TOGETHER, _PIXELS_TOGETHER = 4, 8_500_000
"""Frames that a network of stills answers at a time, unless they come in real time, and their pixels: four of 1080p."""
PARTIAL = ".partial"
"""Before the suffix of a video whose making was interrupted."""
STANDARD_OUTPUT = "standard output"


@dataclass
class VideoReport:
    """What became of a clip."""

    target: Path | str
    frames: int = 0
    """In the result."""
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class VideoJob:
    """How clips are predicted.

    Args:
        style: see `video_suffix`.
        smoothing, look_ahead: see `limelight.inference.stream.Stream`.
        quiet: show no progress.
        most_together: frames that a network of stills answers at a time, at most.
        watch: called for each frame; what it raises ends the work, and leaves no file.

    Raises:
        UserError: as `Stream`.
    """

    predictor: SaliencyPredictor
    style: Style
    smoothing: float = 0.0
    look_ahead: int | None = None
    quiet: bool = False
    most_together: int = MOST_TOGETHER
    watch: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.stream()  # fails before work is done

    def stream(self, size: Size | None = None) -> Stream:
        """Answer frames as they come, or in groups, which is faster.

        Args:
            size: (height, width) of frames that are answered in groups; None = as they come.
        """
        return Stream(
            self.predictor,
            smoothing=self.smoothing,
            look_ahead=self.look_ahead,
            together=1 if size is None else min(frames_together(size), self.most_together),
            overlapped=size is not None,
        )

    def record(self) -> dict[str, Any]:
        """The settings that the results depend on besides the clips, as JSON."""
        answered = {"smoothing": self.smoothing, "look_ahead": self.look_ahead}
        return settings_of(self.predictor.plan, self.style) | {name: given for name, given in answered.items() if given}

    def predicted(self, clip: Clip) -> Generator[tuple[Frame, Prediction], None, None]:
        """Yield each frame with its prediction; of a live clip, those that the network has time for."""
        stream, waiting = self.stream(None if clip.live else clip.size), deque[Frame]()
        frames = latest(clip, clip.stop) if clip.live else ahead(clip, _QUEUE, clip.stop)
        with closing(stream), closing(frames):
            for frame in frames:
                waiting.append(frame)
                for prediction in stream.push(frame.image_HW3):
                    yield waiting.popleft(), prediction
            for prediction in stream.flush():
                yield waiting.popleft(), prediction


def frames_together(size: Size) -> int:
    """How many frames of this (height, width) a network of stills answers at a time."""
    return min(MOST_TOGETHER, max(2, _PIXELS_TOGETHER // (size[0] * size[1])))


def video_suffix(style: Style, suffix: str | None, *, streamed: bool = False) -> str:
    """The suffix of results, checked: as requested, or the usual one of the kind.

    Args:
        streamed: whether they go into a pipe.

    Raises:
        UserError: videos cannot be made of this kind, or not as such files.
    """
    if isinstance(style, LabelStyle):
        raise UserError("videos have no classes; leave out --classes, or give pictures")
    if style.kind in EXACT or style.uncertainty:
        what = "uncertainty" if style.uncertainty else f"kind {style.name}"
        raise UserError(
            f"videos have no {what}; choose map, rgba, green, white, blur, overlay, a colour, a picture or a video"
        )
    transparent = style.kind == "rgba"
    suffix = suffix or (USUAL_TRANSPARENT if transparent else USUAL_STREAMED if streamed else USUAL)
    encoding(suffix, transparent=transparent)
    return suffix


def predict_to_file(job: VideoJob, clip: Clip, target: Path) -> VideoReport:
    """Make the result of a clip, whole or (after Ctrl-C) up to where it was, under a name that says so.

    Without a frame, nothing is written. Rate, times, sound and proportions are those of the clip. Ctrl-C is the usual
    end of a live one.

    Args:
        target: file of one of `limelight.media.video.formats.FORMATS`; replaced once the new one is whole.

    Raises:
        UserError: as `Clip` and `VideoWriter`.
    """
    report = VideoReport(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent) as scratch:
            with Sink(scratch / target.name, str(target)) as sink:
                _write(job, clip, sink, target.suffix.lower(), report)
            if report.interrupted:
                report.target = target.with_name(f"{target.stem}{PARTIAL}{target.suffix}")
            if report.frames:
                (scratch / target.name).replace(report.target)
    except OSError as error:
        if error.errno is None:
            raise
        raise UserError(f"cannot write {target}: {error.strerror}; choose another place") from error
    return report


def predict_to_stream(job: VideoJob, clip: Clip, file: Any, suffix: str) -> VideoReport:
    """Write the result of a clip into a pipe, from beginning to end.

    Args:
        file: binary, such as standard output's.
        suffix: as of `predict_to_file`.

    Raises:
        UserError: as `predict_to_file`.
    """
    report = VideoReport(STANDARD_OUTPUT)
    with Sink(file, STANDARD_OUTPUT) as sink:
        _write(job, clip, sink, suffix, report)
    return report


def predict_to_window(job: VideoJob, clip: Clip, window: Window) -> VideoReport:
    """Show the result of a clip until it ends, Ctrl-C, or the window is closed.

    Raises:
        UserError: as `Clip`.
    """
    report, style = VideoReport("window"), job.style
    with ExitStack() as stack:
        backdrop = _backdrop(style, stack)
        pairs, advance = stack.enter_context(closing(job.predicted(clip))), _progress(job, clip, stack)
        try:
            for frame, prediction in pairs:
                report.frames += 1
                advance(1, "")
                if not window.show(_pixels(style, clip, frame, prediction, backdrop)):
                    break
        except KeyboardInterrupt:
            report.interrupted = not clip.live
    report.notes += [*clip.notes, *_dropped(clip, report)]
    return report


def _write(job: VideoJob, clip: Clip, sink: Sink, suffix: str, report: VideoReport) -> None:
    style = job.style

    def finish(frame: Frame, prediction: Prediction) -> None:
        writer.add(_pixels(style, clip, frame, prediction, backdrop), frame.time, frame.sound)

    with ExitStack() as stack:
        backdrop = _backdrop(style, stack)
        writer = stack.enter_context(
            VideoWriter(sink, suffix, encoding(suffix, transparent=style.kind == "rgba"), clip)
        )
        try:
            with (
                ExitStack() as shown,
                Behind(1 if clip.live else _QUEUE) as behind,
                closing(job.predicted(clip)) as pairs,
            ):
                advance = _progress(job, clip, shown)
                for frame, prediction in pairs:
                    job.watch()
                    behind.call(finish, frame, prediction)
                    advance(1, "")
        except KeyboardInterrupt:
            report.interrupted = not clip.live
        writer.finish(None if report.interrupted else clip.rest)
        report.frames = writer.frames
    report.notes += [*clip.notes, *writer.notes, *_dropped(clip, report)]


def _dropped(clip: Clip, report: VideoReport) -> list[str]:
    dropped = clip.taken - report.frames
    if not clip.live or dropped <= 1:  # one is in hand when it ends
        return []
    return [f"{dropped} of {clip.taken} frames were dropped, as the rest is slower; the others keep their times"]


def _backdrop(style: Style, stack: ExitStack) -> Backdrop | None:
    moving = style.moving
    return None if moving is None else stack.enter_context(Backdrop(moving, max_pixels=style.max_pixels))


def _progress(job: VideoJob, clip: Clip, stack: ExitStack) -> Advance:
    return stack.enter_context(progress(clip.count, clip.name, "frames", quiet=job.quiet))


def _pixels(style: Style, clip: Clip, frame: Frame, prediction: Prediction, backdrop: Backdrop | None) -> Any:
    behind_HW3 = None if backdrop is None else backdrop.at(float(frame.time * clip.time_base))
    aspect = clip.aspect if backdrop is None else clip.aspect / backdrop.aspect
    return style.pixels(frame.image_HW3, prediction.saliency_HW, behind_HW3, float(aspect))
