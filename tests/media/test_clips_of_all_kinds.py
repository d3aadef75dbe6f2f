"""Standard input, webcams, backdrops, folders of frames and sound, below the command line."""

import os
import struct
import sys
import threading
import time
import zlib
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.media.standard_input import StandardInput
from limelight.media.standard_output import check_standard_output
from limelight.media.video.backdrop import Backdrop
from limelight.media.video.folder import FrameFolder, natural_order
from limelight.media.video.formats import encoding
from limelight.media.video.reader import VideoReader
from limelight.media.video.sink import Sink
from limelight.media.video.threads import latest
from limelight.media.video.webcam import Webcam
from limelight.media.video.writer import VideoWriter
from limelight.media.window import Window
from tests.video_files import frame, library, write_video

library()  # without it, all of this file is skipped


# ------------------------------------------------------------------------------------------------------ standard input
def test_a_pipe_that_waits_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are given as they come, and a reader that waits for more ends when it is stopped."""
    content = bytes(range(256)) * 20
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb", buffering=0) as end:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=file, isatty=lambda: False))
        end.write(content)  # a pipe holds as much
        piped = StandardInput()
        assert not piped.is_picture
        got = b""
        while len(got) < len(content):
            got += piped.read(65536)
        assert got == content
        threading.Timer(0.3, piped.stop).start()
        assert piped.read() == b""


def test_a_redirected_file_is_read_in_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with write_video(tmp_path / "a.mp4", frames=4).open("rb") as file:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=file, isatty=lambda: False))
        with VideoReader(StandardInput()) as reader:
            assert len(list(reader)) == 4


def test_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UserError, match="standard input is a terminal; pipe a picture or a video into it"):
        StandardInput()
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="standard input is closed; pipe a picture or a video into it"):
        StandardInput()


def test_so_it_is_for_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UserError, match=r"standard output is a terminal; redirect it, or name a file \(--output\)"):
        check_standard_output("redirect it")
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(UserError, match="standard output is closed; leave it open"):
        check_standard_output("redirect it")


# -------------------------------------------------------------------------------------------------------------- webcam
def test_a_webcam_runs_in_real_time_and_drops_frames(tmp_path: Path) -> None:
    """A file of 25 frames a second stands in; whoever takes 20 ms for each gets fewer."""
    source = write_video(tmp_path / "camera.mp4", frames=25)
    with Webcam(str(source)) as webcam:
        assert webcam.live and webcam.size == (48, 64) and webcam.rate == 25
        started, times = time.monotonic(), []
        for each in latest(webcam, webcam.stop):
            times.append(each.time)
            time.sleep(0.15)
        assert time.monotonic() - started >= 0.9, "as long as the clip"
        assert webcam.taken == 25 and 2 <= len(times) < 15
        assert times == sorted(set(times)) and times[-1] - times[0] >= 150 * (len(times) - 2)


def test_a_webcam_ends_after_its_seconds_or_when_stopped(tmp_path: Path) -> None:
    source = write_video(tmp_path / "camera.mp4", frames=100)
    with Webcam(str(source), seconds=0.3) as webcam:
        assert all(each.time < 300 for each in webcam) and webcam.taken < 20
    with Webcam(str(source)) as webcam:
        threading.Timer(0.2, webcam.stop).start()
        assert len(list(webcam)) < 100


def test_an_absent_webcam_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no webcam 73 \(/dev/video73 does not exist\); this machine has"):
        Webcam("73")
    with pytest.raises(UserError, match="pixels, more than 3000"):
        Webcam(str(write_video(tmp_path / "a.mp4", frames=1)), max_pixels=3000)


def test_a_window_shows_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the functions of a build that has windows, which the headless one of these tests has not."""
    monkeypatch.setenv("DISPLAY", ":0")
    if "NONE" in next(line for line in cv2.getBuildInformation().splitlines() if "GUI:" in line):
        with pytest.raises(UserError, match="has no windows; replace it by opencv-python, write a file instead"):
            Window("x")
    shown: list[np.ndarray] = []
    keys = iter([255, 255, ord("q")])
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:      QT5")
    monkeypatch.setattr(cv2, "imshow", lambda title, pixels: shown.append(pixels))
    monkeypatch.setattr(cv2, "waitKey", lambda wait: next(keys))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda title, which: 1.0)
    for name in ("namedWindow", "destroyAllWindows"):
        monkeypatch.setattr(cv2, name, lambda *arguments: None)
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    half = np.dstack((red, np.full((2, 2), 128, np.uint8)))
    with Window("x") as window:
        assert [window.show(pixels) for pixels in (red, half, red[..., 0])] == [True, True, False]
    assert shown[0][0, 0].tolist() == [0, 0, 255] and shown[1][0, 0].tolist() == [64, 64, 192]
    assert shown[2].shape == (2, 2)


# ------------------------------------------------------------------------------------------------------------ backdrop
def test_a_backdrop_is_matched_by_time_and_loops(tmp_path: Path) -> None:
    """10 frames of 25 a second: 0.4 s, then anew."""
    with Backdrop(write_video(tmp_path / "a.mp4", frames=10)) as backdrop:
        asked = [0.0, 0.04, 0.1, 0.38, 0.42, 0.81, 3.37]
        for seconds, expected in zip(asked, [0, 1, 2, 9, 0, 0, 4], strict=True):
            shown_HW3 = backdrop.at(seconds).astype(int)
            nearest = min(range(10), key=lambda at: np.abs(shown_HW3 - frame(at)).mean())
            assert nearest == expected, seconds


def test_a_backdrop_that_cannot_be_read_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second frame is too large."""
    source, sizes, closed = write_video(tmp_path / "a.mp4"), iter([False, False, True]), list[VideoReader]()

    def check(reader: VideoReader, frame: object) -> None:
        if next(sizes):
            raise UserError("too large")

    monkeypatch.setattr(VideoReader, "_check_pixels", check)
    monkeypatch.setattr(VideoReader, "close", lambda reader: closed.append(reader))
    with pytest.raises(UserError, match="too large"):
        Backdrop(source)
    assert len(closed) == 1


def test_a_backdrop_says_its_pixels_proportions(tmp_path: Path) -> None:
    with Backdrop(write_video(tmp_path / "a.mkv", aspect=Fraction(4, 3))) as backdrop:
        assert backdrop.aspect == Fraction(4, 3)


def test_a_backdrop_of_one_frame_stands_still(tmp_path: Path) -> None:
    with Backdrop(write_video(tmp_path / "a.mp4", frames=1)) as backdrop:
        assert np.array_equal(backdrop.at(0.0), backdrop.at(100.0))


# --------------------------------------------------------------------------------------------------- folders of frames
def test_frames_go_by_their_numbers(tmp_path: Path) -> None:
    names = ["shot2.png", "shot10.png", "shot1.png", "title.png"]
    assert [path.name for path in natural_order([Path(name) for name in names])] == [
        "shot1.png",
        "shot2.png",
        "shot10.png",
        "title.png",
    ]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [((1, 2, 3), None), ((0, 5, 10), None), ((0, 5, 15, 20), "10"), ((1, 2, 7, 9), "3 to 6, 8"), ((3, 17, 40), None)],
)
def test_gaps_are_told_from_steps(tmp_path: Path, numbers: tuple[int, ...], missing: str | None) -> None:
    paths = [tmp_path / f"{number:04}.png" for number in numbers]
    for path in paths:
        write_png(path, frame(0))
    notes = FrameFolder("x", paths, Fraction(25)).notes
    gaps = "its numbering has gaps, over which the clip goes on: there is no "
    assert notes == ([] if missing is None else [gaps + missing])


def test_frames_that_are_not_whole_are_noted(tmp_path: Path) -> None:
    """Two frames in one file, and half the rows. The first three are named, the others counted."""
    still, other = (Image.fromarray(frame(at)) for at in range(2))
    for number in range(5):
        still.save(tmp_path / f"{number}.gif", save_all=True, append_images=[other])
    write_png(tmp_path / "5.png", frame(0)[:24])
    content = bytearray((tmp_path / "5.png").read_bytes())
    content[20:24] = struct.pack(">I", 48)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "5.png").write_bytes(content)
    with FrameFolder("x", list(tmp_path.iterdir()), Fraction(25)) as clip:
        assert len(list(clip)) == 6
    assert [note.split(":")[0] for note in clip.notes] == ["0.gif", "1.gif", "2.gif", "3 more notes of its pictures"]
    with FrameFolder("x", [tmp_path / "5.png"], Fraction(25)) as clip:
        list(clip)
    assert len(clip.notes) == 1 and clip.notes[0].startswith("5.png: ")


# --------------------------------------------------------------------------------------------------------------- sound
def starts(path: Path) -> tuple[float, float, float]:
    """Seconds at which picture and sound begin, and how loud the sound is from .6 s on."""
    with library().open(str(path)) as container:
        first = next(container.decode(container.streams.video[0])).time
    with library().open(str(path)) as container:
        heard = [(each.time, each.to_ndarray()) for each in container.decode(container.streams.audio[0])]
    loud = np.concatenate([samples.ravel() for at, samples in heard if at >= 0.6])
    return first, heard[0][0], float(np.abs(loud).mean())


def delayed(path: Path, target: Path, video: float, sound: float) -> Path:
    """Copy a file, with its streams moved by so many seconds."""
    av = library()
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                shift = round((sound if packet.stream.type == "audio" else video) / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
@pytest.mark.parametrize("beginning", [0.0, 100.0])
def test_sound_stays_with_its_picture(tmp_path: Path, suffix: str, beginning: float) -> None:
    """Sound that begins half a second after the picture, copied (.mkv) and encoded anew, in a file that begins late."""
    source = write_video(tmp_path / "a.mp4", frames=30, sound=True)
    late = delayed(source, tmp_path / "late.mkv", beginning, beginning + 0.5)
    target = tmp_path / f"b{suffix}"
    with VideoReader(late) as reader, Sink(target, "b") as sink:
        with VideoWriter(sink, suffix, encoding(suffix, transparent=False), reader) as writer:
            for each in reader:
                writer.add(each.image_HW3, each.time, each.sound)
            writer.finish(reader.rest)
        assert writer.notes == [] and writer.frames == 30
    picture, sound, loudness = starts(target)
    assert picture < 0.1 and sound - picture == pytest.approx(0.5, abs=0.05) and loudness > 0.01


def test_a_clip_that_is_cut_off_has_no_more_sound_than_picture(tmp_path: Path) -> None:
    source, target = write_video(tmp_path / "a.mp4", frames=50, sound=True), tmp_path / "b.mp4"
    made = encoding(".mp4", transparent=False)
    with VideoReader(source) as reader, Sink(target, "b") as sink, VideoWriter(sink, ".mp4", made, reader) as writer:
        for _, each in zip(range(10), reader, strict=False):
            writer.add(each.image_HW3, each.time, each.sound)
        writer.finish(None)
    with library().open(str(target)) as container:
        heard = list(container.decode(container.streams.audio[0]))
    assert heard[-1].time < 0.5
