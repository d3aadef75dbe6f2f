"""Frames of a video file or of a stream of bytes, upright, with their times and the sound beside them."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from limelight.foundation.errors import TooLarge, UserError
from limelight.imaging.header import MAX_PIXELS
from limelight.imaging.transparency import on_ground
from limelight.media.standard_input import StandardInput
from limelight.media.video.clip import UNLIMITED, USUAL_RATE, Clip, Frame, Limits
from limelight.media.video.colour import UNSPECIFIED, usual_matrix
from limelight.media.video.formats import av, open_video
from limelight.media.video.joins import JoinedSound
from limelight.models.inputs import Size

_PADDING = 1 << 16
"""Codecs pad their frames, by less than this beside as many pixels again, unless a side is extremely short."""
_MOST_PIXELS = (1 << 31) - 1
"""The largest limit that FFmpeg takes."""
_SLACK_S = 0.5
"""Seconds that a picture may end before the length that its file states: frames have lengths, and writers round."""


class VideoReader(Clip):
    """A video file, or standard input.

    Damaged parts are skipped, and counted in `notes`.

    Args:
        source: the file; standard input is read as it comes.
        max_pixels: limit for a frame.
        limits: for all of it; by what the file says at once, and by what is read, while it is iterated.
        with_sound: whether packets of sound come with the frames.

    Raises:
        UserError: the file cannot be read, or has no video stream that can be decoded, or no frame.
        TooLarge: its frames are too large, or it is too long.
    """

    def __init__(
        self,
        source: Path | StandardInput,
        *,
        max_pixels: int = MAX_PIXELS,
        limits: Limits = UNLIMITED,
        with_sound: bool = True,
    ) -> None:
        super().__init__()
        self._source, self._max_pixels, self._limits = source, max_pixels, limits
        self.name = source.name if isinstance(source, StandardInput) else str(source)
        self._damage = av().error.FFmpegError
        opened = source.file() if isinstance(source, StandardInput) else str(source)
        try:
            self.container: Any = open_video(opened)
        except (self._damage, OSError) as error:
            reason = getattr(error, "strerror", None) or "unknown format"
            if getattr(error, "errno", None) == errno.EINVAL:  # what FFmpeg says of formats that are not read
                reason = "it is in none of the formats that are read"
            raise UserError(
                f"cannot read {self.name}: {reason[0].lower()}{reason[1:]}; convert or replace it"
            ) from error
        try:
            self._begin(with_sound)
        except BaseException:
            self.close()
            raise

    def _begin(self, with_sound: bool) -> None:
        streams = self.container.streams.video
        if not streams:
            raise UserError(f"{self.name} has no video stream; give a video")
        stream = _decodable(streams)
        if stream is None:
            raise UserError(f"{self.name} is in a codec that is not known here; convert it, for example to H.264")
        self._stream = stream
        self._stream.thread_type = "AUTO"
        self._check_pixels(self._stream)
        self._sized = self._stream.width > 0
        # A stream may change to a larger size, which FFmpeg then refuses before it decodes a frame of it.
        most = min(2 * self._max_pixels + _PADDING, _MOST_PIXELS)
        self._stream.codec_context.options = {"max_pixels": str(most)}
        self.rate = Fraction(self._stream.average_rate or self._stream.base_rate or USUAL_RATE)
        self.time_base = Fraction(self._stream.time_base or 1 / self.rate)
        if with_sound:
            self.sound = _decodable(self.container.streams.audio)
            self.notes += _left_out(self.container.streams, self.sound)
        self._limits.check(self._stream.frames, self._seconds)
        # Recordings of broadcasts and parts of live streams begin at any time.
        self.sound_origin = Fraction(max(0, self.container.start_time or 0), 1_000_000)
        self._origin = round(self.sound_origin / self.time_base)
        self._frames = self._decoded()
        self._first = next(self._frames, None)
        if self._first is None:
            raise UserError(f"no frame of {self.name} can be read; convert or replace it")

    @property
    def size(self) -> Size:
        assert self._first is not None
        height, width = self._first.image_HW3.shape[:2]
        return height, width

    @property
    def aspect(self) -> Fraction:  # type: ignore[override]
        """Width of a pixel relative to its height, of a frame as it is turned."""
        aspect = Fraction(self._stream.sample_aspect_ratio or 1)
        return 1 / aspect if self._turned else aspect

    @property
    def count(self) -> int | None:
        """How many frames there are, as far as the file says."""
        return self._stream.frames or round(self._seconds * self.rate) or None

    @property
    def _seconds(self) -> float:
        """How long it lasts, as far as the file says; 0 where it does not."""
        if self._stream.duration:
            return float(self._stream.duration * self.time_base)
        return self.container.duration / 1e6 if self.container.duration else 0.0

    @property
    def _picture_seconds(self) -> float:
        """How long the picture lasts, as far as the file says; 0 where only the whole's length is known, and there is
        sound, which may be longer."""
        if (stated := _seconds_of(self._stream.metadata.get("DURATION", ""))) or self._stream.duration:
            return stated or self._seconds
        return 0.0 if self.container.streams.audio else self._seconds

    def _check_pixels(self, frame: Any) -> None:
        if frame.width * frame.height > self._max_pixels:
            raise TooLarge(
                f"{self.name} has frames of {frame.width} x {frame.height} pixels, more than {self._max_pixels}",
                "make it smaller",
                "--max-pixels",
            )

    def _check_refusal(self, error: Exception) -> None:
        """Raise for a frame that FFmpeg has refused by its size, and not for damage.

        The codec keeps the size, or it forgets that it had any (most do), or its error says so (AV1).
        """
        self._check_pixels(self._stream)
        if getattr(error, "errno", None) == errno.ERANGE or (self._sized and not self._stream.width):
            raise TooLarge(
                f"{self.name} has frames of more than {self._max_pixels} pixels", "make it smaller", "--max-pixels"
            ) from error

    def stop(self) -> None:
        if isinstance(self._source, StandardInput):
            self._source.stop()

    def close(self) -> None:
        if hasattr(self, "_frames"):
            self._frames.close()
        self.container.close()

    def __iter__(self) -> Iterator[Frame]:
        assert self._first is not None
        yield self._first
        count, last = 1, self._first.time
        for frame in self._frames:
            count, last = count + 1, frame.time
            self._limits.check(count, float((frame.time - self._first.time) * self.time_base))
            yield frame
        expected, seconds = self._stream.frames, float(last * self.time_base + 1 / self.rate)
        is_short = seconds + float(self.sound_origin) < self._picture_seconds - _SLACK_S
        # MP4 counts frames, too, that its edit list leaves out, as of a clip that was cut without encoding it anew.
        if count < expected and (is_short or "mp4" not in self.container.format.name):
            self.notes.append(f"it ends early: {count} of {expected} frames could be read")
        elif not expected and is_short:
            self.notes.append(f"it ends early: {seconds:.2f} of {self._picture_seconds:.2f} seconds could be read")

    def _decoded(self) -> Any:
        damaged, last, shift, size, sound = 0, -1, 0, None, JoinedSound()
        scaler = av().video.reformatter.VideoReformatter()
        self._turned, self._transparent = False, self._stream.metadata.get("alpha_mode") == "1"  # VP9's is not decoded
        step = max(1, round(1 / (self.rate * self.time_base)))
        for packet in self._packets():
            if packet.stream is self.sound:
                sound.add(packet)
                continue
            try:
                frames = packet.decode()
            except self._damage as error:
                self._check_refusal(error)
                damaged += 1
                continue
            for frame in frames:
                self._check_pixels(frame)  # a stream may change to a larger size
                image_HW3 = self._image(frame, scaler)
                size = size or image_HW3.shape[:2]
                if image_HW3.shape[:2] != size:  # the stream has changed to another size
                    image_HW3 = cv2.resize(image_HW3, size[::-1], interpolation=cv2.INTER_AREA)
                time = frame.pts - self._origin + shift if frame.pts is not None else last + step
                if last - time >= step:  # another stream, joined to it, that begins its times anew
                    shift += last + step - time
                    time = last + step
                    sound.shifts.append(shift * self.time_base)
                last = max(last + 1, time)
                yield Frame(image_HW3, last, sound.take())
        self.rest = sound.take(at_end=True)
        if self._transparent:
            self.notes.append("its transparency was not kept; to keep it, give its frames as PNG pictures")
        if damaged:
            self.notes.append(f"{damaged} damaged parts were skipped")

    def _image(self, frame: Any, scaler: Any) -> np.ndarray:
        """A decoded frame as uint8 (H, W, 3), upright; a transparent one on a ground, as pictures are."""
        pixels = _pixels(frame, scaler)
        if pixels.shape[2] == 4:
            pixels, transparency = on_ground(pixels[..., :3], pixels[..., 3])
            self._transparent |= transparency is not None
        matrix = frame.side_data.get("DISPLAYMATRIX")
        pixels, self._turned = (pixels, False) if matrix is None else _upright(pixels, np.frombuffer(matrix, np.int32))
        return np.ascontiguousarray(pixels)

    def _packets(self) -> Iterator[Any]:
        streams = [self._stream] if self.sound is None else [self._stream, self.sound]
        with suppress(self._damage):  # a file that is cut off
            yield from self.container.demux(streams)


def _left_out(streams: Any, sound: Any) -> list[str]:
    """Notes of the sound and the subtitles that are not read."""
    notes, tracks = [], len(streams.audio)
    if tracks and sound is None:
        notes.append("its sound is in a codec that is not known here, and was left out")
    elif tracks > 1:
        notes.append(f"only one of its {tracks} sound tracks was kept")
    return [*notes, "its subtitles were left out"] if streams.subtitles else notes


def _decodable(streams: Iterable[Any]) -> Any:
    """The first stream for whose codec there is a decoder; None without one."""
    return next((stream for stream in streams if stream.codec_context is not None), None)


def _pixels(frame: Any, scaler: Any) -> np.ndarray:
    """A decoded frame as uint8 (H, W, 3), or (H, W, 4) where its format has alpha.

    Args:
        scaler: a reformatter of PyAV's, kept from frame to frame.
    """
    unsaid = frame.colorspace == UNSPECIFIED
    matrix = {"src_colorspace": usual_matrix(frame.height, frame.width).scaler} if unsaid else {}
    kind = frame.format
    transparent = kind.has_palette or any(component.is_alpha for component in kind.components)
    pixels: np.ndarray = scaler.reformat(frame, format="rgba" if transparent else "rgb24", **matrix).to_ndarray()
    return pixels


def _upright(pixels: np.ndarray, matrix_9: np.ndarray) -> tuple[np.ndarray, bool]:
    """Turn and flip a frame by its display matrix; also whether its sides are swapped.

    Args:
        matrix_9: a b u, c d v, x y w; a point (x, y) is shown at (ax + cy, bx + dy), with y downwards.
    """
    a, b, _, c, d, *_ = matrix_9.tolist()
    swapped = abs(b) > abs(a)
    if swapped:
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1], swapped


def _seconds_of(text: str) -> float:
    """Seconds of Matroska's 00:00:01.5; 0 where it is nothing of the kind."""
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds
