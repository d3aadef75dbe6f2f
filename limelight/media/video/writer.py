"""Video files of results, with the times and the sound of the clip that they were made from."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self

import cv2
import numpy as np

from limelight.foundation.errors import UserError
from limelight.media.video.clip import Clip
from limelight.media.video.colour import LIMITED_LUMA, LIMITED_RANGE, NO_CHROMA, usual_matrix
from limelight.media.video.formats import FORMATS, Encoding, Format, av
from limelight.media.video.sink import Sink
from limelight.media.video.sound import SoundWriter
from limelight.models.inputs import Size


class VideoWriter:
    """A video that is being written. A context manager; after `finish`, it is whole.

    Args:
        sink: where it goes.
        suffix: its type, one of `FORMATS`.
        encoding: of the frames.
        clip: whose times, rate, aspect and sound it gets.

    Raises:
        UserError: this machine lacks the codec, the disk is full, or the like.
    """

    def __init__(self, sink: Sink, suffix: str, encoding: Encoding, clip: Clip) -> None:
        self._av, self._sink, self._encoding, self._clip = av(), sink, encoding, clip
        self.notes = list[str]()
        self._failure: UserError | None = None
        self.frames = 0
        """How many were added."""
        if encoding.codec not in self._av.codec.codecs_available:
            raise UserError(f"this machine has no encoder {encoding.codec}; choose another type of file (--output)")
        made, options = FORMATS[suffix], dict(encoding.options)
        height, width = self._sides = self._shown(clip, made)
        self._padding = (height % 2, width % 2) if encoding.even else (0, 0)
        if any(self._padding):
            self.notes.append(f"{width} x {height} pixels became even, as the format needs: the last line is repeated")
        self._matrix = usual_matrix(height, width)
        self._scaler = self._av.video.reformatter.VideoReformatter()  # kept: it is made for one kind of frame
        if clip.live and encoding.codec == "libx264":
            options["tune"] = "zerolatency"
        with self._writing():
            self._container = self._av.open(
                sink, "w", format=made.container, options={} if sink.seekable() else dict(made.streamed)
            )
            self._stream = self._container.add_stream(encoding.codec, rate=clip.rate, options=options)
            self._stream.height, self._stream.width = height + self._padding[0], width + self._padding[1]
            self._stream.pix_fmt = encoding.pixel_format
            context = self._stream.codec_context
            context.time_base = clip.time_base
            context.sample_aspect_ratio = clip.aspect if made.aspect else 1
            context.colorspace = context.color_primaries = context.color_trc = self._matrix.code
            context.color_range = LIMITED_RANGE
        self._sound: SoundWriter | None = None
        if clip.sound is not None:  # before the first frame: a file's streams are fixed then
            with self._writing(made.sound_codec):
                self._sound = SoundWriter(self._container, made, clip, streamed=not sink.seekable())
        self._waiting: deque[Any] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with suppress(self._av.error.FFmpegError, OSError):  # raised before, by `add` or `finish`
            self._container.close()

    def add(self, pixels: np.ndarray, time: int, sound: Sequence[Any] = ()) -> None:
        """Add a frame.

        Args:
            pixels: uint8 grey (H, W), RGB (H, W, 3) or with alpha (H, W, 4).
            time: in units of the clip's `time_base`; later than the one before.
            sound: packets that come with it; see `Frame`.

        Raises:
            UserError: the disk is full, or the like.
        """
        self._waiting.extend(sound)
        if pixels.shape[:2] != self._sides:
            pixels = cv2.resize(pixels, self._sides[::-1], interpolation=cv2.INTER_LINEAR)
        if any(self._padding):
            bottom, right = self._padding
            pixels = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        with self._writing():
            frame = self._frame(pixels)
            frame.pts, frame.time_base = time, self._clip.time_base
            self._container.mux(self._stream.encode(frame))
        self.frames += 1
        self._add_sound(float(time * self._clip.time_base))

    def _frame(self, pixels: np.ndarray) -> Any:
        """A frame as the encoder takes it."""
        from_ndarray = self._av.VideoFrame.from_ndarray
        if pixels.ndim == 2 and self._encoding.pixel_format == "yuv420p":
            # Without the scaler, which takes as long for a map as encoding does.
            height, width = pixels.shape
            planes = np.full((height * 3 // 2, width), NO_CHROMA, np.uint8)
            cv2.LUT(pixels, LIMITED_LUMA, dst=planes[:height])
            return from_ndarray(planes, format="yuv420p")
        layout = "gray" if pixels.ndim == 2 else "rgb24" if pixels.shape[2] == 3 else "rgba"
        return self._scaler.reformat(
            from_ndarray(np.ascontiguousarray(pixels), format=layout),
            format=self._encoding.pixel_format,
            dst_colorspace=self._matrix.scaler,
            dst_color_range=LIMITED_RANGE,
        )

    def finish(self, rest: Sequence[Any] | None = ()) -> None:
        """Write what waits, and the file's end.

        Args:
            rest: sound after the last frame; None = the clip is cut off here, and so is its sound.

        Raises:
            UserError: the disk is full, or the like.
        """
        if rest is not None:
            self._waiting.extend(rest)
            self._add_sound(float("inf"))
        with self._writing():
            self._container.mux(self._stream.encode(None))
        if self._sound is not None:
            with self._writing(self._sound.codec):
                self._sound.finish()
        with self._writing():
            self._container.close()
            if self._sink.error is not None:
                raise self._sink.error
        self._sink.finish()
        if self._sound is not None and self._sound.damaged:
            self.notes.append(f"the sound is not whole: {self._sound.damaged} damaged parts were skipped")

    def _shown(self, clip: Clip, made: Format) -> Size:
        """Height and width of the frames: the clip's, or as it is shown where the format has square pixels alone."""
        height, width = clip.size
        if made.aspect or clip.aspect == 1:
            return height, width
        self.notes.append(f"its pixels of {clip.aspect} became square ones: a {made.container} video has no others")
        return height, max(1, round(width * clip.aspect))

    def _add_sound(self, until: float) -> None:
        """Add the packets that are heard until a time in seconds."""
        while self._sound is not None and self._waiting and self._sound.time(self._waiting[0]) <= until:
            with self._writing(self._sound.codec):
                self._sound.add(self._waiting.popleft())

    @contextmanager
    def _writing(self, codec: str | None = None) -> Iterator[None]:
        """Turn errors into a `UserError`, which names the codec: the picture's, where none is given."""
        if self._failure is not None:  # FFmpeg crashes when it writes on after an error
            raise UserError(*self._failure.args)
        try:
            yield
        except (self._av.error.FFmpegError, OSError) as error:
            self._failure = self._described(error, codec or self._encoding.codec)
            raise self._failure from error

    def _described(self, error: Exception, codec: str) -> UserError:
        if self._sink.error is not None:
            return self._sink.failure(self._sink.error)
        reason = getattr(error, "strerror", None) or error
        return UserError(
            f"cannot encode {self._sink.name} by {codec}: {reason}; choose another type of file (--output)"
        )
