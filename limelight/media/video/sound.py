"""Sound of a clip, taken over as it is where the format takes it, else encoded anew."""

from typing import Any

from limelight.media.video.clip import Clip
from limelight.media.video.formats import Format, av

_USUAL_RATE = 48_000
"""Samples per second where the sound begins too late for its rate to be known."""


class SoundWriter:
    """The stream of sound of a file that is being written. Damaged parts are skipped and counted.

    Args:
        container: the file, before its first frame.
        made: its type.
        clip: with sound.
        streamed: whether the file is written from beginning to end.

    Raises:
        FFmpegError: the sound's encoder does not open.
    """

    def __init__(self, container: Any, made: Format, clip: Clip, *, streamed: bool = False) -> None:
        self._av, self._container, self._clip, self._from = av(), container, clip, clip.sound
        self.damaged = 0
        """Parts that were skipped."""
        self._copied = _is_copied(self._from.codec_context, made, streamed)
        self.codec = self._from.codec_context.name if self._copied else made.sound_codec
        self._last: int | None = None
        self._origin = round(clip.sound_origin / self._from.time_base)
        if self._copied:
            self._stream = container.add_stream_from_template(self._from)
            return
        rate = _rate(made.sound_codec, self._from.codec_context.sample_rate or _USUAL_RATE)
        layout = "mono" if self._from.codec_context.layout.nb_channels == 1 else "stereo"
        self._stream = container.add_stream(made.sound_codec, rate=rate, layout=layout)
        context = self._stream.codec_context
        context.open()
        # Parts that are missing become silence, so that what follows stays with its picture.
        self._even = self._av.AudioResampler(context.format, context.layout, context.sample_rate, options={"async": 1})

    def time(self, packet: Any) -> float:
        """When a packet is heard, in seconds from the beginning; those that do not say it go with those before."""
        return float("-inf") if packet.dts is None else float((packet.dts - self._origin) * packet.time_base)

    def add(self, packet: Any) -> None:
        """Add a packet of the clip.

        Raises:
            FFmpegError: the file cannot be written.
        """
        if not self._copied:
            self._encode(self._decoded(packet))
            return
        if packet.dts is None:  # the end
            return
        dts = packet.dts - self._origin
        if not self._is_later(dts):
            return
        packet.pts = None if packet.pts is None else packet.pts - self._origin
        packet.dts, packet.stream = dts, self._stream
        self._container.mux(packet)

    def finish(self) -> None:
        """Encode what waits.

        Raises:
            FFmpegError: the file cannot be written.
        """
        if not self._copied:
            self._encode([None])
            self._container.mux(self._stream.encode(None))

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            frames = list(packet.decode())
        except self._av.error.FFmpegError:
            self.damaged += 1
            return []
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= self._origin
        return [frame for frame in frames if frame.pts is None or self._is_later(frame.pts)]

    def _is_later(self, time: int) -> bool:
        """Whether a part begins after the one before, as formats need; if not, it is counted as damaged."""
        if self._last is not None and time <= self._last:
            self.damaged += 1
            return False
        self._last = time
        return True

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            try:
                even = self._even.resample(frame)
            except ValueError:  # it has become another kind of sound
                self.damaged += 1
                continue
            for each in even:
                self._container.mux(self._stream.encode(each))


def _is_copied(context: Any, made: Format, streamed: bool) -> bool:
    # Sound that begins late has no known rate.
    undescribed = streamed and context.name in made.needs_extradata and not context.extradata
    return context.name in made.sound and context.sample_rate > 0 and not undescribed


def _rate(codec: str, rate: int) -> int:
    """The encoder's lowest sample rate that keeps all frequencies, else its highest."""
    rates = av().Codec(codec, "w").audio_rates or [rate]
    return min((each for each in rates if each >= rate), default=max(rates))
