"""Video files in and out: frames, times, turning, sound, odd sizes, damage."""

import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from limelight.foundation.errors import TooLarge, UserError
from limelight.media.video.clip import Limits
from limelight.media.video.colour import LIMITED_LUMA, NO_CHROMA
from limelight.media.video.formats import av, encoding, is_video
from limelight.media.video.reader import VideoReader
from limelight.media.video.sink import Sink
from limelight.media.video.threads import Behind, ahead
from limelight.media.video.writer import VideoWriter
from tests.video_files import frame, library, read_video, turn_right, write_video

library()  # without it, all of this file is skipped


def copied(source: Path, target: Path, channels: int = 3) -> list[str]:
    """Write a video's frames anew, and return the notes."""
    with VideoReader(source) as reader:
        made = encoding(target.suffix, transparent=channels == 4)
        with Sink(target, str(target)) as sink, VideoWriter(sink, target.suffix, made, reader) as writer:
            for each in reader:
                alpha_HW1 = np.full((*reader.size, 1), 128, np.uint8)
                pixels = each.image_HW3 if channels == 3 else np.dstack((each.image_HW3, alpha_HW1))
                writer.add(pixels[..., 0] if channels == 1 else pixels, each.time, each.sound)
            writer.finish(reader.rest)
        return [*reader.notes, *writer.notes]


def write_still(path: Path, pixels: np.ndarray, codec: str, layout: str) -> Path:
    """Write a video of one frame, RGB or RGBA."""
    with library().open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        (stream.height, stream.width), stream.pix_fmt = pixels.shape[:2], layout
        kind = "rgba" if pixels.shape[2] == 4 else "rgb24"
        container.mux(stream.encode(library().VideoFrame.from_ndarray(pixels, format=kind)))
        container.mux(stream.encode(None))
    return path


CORNER_HW3 = np.full((48, 64, 3), 60, np.uint8)
CORNER_HW3[:16, :32] = 220


def test_frames_come_in_order(tmp_path: Path) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4")) as reader:
        assert (reader.size, reader.rate, reader.count, reader.sound) == ((48, 64), 25, 12, None)
        frames = list(reader)
    assert [each.time * reader.time_base for each in frames] == [Fraction(at, 25) for at in range(12)]
    for at, each in enumerate(frames):
        assert np.abs(each.image_HW3.astype(int) - frame(at)).mean() < 6


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_rate_times_and_sound_are_kept(tmp_path: Path, suffix: str) -> None:
    """Times that are not even too, and sound in a format that cannot take it over."""
    uneven = [0, 1, 2, 5, 6, 7, 11, 12, 13, 14, 20, 21]
    source = write_video(tmp_path / "a.mp4", sound=True, times=uneven)
    notes = copied(source, tmp_path / f"b{suffix}")
    frames, times, seconds = read_video(tmp_path / f"b{suffix}")
    assert notes == [] and len(frames) == 12
    np.testing.assert_allclose(np.subtract(times, times[0]), np.array(uneven) / 25, atol=0.002)
    assert seconds == pytest.approx(12 / 25, abs=0.06)


def test_frames_are_turned_as_players_show_them(tmp_path: Path) -> None:
    turn_right(write_video(tmp_path / "a.mp4"))
    with VideoReader(tmp_path / "a.mp4") as reader:
        first = next(iter(reader)).image_HW3
        assert reader.size == (64, 48) and first.shape == (64, 48, 3)
    difference = np.abs(first.astype(int) - np.rot90(frame(0), -1)).mean()
    assert difference < 6, "turned to the right"


@pytest.mark.parametrize(
    ("matrix", "expected_HW3"),
    [
        ((-1, 0, 0, 1), CORNER_HW3[:, ::-1]),
        ((1, 0, 0, -1), CORNER_HW3[::-1]),
        ((0, 1, 1, 0), CORNER_HW3.swapaxes(0, 1)),
        ((0, -1, -1, 0), CORNER_HW3[::-1, ::-1].swapaxes(0, 1)),
        ((0, -1, 1, 0), np.rot90(CORNER_HW3)),
        ((-1, 0, 0, -1), CORNER_HW3[::-1, ::-1]),
    ],
)
def test_frames_are_flipped_as_players_show_them(
    tmp_path: Path, matrix: tuple[int, int, int, int], expected_HW3: np.ndarray
) -> None:
    source = write_still(tmp_path / "a.mp4", CORNER_HW3, "libx264", "yuv420p")
    a, b, c, d = (0x10000 * value for value in matrix)
    content = bytearray(source.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    source.write_bytes(content)
    with VideoReader(source) as reader:
        first = next(iter(reader)).image_HW3
    assert np.abs(first.astype(int) - expected_HW3).mean() < 6


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mkv", aspect=Fraction(4, 3))
    copied(source, tmp_path / "b.mkv")
    with VideoReader(tmp_path / "b.mkv") as reader:
        assert reader.aspect == Fraction(4, 3)


def test_pixels_are_turned_too(tmp_path: Path) -> None:
    turn_right(write_video(tmp_path / "a.mp4", aspect=Fraction(4, 3)))
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert (reader.aspect, reader.size) == (Fraction(3, 4), (64, 48))


def test_a_format_of_square_pixels_gets_the_clip_as_it_is_shown(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mkv", aspect=Fraction(4, 3))
    assert copied(source, tmp_path / "b.webm") == [
        "its pixels of 4/3 became square ones: a webm video has no others",
        "85 x 48 pixels became even, as the format needs: the last line is repeated",
    ]
    with VideoReader(tmp_path / "b.webm") as reader:
        assert (reader.aspect, reader.size) == (1, (48, 86))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm"])
@pytest.mark.parametrize(("size", "said", "written"), [((720, 1280), 1, 1), ((720, 1280), None, 1), ((48, 64), 1, 6)])
def test_colours_stay_by_whichever_matrix_they_come(
    tmp_path: Path, size: tuple[int, int], said: int | None, written: int, suffix: str
) -> None:
    """A file that does not say its matrix is taken as its size suggests; results always say it."""
    colour = (200, 30, 60)
    source = write_video(tmp_path / "a.mp4", 1, size, colour=colour, matrix=said)
    copied(source, tmp_path / f"b{suffix}", channels=4 if suffix == ".mov" else 3)
    with library().open(str(tmp_path / f"b{suffix}")) as container:
        first = next(container.decode(video=0))
        assert (first.colorspace, first.color_range) == (written, 1)
        # By the matrix that the file says, as players do it.
        seen = first.to_ndarray(format="rgb24", src_colorspace=1 if written == 1 else 5)
    assert np.abs(seen[::8, ::8].astype(int) - colour).max() <= 6, "another matrix changes it by 12"


def test_alpha_is_kept(tmp_path: Path) -> None:
    copied(write_video(tmp_path / "a.mp4"), tmp_path / "b.mov", channels=4)
    frames, _, _ = read_video(tmp_path / "b.mov")
    assert frames[0].shape == (48, 64, 4) and abs(int(frames[0][..., 3].mean()) - 128) <= 1
    copied(write_video(tmp_path / "c.mp4"), tmp_path / "d.webm", channels=4)
    with library().open(str(tmp_path / "d.webm")) as container:
        assert container.streams.video[0].metadata.get("alpha_mode") == "1"
    with pytest.raises(
        UserError, match=r"a \.mp4 video has no transparency, which kind rgba needs; \.mov and \.webm have"
    ):
        encoding(".mp4", transparent=True)
    with pytest.raises(UserError, match=r"videos are written as \.mp4, \.mkv, \.mov, \.webm files, not \.avi"):
        encoding(".avi", transparent=False)


@pytest.mark.parametrize(("codec", "layout"), [("prores_ks", "yuva444p10le"), ("png", "rgba")])
@pytest.mark.parametrize("opacity", [0, 255])
def test_hidden_pixels_of_a_video_are_not_read(tmp_path: Path, codec: str, layout: str, opacity: int) -> None:
    """Red on the left, and hidden or opaque green on the right."""
    pixels_HW4 = np.full((48, 64, 4), (220, 30, 30, 255), np.uint8)
    pixels_HW4[:, 32:] = 30, 220, 30, opacity
    with VideoReader(write_still(tmp_path / "a.mov", pixels_HW4, codec, layout)) as reader:
        (only,) = reader
    right_HW3 = only.image_HW3[:, 40:].astype(int)
    if opacity:
        assert reader.notes == [] and np.abs(right_HW3 - (30, 220, 30)).max() < 20
    else:
        assert reader.notes == ["its transparency was not kept; to keep it, give its frames as PNG pictures"]
        assert np.ptp(right_HW3, axis=2).max() == 0, "grey ground"
    assert np.abs(only.image_HW3[:, :24].astype(int) - (220, 30, 30)).max() < 20


def test_the_transparency_of_vp9_is_noted(tmp_path: Path) -> None:
    copied(write_video(tmp_path / "a.mp4"), tmp_path / "b.webm", channels=4)
    with VideoReader(tmp_path / "b.webm") as reader:
        list(reader)
    assert reader.notes == ["its transparency was not kept; to keep it, give its frames as PNG pictures"]


def test_odd_sides_become_even(tmp_path: Path) -> None:
    notes = copied(write_video(tmp_path / "a.mp4", size=(47, 63)), tmp_path / "b.mp4")
    assert notes == ["63 x 47 pixels became even, as the format needs: the last line is repeated"]
    assert read_video(tmp_path / "b.mp4")[0][0].shape == (48, 64, 3)


def test_grey_is_grey(tmp_path: Path) -> None:
    copied(write_video(tmp_path / "a.mp4"), tmp_path / "b.mp4", channels=1)
    frames, _, _ = read_video(tmp_path / "b.mp4")
    assert np.ptp(frames[0].astype(int), axis=2).max() <= 3


def test_grey_levels_are_those_of_the_scaler() -> None:
    frames = av().VideoFrame
    levels_HW = np.arange(256, dtype=np.uint8).reshape(16, 16)
    scaled = frames.from_ndarray(levels_HW, format="gray").reformat(format="yuv420p", dst_color_range=1)
    luma_HW, chroma = np.split(scaled.to_ndarray().astype(int), [16])
    assert np.abs(LIMITED_LUMA[levels_HW] - luma_HW).max() <= 1 and (chroma == NO_CHROMA).all()


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    copied(write_video(tmp_path / "a.mp4", frames=1), tmp_path / "b.mp4")
    assert len(read_video(tmp_path / "b.mp4")[0]) == 1


def test_a_video_that_ends_early_gives_what_it_has(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mkv", frames=60, size=(96, 128))
    source.write_bytes(source.read_bytes()[: -source.stat().st_size // 3])
    with VideoReader(source) as reader:
        count = len(list(reader))
    assert 0 < count < 60
    assert reader.notes == [f"it ends early: {count / 25:.2f} of 2.40 seconds could be read"]


def test_a_clip_that_was_trimmed_without_encoding_does_not_end_early(tmp_path: Path) -> None:
    """Its first 10 frames are in the file, and left out by an edit list. Without its last 20, it does end early."""
    av, source = library(), write_video(tmp_path / "a.mp4", frames=60)
    with (
        av.open(str(source)) as whole,
        av.open(
            str(tmp_path / "b.mp4"), "w", options={"avoid_negative_ts": "disabled", "movflags": "faststart"}
        ) as cut,
    ):
        stream = cut.add_stream_from_template(whole.streams.video[0])
        packets = [packet for packet in whole.demux(video=0) if packet.dts is not None]
        sizes = [packet.size for packet in packets]
        for packet in packets:
            shift = round(0.4 / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
            cut.mux(packet)
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert len(list(reader)) == 50 and reader.notes == []
    content = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(content[: -sum(sizes[-20:])])
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert len(list(reader)) == 30 and reader.notes == ["it ends early: 30 of 60 frames could be read"]


@pytest.mark.parametrize(
    ("suffix", "container"), [(".3g2", "3g2"), (".f4v", "f4v"), (".m2ts", "mpegts"), (".vob", "vob")]
)
def test_other_suffixes_of_the_same_formats(tmp_path: Path, suffix: str, container: str) -> None:
    source = write_video(tmp_path / f"a.{'mp4' if suffix in ('.3g2', '.f4v') else 'ts'}")
    target = source.with_suffix(suffix)
    with library().open(str(source)) as whole, library().open(str(target), "w", format=container) as file:
        stream = file.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    assert is_video(target)
    with VideoReader(target) as reader:
        assert len(list(reader)) == 12


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".webm"])
def test_a_whole_video_with_sound_does_not_end_early(tmp_path: Path, suffix: str) -> None:
    """Formats that count no frames: the length of the whole is that of the sound, too."""
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    with VideoReader(write_video(tmp_path / f"a{suffix}", frames=30, sound=suffix != ".webm", codec=codec)) as reader:
        assert len(list(reader)) == 30
    assert reader.notes == []


def test_damage_is_skipped_and_said(tmp_path: Path) -> None:
    """Zeros in the middle of an MPEG-4 stream."""
    source = write_video(tmp_path / "a.avi", frames=60, size=(96, 128), codec="mpeg4")
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + len(content) // 8] = bytes(len(content) // 8)
    source.write_bytes(content)
    with VideoReader(source) as reader:
        count = len(list(reader))
    assert 20 < count < 60 and reader.notes == [f"it ends early: {count} of 60 frames could be read"]


def test_damaged_parts_are_counted(tmp_path: Path) -> None:
    """Two packets of zeros, with more frames after them than there are threads that decode."""
    source = write_video(tmp_path / "a.mkv", frames=60)
    with library().open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    content = source.read_bytes()
    for packet in packets[5:7]:
        content = content.replace(packet, bytes(len(packet)))
    source.write_bytes(content)
    with VideoReader(source) as reader:
        assert len(list(reader)) == 58
    assert reader.notes == ["2 damaged parts were skipped"]


def test_a_damaged_video_can_be_closed_while_its_threads_decode(tmp_path: Path) -> None:
    """In a process of its own, which stands still with the interpreter's lock where it does not end."""
    source = write_video(tmp_path / "a.mkv", frames=16, size=(240, 320), noise=True)
    content = bytearray(source.read_bytes())
    for at in range(len(content) // 20, len(content), 3000):
        content[at : at + 8] = bytes(8)
    source.write_bytes(content)
    script = f"""
from limelight.media.video.formats import av, open_video
for _ in range(8):
    container = open_video({str(source)!r})
    stream = container.streams.video[0]
    stream.thread_type, stream.codec_context.thread_count = "AUTO", 4
    got = 0
    for packet in container.demux(stream):
        try:
            got += len(packet.decode())
        except av().error.FFmpegError:
            pass
        if got > 1:
            break
    container.close()
    del packet, stream, container
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_a_stream_that_changes_to_another_size_keeps_its_first(tmp_path: Path) -> None:
    """Two transport streams in one file; the times of the second begin anew."""
    parts = [write_video(tmp_path / f"{height}.ts", 5, (height, 64)).read_bytes() for height in (32, 48)]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    with VideoReader(tmp_path / "a.ts") as reader:
        frames = list(reader)
    assert [each.image_HW3.shape for each in frames] == [(32, 64, 3)] * 10
    steps = np.diff([each.time for each in frames])
    assert steps[0] > 0 and (steps == steps[0]).all(), "the second goes on where the first ends"
    with (
        VideoReader(tmp_path / "a.ts", max_pixels=32 * 64) as reader,
        pytest.raises(UserError, match=r"frames of 64 x 48 pixels, more than 2048"),
    ):
        list(reader)


@pytest.mark.parametrize(
    ("codec", "said"),
    [("libx264", "has frames of 1024 x 1024 pixels, more than 4096"), ("mpeg4", "has frames of more than 4096 pixels")],
)
def test_frames_far_above_the_limit_are_refused_before_they_are_decoded(tmp_path: Path, codec: str, said: str) -> None:
    """By FFmpeg, as it refuses damage; MPEG-4's decoder then knows the size no longer."""
    parts = [write_video(tmp_path / "part.ts", 3, (side, side), codec=codec).read_bytes() for side in (64, 1024)]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    with VideoReader(tmp_path / "a.ts", max_pixels=64 * 64) as reader, pytest.raises(TooLarge, match=said):
        list(reader)


def test_the_largest_limit_is_one_that_ffmpeg_takes(tmp_path: Path) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4", 2), max_pixels=1 << 40) as reader:
        assert len(list(reader)) == 2


def test_a_video_is_stopped_where_it_lasts_longer_than_it_may(tmp_path: Path) -> None:
    """By its frames' times, whatever the file says."""
    with VideoReader(write_video(tmp_path / "a.mp4", 20)) as reader:
        reader._limits = Limits(seconds=0.5)
        with pytest.raises(TooLarge, match=r"the video lasts more than 0\.5 seconds"):
            list(reader)


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\0" * 4096])
def test_what_is_no_video_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*a\.mp4: [a-z].*; convert or replace it"):
        VideoReader(tmp_path / "a.mp4")


def test_codecs_that_are_not_known(tmp_path: Path) -> None:
    """Sound is left out, with a note; a video is one line."""
    source = write_video(tmp_path / "a.mkv", sound=True)
    content = source.read_bytes()
    source.write_bytes(content.replace(b"A_AAC", b"A_ZZZ"))
    assert copied(source, tmp_path / "b.mkv") == ["its sound is in a codec that is not known here, and was left out"]
    source.write_bytes(content.replace(b"V_MPEG4/ISO/AVC", b"V_ZZZZZ/ISO/AVC"))
    with pytest.raises(UserError, match=r"a\.mkv is in a codec that is not known here; convert it"):
        VideoReader(source)


def test_sound_alone_and_large_frames_are_refused(tmp_path: Path) -> None:
    av = library()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        voice = container.add_stream("aac", rate=44100)
        voice.layout = "mono"
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        heard.sample_rate = 44100
        container.mux(voice.encode(heard))
        container.mux(voice.encode(None))
    with pytest.raises(UserError, match="has no video stream"):
        VideoReader(tmp_path / "sound.mp4")
    with pytest.raises(
        UserError, match=r"frames of 64 x 48 pixels, more than 3000; make it smaller, or raise the limit"
    ):
        VideoReader(write_video(tmp_path / "a.mp4"), max_pixels=3000)


# ------------------------------------------------------------------------------------------------------------- threads
def test_ahead_is_bounded_keeps_order_and_passes_errors() -> None:
    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number
        raise UserError("the end is broken")

    taken = ahead(items(), 3)
    assert next(taken) == 0
    time.sleep(0.2)
    assert len(made) <= 6  # one taken, three kept, one in hand
    with pytest.raises(UserError, match="the end is broken"):
        assert list(taken) == list(range(1, 100))
    stopped = ahead(iter(range(10**9)), 3)
    assert next(stopped) == 0
    stopped.close()  # the thread ends


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Of a shell's background jobs, which tests may be, SIGINT is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c_after(seconds: float) -> None:
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGINT)).start()


@pytest.mark.usefixtures("_interruptible")
def test_threads_end_before_what_they_use_is_closed_even_if_ctrl_c_comes_again() -> None:
    done = list[str]()

    def work() -> Iterator[int]:
        yield 0
        time.sleep(1)
        done.append("ahead")

    taken = ahead(work(), 3)
    assert next(taken) == 0
    ctrl_c_after(0.3)
    with pytest.raises(KeyboardInterrupt):
        taken.close()
    ctrl_c_after(0.3)
    with pytest.raises(KeyboardInterrupt), Behind(2) as behind:
        behind.call(lambda: (time.sleep(1), done.append("behind")))
        raise KeyboardInterrupt
    assert done == ["ahead", "behind"]


def test_behind_is_bounded_keeps_order_and_passes_errors() -> None:
    done: list[int] = []
    with Behind(2) as behind:
        for number in range(20):
            behind.call(done.append, number)
            assert number - len(done) <= 3
    assert done == list(range(20))
    with pytest.raises(ZeroDivisionError), Behind(2) as behind:
        for number in (1, 0, 1, 1, 1):
            behind.call(divmod, 1, number)
