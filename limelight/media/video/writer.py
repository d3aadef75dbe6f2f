"""Video files of results, with the times and the sound of the video that they were made from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from limelight.foundation.errors import UserError
from limelight.media.video.formats import FORMATS, Encoding, av, open_video
from limelight.media.video.reader import VideoReader


class VideoWriter:
    """A video file that is being written. A context manager; without an error, the file is whole at its end.

    Args:
        path: its suffix is one of `FORMATS`.
        encoding: of the frames.
        source: the video whose times, rate, aspect and sound it gets.

    Raises:
        UserError: this machine lacks the codec, or the file cannot be written.
    """

    def __init__(self, path: Path, encoding: Encoding, source: VideoReader) -> None:
        self._av, self._encoding, self._source = av(), encoding, source
        self.notes = list[str]()
        if encoding.codec not in self._av.codec.codecs_available:
            raise UserError(f"this machine has no encoder {encoding.codec}; choose another type of file (--output)")
        height, width = source.size
        self._padding = (height % 2, width % 2) if encoding.even else (0, 0)
        if any(self._padding):
            self.notes.append(f"{width} x {height} pixels became even, as the format needs: the last line is repeated")
        try:
            self._container = self._av.open(str(path), "w")
            self._stream = self._container.add_stream(encoding.codec, rate=source.rate, options=dict(encoding.options))
        except (self._av.error.FFmpegError, OSError) as error:
            raise UserError(f"cannot write {path}: {error.strerror}; choose another place") from error
        self._stream.height, self._stream.width = height + self._padding[0], width + self._padding[1]
        self._stream.pix_fmt = encoding.pixel_format
        self._stream.codec_context.time_base = source.time_base
        self._stream.codec_context.sample_aspect_ratio = source.aspect
        # Before the first frame: a file's streams are fixed then.
        self._sound = self._add_sound(FORMATS[path.suffix.lower()].sound, FORMATS[path.suffix.lower()].sound_codec)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def add(self, pixels: np.ndarray, time: int) -> None:
        """Add a frame.

        Args:
            pixels: uint8 grey (H, W), RGB (H, W, 3) or with alpha (H, W, 4).
            time: in units of the source's `time_base`; later than the one before.
        """
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        if any(self._padding):
            bottom, right = self._padding
            pixels = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        layout = "rgba" if pixels.shape[2] == 4 else "rgb24"
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=layout)
        frame.pts, frame.time_base = time, self._source.time_base
        self._container.mux(self._stream.encode(frame))

    def _add_sound(self, taken_over: tuple[str, ...], codec: str) -> Any:
        sound = self._source.sound
        if sound is None:
            return None
        if sound.codec_context.name in taken_over:
            return self._container.add_stream_from_template(sound)
        rate = 48_000 if codec == "libopus" else sound.codec_context.sample_rate
        return self._container.add_stream(codec, rate=rate)

    def add_sound(self, watch: Callable[[], None] | None = None) -> None:
        """Add the source's sound, which is read anew: as it is where the format takes it, else encoded.

        Args:
            watch: called for each part; what it raises ends the work.
        """
        own = self._source.sound
        if self._sound is None or own is None:
            return
        with open_video(self._source.path) as container:
            stream = container.streams[own.index]
            copied = self._sound.codec_context.name == own.codec_context.name
            try:
                for packet in container.demux(stream):
                    if watch:
                        watch()
                    if copied and packet.dts is not None:
                        packet.stream = self._sound
                        self._container.mux(packet)
                    elif not copied:
                        self._encode(packet.decode())
                if not copied:
                    self._container.mux(self._sound.encode(None))
            except self._av.error.FFmpegError as error:
                self.notes.append(f"the sound is not whole: {error.strerror}")

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            frame.pts = None
            self._container.mux(self._sound.encode(frame))
