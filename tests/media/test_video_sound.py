"""Sound of videos: kinds that are taken over or encoded anew, files and streams, and files that were joined."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limelight.foundation.errors import UserError
from limelight.media.video.formats import encoding
from limelight.media.video.reader import VideoReader
from limelight.media.video.sink import Sink
from limelight.media.video.sound import SoundWriter
from limelight.media.video.writer import VideoWriter
from tests.video_files import frame, library, write_video

library()  # without it, all of this file is skipped


def with_sound(path: Path, codec: str, rate: int = 48000, late: float = 0, frames: int = 30, tracks: int = 1) -> Path:
    """Write a video of 25 frames a second with a tone, which begins later by so many seconds."""
    av = library()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        voices = [container.add_stream(codec, rate=rate, layout="mono") for _ in range(tracks)]
        for at in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(at), format="rgb24")))
        container.mux(stream.encode(None))
        tone = 0.3 * np.sin(np.arange(rate * frames // 25) * 440 * 2 * np.pi / rate, dtype=np.float32)
        for voice in voices:
            layout = voice.codec_context.format.name
            samples = (32767 * tone).astype(np.int16) if layout.startswith("s16") else tone
            for start in range(0, len(tone), 1024):
                heard = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format=layout, layout="mono")
                heard.sample_rate, heard.pts = rate, start + round(late * rate)
                container.mux(voice.encode(heard))
            container.mux(voice.encode(None))
    return path


def copied(source: Path, target: Path, *, streamed: bool = False) -> list[str]:
    """Write a video's frames and sound anew, into a file or a stream, and return the notes."""
    buffer = io.BytesIO()
    made = encoding(target.suffix, transparent=False)
    with VideoReader(source) as reader, Sink(buffer if streamed else target, str(target)) as sink:
        with VideoWriter(sink, target.suffix, made, reader) as writer:
            for each in reader:
                writer.add(each.image_HW3, each.time, each.sound)
            writer.finish(reader.rest)
        if streamed:
            target.write_bytes(buffer.getvalue())
        return [*reader.notes, *writer.notes]


def heard_in(path: Path) -> tuple[str, int, list[float], float]:
    """Codec and rate of the sound, the times of its frames, and the seconds of all."""
    with library().open(str(path)) as container:
        stream = container.streams.audio[0]
        heard = list(container.decode(stream))
        seconds = sum(each.samples / each.sample_rate for each in heard)
        return stream.codec_context.name, stream.rate, [each.time for each in heard], seconds


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("codec", ["aac", "ac3"])
@pytest.mark.parametrize("late", [0, 0.5])
def test_sound_of_transport_streams_can_be_streamed(tmp_path: Path, suffix: str, codec: str, late: float) -> None:
    """Nothing but its packets describes it, and the header of a stream comes before them."""
    source, target = with_sound(tmp_path / "a.ts", codec, late=late), tmp_path / f"b{suffix}"
    assert copied(source, target, streamed=True) == []
    name, _, times, seconds = heard_in(target)
    assert name == ("ac3" if (codec, suffix) == ("ac3", ".mkv") else "aac")
    assert times[0] == pytest.approx(late, abs=0.06) and seconds == pytest.approx(1.2, abs=0.06)
    assert copied(source, target) == []
    assert heard_in(target)[0] == codec, "taken over into a file"


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("streamed", [True, False])
def test_sound_that_begins_late_has_no_known_rate(tmp_path: Path, suffix: str, streamed: bool) -> None:
    """Later than what FFmpeg looks at, and than the first fragment of a stream."""
    source = with_sound(tmp_path / "a.ts", "ac3", late=15, frames=400)
    assert copied(source, tmp_path / f"b{suffix}", streamed=streamed) == []
    name, rate, times, _ = heard_in(tmp_path / f"b{suffix}")
    assert (name, rate) == ("aac", 48000) and times[0] == pytest.approx(15, abs=0.06)


@pytest.mark.parametrize(
    ("source", "rate", "target", "written"),
    [("a.mov", 192000, "b.mp4", 96000), ("a.avi", 37800, "b.mp4", 44100), ("a.avi", 37800, "b.webm", 48000)],
)
def test_sound_gets_a_rate_that_the_encoder_has(
    tmp_path: Path, source: str, rate: int, target: str, written: int
) -> None:
    assert copied(with_sound(tmp_path / source, "pcm_s16le", rate), tmp_path / target) == []
    _, made, _, seconds = heard_in(tmp_path / target)
    assert made == written and seconds == pytest.approx(1.2, abs=0.06)


def test_errors_of_the_sound_name_its_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(writer: SoundWriter, packet: Any) -> None:
        raise library().error.InvalidDataError(1, "damaged")

    monkeypatch.setattr(SoundWriter, "add", fail)
    with pytest.raises(UserError, match=r"b\.mp4 by aac: damaged; choose another type"):
        copied(with_sound(tmp_path / "a.mov", "pcm_s16le"), tmp_path / "b.mp4")
    monkeypatch.setattr("limelight.media.video.sound._rate", lambda codec, rate: 37800)
    with pytest.raises(UserError, match=r"b\.mp4 by aac: Invalid argument; choose another type"):
        copied(tmp_path / "a.mov", tmp_path / "b.mp4")


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
@pytest.mark.parametrize("streamed", [False, True])
def test_sound_of_joined_videos_goes_on_over_the_join(tmp_path: Path, suffix: str, streamed: bool) -> None:
    """Of two that begin at the same time, the second follows the first, as its picture does."""
    part = with_sound(tmp_path / "a.ts", "aac", frames=50).read_bytes()
    (tmp_path / "a.ts").write_bytes(3 * part)
    target = tmp_path / f"b{suffix}"
    assert copied(tmp_path / "a.ts", target, streamed=streamed) == []
    _, _, times, seconds = heard_in(target)
    assert seconds == pytest.approx(6, abs=0.1) and times[-1] == pytest.approx(6, abs=0.1)
    assert np.diff(times).max() < 0.06, "without gaps"


def test_tracks_and_subtitles_that_are_left_out_are_noted(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "a.mkv", "aac", tracks=2)
    with VideoReader(source) as reader:
        assert reader.notes == ["only one of its 2 sound tracks was kept"]
    with VideoReader(source, with_sound=False) as reader:
        assert reader.notes == []
    av, titled = library(), tmp_path / "b.mkv"
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    with (
        av.open(str(write_video(tmp_path / "c.mp4"))) as video,
        av.open(str(tmp_path / "a.srt")) as titles,
        av.open(str(titled), "w") as container,
    ):
        streams = [container.add_stream_from_template(each.streams[0]) for each in (video, titles)]
        for each, stream in zip((video, titles), streams, strict=True):
            for packet in each.demux():
                if packet.dts is not None:
                    packet.stream = stream
                    container.mux(packet)
    with VideoReader(titled) as reader:
        assert reader.notes == ["its subtitles were left out"]
