"""Sound of a clip, taken over as it is where the format takes it, else encoded anew."""

from typing import Any

from limelight.media.video.clip import Clip
from limelight.media.video.formats import Format, av

_OPUS_RATE = 48_000


class SoundWriter:
    """The stream of sound of a file that is being written. Damaged parts are skipped and counted.

    Args:
        container: the file, before its first frame.
        made: its type.
        clip: with sound.
    """

    def __init__(self, container: Any, made: Format, clip: Clip) -> None:
        self._av, self._container, self._clip, self._from = av(), container, clip, clip.sound
        self.damaged = 0
        """Parts that were skipped."""
        self._copied = self._from.codec_context.name in made.sound
        self._last: int | None = None
        self._origin = round(clip.sound_origin / self._from.time_base)
        if self._copied:
            self._stream = container.add_stream_from_template(self._from)
            return
        rate = _OPUS_RATE if made.sound_codec == "libopus" else self._from.codec_context.sample_rate
        layout = "mono" if self._from.codec_context.layout.nb_channels == 1 else "stereo"
        self._stream = container.add_stream(made.sound_codec, rate=rate, layout=layout)
        context = self._stream.codec_context
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
        if self._last is not None and dts <= self._last:
            self.damaged += 1
            return
        self._last = dts
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
        return frames

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            try:
                even = self._even.resample(frame)
            except ValueError:  # it has become another kind of sound
                self.damaged += 1
                continue
            for each in even:
                self._container.mux(self._stream.encode(each))
