"""Clips that are no video files: folders of frames, standard input, a webcam; and video backgrounds, full disks."""

import sys
from pathlib import Path

import numpy as np
import pytest

from limelight.foundation.errors import UserError
from limelight.imaging.encoding import encode, write_png
from limelight.inference.loading import load
from limelight.media.video.reader import VideoReader
from limelight.predict.styles import Style
from limelight.predict.video import VideoJob, predict_to_stream
from tests.full_disk import files_end_at
from tests.predict.conftest import Run
from tests.video_files import frame, library, read_video, write_video

library()  # without it, all of this file is skipped


def write_frames(folder: Path, numbers: list[int], name: str = "f{}.png") -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        write_png(folder / name.format(number), frame(number))
    return folder


# ------------------------------------------------------------------------------------------- standard input and output
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_video_goes_through_a_pipe(run: Run, tmp_path: Path, suffix: str) -> None:
    """An MP4 file as most programs write it has its index at the end, which a pipe cannot seek to."""
    source = write_video(tmp_path / f"a{suffix}", frames=5, sound=True)
    result = run("-", "--kind", "white", input=source.read_bytes())
    assert result.exit_code == 0 and "standard output: 5 frames written" in result.stderr
    (tmp_path / "out.mkv").write_bytes(result.stdout_bytes)
    frames, times, seconds = read_video(tmp_path / "out.mkv")
    assert len(frames) == 5 and seconds == pytest.approx(0.2, abs=0.06)
    np.testing.assert_allclose(np.diff(times), 1 / 25, atol=0.002)
    named = run("-", "-o", "named.mp4", input=source.read_bytes())
    assert named.exit_code == 0 and named.stdout_bytes == b"" and len(read_video(tmp_path / "named.mp4")[0]) == 5


@pytest.mark.parametrize(
    ("options", "magic"),
    [(("--format", "mp4"), b"ftyp"), (("--format", "webm"), b"webm"), (("--kind", "rgba"), b"qt  ")],
)
def test_a_file_goes_to_standard_output(run: Run, tmp_path: Path, options: tuple[str, ...], magic: bytes) -> None:
    write_video(tmp_path / "a.mp4", frames=3, sound=True)
    result = run("a.mp4", "-o", "-", *options)
    assert result.exit_code == 0 and magic in result.stdout_bytes[:100]
    (tmp_path / "out").write_bytes(result.stdout_bytes)
    assert len(read_video(tmp_path / "out")[0]) == 3


def test_what_comes_through_a_pipe_is_told_by_its_bytes(run: Run) -> None:
    picture = run("-", "-q", input=encode(frame(0)))
    assert picture.exit_code == 0 and picture.stdout_bytes.startswith(b"\x89PNG")
    assert "cannot read standard input: " in str(run("-", input=b"neither" * 999).exception)
    assert "--smoothing is for videos" in str(run("-", "--smoothing", "0.5", input=encode(frame(0))).exception)


def test_mistakes_with_pipes_are_one_line(run: Run, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mkv", frames=2).read_bytes()
    (tmp_path / "b.mkv").write_bytes(video)
    assert "the result of standard input has no name; name a .mp4" in str(run("-", "-o", "x/", input=video).exception)
    assert "kind npy" in str(run("-", "--kind", "npy", input=video).exception)
    assert "cannot be combined with other sources" in str(run("-", "a.mkv", input=video).exception)
    assert "only one video can go to standard output" in str(run("a.mkv", "b.mkv", "-o", "-").exception)
    assert "a .mp4 video has no transparency" in str(run("-", "--kind", "rgba", "-o", "x.mp4", input=video).exception)


# --------------------------------------------------------------------------------------------------- folders of frames
def test_a_folder_of_frames_is_a_clip(run: Run, tmp_path: Path) -> None:
    """In the order of their numbers; of each folder below a folder one clip."""
    write_frames(tmp_path / "in/a", [1, 2, 9, 10])
    write_frames(tmp_path / "in/b", [1])
    result = run("in/a", "--video", "--rate", "12.5", "-o", "a.mkv", "--kind", "white")
    assert result.exit_code == 0, result.output
    assert "frames go by their numbers, not by the alphabet: f9.png before f10.png" in result.stderr
    assert "its numbering has gaps, over which the clip goes on: there is no 3 to 8" in result.stderr
    _, times, _ = read_video(tmp_path / "a.mkv")
    np.testing.assert_allclose(times, np.arange(4) / 12.5, atol=0.002)
    both = run("in", "--video", "-o", "out")
    assert both.exit_code == 0 and "25 frames per second are assumed" in both.stderr
    assert {path.name for path in (tmp_path / "out").glob("*.mp4")} == {"a.mp4", "b.mp4"}
    assert "out/a.mp4 is already there" in run("in", "--video", "-o", "out").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sizes", "--video"), "the frames of sizes differ in size: f1.png has 64 x 48 pixels, f2.png 20 x 30"),
        (("twice", "--video"), "f1.png and f1.webp are the same frame of a clip"),
        (("damaged", "--video"), "cannot read"),
        (("empty", "--video"), "no pictures in empty, which --video takes for the frames of a clip"),
        (("sizes/f1.png", "--video"), "f1.png is a picture, but --video takes folders of frames"),
        (("sizes", "--rate", "5"), "--rate is for folders of frames; name one with --video"),
        (("sizes", "--video", "--rate", "fast"), "--rate fast is no rate of frames"),
        (("sizes", "--video", "--rate", "1/0"), "--rate 1/0 is no rate of frames"),
        (("sizes", "--video", "--rate", "1e-9"), "--rate 1e-9 is no rate of frames; give one from 0.001 to 1000"),
        (("notes.txt", "--video"), "notes.txt is no video, but --video takes folders of frames"),
        (("raw", "sizes", "--video"), "raw/deep/f1.cr2: "),
        (("clip.mp4", "--video", "--rate", "5"), "--video takes folders of frames, and there is none"),
        (("sizes", "--seconds", "5"), "--seconds is for a webcam"),
        ((), "nothing to predict; give pictures, videos, folders, - for standard input, or --webcam"),
    ],
)
def test_mistakes_with_frames_are_one_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    write_png(write_frames(tmp_path / "sizes", [1]) / "f2.png", np.zeros((30, 20, 3), np.uint8))
    (write_frames(tmp_path / "twice", [1]) / "f1.webp").write_bytes(encode(frame(1), ".webp"))
    (write_frames(tmp_path / "damaged", [1]) / "f2.png").write_bytes(b"no picture")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    (write_frames(tmp_path / "raw", [1]) / "deep").mkdir()
    (tmp_path / "raw/deep/f1.cr2").write_bytes(b"II*\0")
    write_video(tmp_path / "clip.mp4", frames=1)
    assert message in str(run(*arguments).exception)
    assert not (tmp_path / "results").exists()


def test_rates_of_many_digits_are_rounded(run: Run, tmp_path: Path) -> None:
    write_frames(tmp_path / "in", [1, 2])
    for rate in ("59.94005994005994", "0.001", "999.123456789"):
        assert run("in", "--video", "--rate", rate, "-o", "out.mp4").exit_code == 0
        _, times, _ = read_video(tmp_path / "out.mp4")
        assert times[1] - times[0] == pytest.approx(1 / float(rate), rel=0.1)


# ------------------------------------------------------------------------------------------------- webcam, backgrounds
def test_a_webcam_goes_into_a_file(run: Run, tmp_path: Path) -> None:
    """A video file stands in for it."""
    write_video(tmp_path / "camera.mp4", frames=20)
    result = run("--webcam", "camera.mp4", "-o", "out.mp4")
    assert result.exit_code == 0, result.output
    frames, times, _ = read_video(tmp_path / "out.mp4")
    assert f"out.mp4: {len(frames)} frames written" in result.stderr and frames
    assert times == sorted(times) and times[-1] < 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--webcam", "73", "-o", "x.mp4"), "there is no webcam 73 (/dev/video73 does not exist)"),
        (("--webcam", "camera.mp4"), "there is no display for a window; write a file instead (-o clip.mp4)"),
        (("--webcam", "camera.mp4", "-o", "out/"), "the result of a webcam has no name"),
        (("--webcam", "camera.mp4", "--rate", "5"), "--rate cannot be given with a webcam"),
        (("camera.mp4", "--webcam", "0"), "camera.mp4 and a webcam cannot be predicted together"),
        (("--webcam", "text.txt", "-o", "x.mp4"), "webcam text.txt gives no frames"),
    ],
)
def test_mistakes_with_webcams_are_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    write_video(tmp_path / "camera.mp4", frames=2)
    (tmp_path / "text.txt").write_text("no video")
    assert message in str(run(*arguments).exception)


def test_a_video_goes_behind_the_object(run: Run, tmp_path: Path) -> None:
    """Matched by time: of 25 frames a second behind 25, the second round of three frames begins with the fourth."""
    write_video(tmp_path / "a.mp4", frames=5)
    write_video(tmp_path / "behind.mp4", frames=3, size=(96, 64))
    assert run("a.mp4", "--kind", "behind.mp4", "-o", "out.mkv", "--reverse", "--threshold", "0").exit_code == 0
    frames, _, _ = read_video(tmp_path / "out.mkv")  # nothing of the clip itself is kept
    same, other = (np.abs(frames[0].astype(int) - frames[at]).mean() for at in (3, 2))
    assert same < 1 < other
    assert run("a.mp4", "--kind", "behind.mp4").exit_code == 0 and (tmp_path / "results/on-behind/a.mp4").exists()
    write_png(tmp_path / "b.png", frame(0))
    assert "behind.mp4 is a video, a background for videos alone" in str(run("b.png", "--kind", "behind.mp4").exception)
    assert "behind.mp4 is the background; choose another" in str(
        run("a.mp4", "--kind", "behind.mp4", "-o", "behind.mp4").exception
    )


# ---------------------------------------------------------------------------------------------------------- full disks
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_full_disk_is_one_line_and_keeps_the_result_before(run: Run, tmp_path: Path, suffix: str) -> None:
    write_video(tmp_path / "a.mp4", frames=5, sound=True)
    (tmp_path / f"out{suffix}").write_bytes(b"before")
    with files_end_at(1000):
        result = run("a.mp4", "-o", f"out{suffix}")
    message = f"cannot write out{suffix}: File too large; free some space or choose another place"
    assert str(result.exception) == message
    assert (tmp_path / f"out{suffix}").read_bytes() == b"before"
    assert not list(tmp_path.glob(".limelight.*"))


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_standard_output_is_one_line(untrained: Path, tmp_path: Path) -> None:
    job = VideoJob(load(untrained, device="cpu"), Style("map"), quiet=True)
    message = "cannot write standard output: No space left on device; free some space"
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        VideoReader(write_video(tmp_path / "a.mp4")) as clip,
        pytest.raises(UserError, match=message),
    ):
        predict_to_stream(job, clip, full, ".mkv")
