"""Videos from the command line: kinds, folders, what is there already, Ctrl-C."""

import csv
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.inference.loading import load
from limelight.inference.stream import Stream
from limelight.media.video.reader import VideoReader
from limelight.predict.clips import FoundClip, at_unique_places, find_videos
from limelight.predict.styles import Style
from limelight.predict.video import VideoJob, predict_to_file
from limelight.predict.video_command import print_report
from tests.predict.conftest import Run
from tests.video_files import frame, library, read_video, write_video

library()  # without it, all of this file is skipped


@pytest.mark.parametrize("kind", ["map", "green", "white", "#102030", "blur", "overlay", "rgba"])
def test_every_kind_is_that_of_pictures(run: Run, untrained: Path, tmp_path: Path, kind: str) -> None:
    source = write_video(tmp_path / "a.mp4", frames=3, sound=True)
    suffix = ".mov" if kind == "rgba" else ".mp4"
    result = run(source, "--kind", kind, "-o", f"out{suffix}")
    assert result.exit_code == 0, result.output
    assert f"out{suffix}: 3 frames written" in result.output
    frames, _, seconds = read_video(tmp_path / f"out{suffix}")
    assert seconds == pytest.approx(0.12, abs=0.06)
    with VideoReader(source) as reader:
        write_png(tmp_path / "first.png", next(iter(reader)).image_HW3)
    assert run("first.png", "--kind", kind, "-o", "first-result.png").exit_code == 0
    from PIL import Image

    expected = np.asarray(
        Image.open(tmp_path / "first-result.png").convert("RGBA" if kind == "rgba" else "RGB")
    ).astype(int)
    assert len(frames) == 3 and frames[0].shape == expected.shape
    assert np.abs(frames[0].astype(int) - expected)[..., -1 if kind == "rgba" else slice(None)].mean() < 6


def test_videos_and_pictures_of_a_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    write_video(tmp_path / "in/sub/a.mp4", frames=2)
    (tmp_path / "in/b.mp4").write_bytes(b"no video")
    write_png(tmp_path / "in/c.png", frame(0))
    result = run("in", "-o", "out/")
    assert result.exit_code == 1 and "cannot read in/b.mp4" in result.output
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*") if "limelight" not in path.name) == [
        "a.mp4",
        "c.png",
        "failures.csv",
    ]
    again = run("in", "-o", "out/")
    assert "out/sub/a.mp4 is already there" in again.output and "1 already there" in again.output
    assert "already there" not in run("in/sub", "-o", "out/sub", "--overwrite", "--quiet").output
    made = (tmp_path / "out/sub/a.mp4").stat().st_mtime_ns
    for other in (("--flip",), ("--smoothing", "0.5"), ("--threshold", "0.5")):
        refused = run("in/sub", "-o", "out/sub", *other)
        assert refused.exit_code == 1 and "out/sub/a.mp4 exists and was made with other settings" in refused.stderr
    assert run("in/sub", "-o", "out/sub", "--quiet").output == ""
    assert (tmp_path / "out/sub/a.mp4").stat().st_mtime_ns == made
    write_video(tmp_path / "in/sub/a.mp4", frames=3)
    assert "out/sub/a.mp4: 3 frames written" in run("in/sub", "-o", "out/sub").output, "the clip has changed"
    write_video(tmp_path / "beach.mp4", frames=2)
    behind = ("in/sub", "-o", "behind/", "--kind", "beach.mp4")
    assert "a.mp4: 3 frames written" in run(*behind).output and "already there" in run(*behind).output
    write_video(tmp_path / "beach.mp4", frames=3)
    assert "was made with other settings" in run(*behind).stderr, "the background has changed"


def failed(folder: Path) -> list[str]:
    with (folder / "failures.csv").open(encoding="utf-8") as table:
        return [Path(row["source"]).name for row in csv.DictReader(table)]


def test_a_damaged_video_of_a_folder_stops_nothing_and_is_listed(run: Run, tmp_path: Path) -> None:
    write_png(tmp_path / "in/1.png", frame(0))
    (tmp_path / "in/v.mp4").write_bytes(b"no video")
    (tmp_path / "in/app.ts").write_text("export const app = 'of TypeScript'\n" * 20)
    result = run("in", "-o", "out")
    assert result.exit_code == 1 and "1 written to out, 0 already there, 1 failed; see out/failures" in result.stderr
    assert failed(tmp_path / "out") == ["v.mp4"]
    write_video(tmp_path / "in/v.mp4", frames=1)
    assert run("in", "-o", "out").exit_code == 0 and not (tmp_path / "out/failures.csv").exists()


def test_failures_of_videos_alone_are_listed(run: Run, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=1)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    result = run("a.mp4", "b.mp4", "-o", "out")
    assert result.exit_code == 1 and failed(tmp_path / "out") == ["b.mp4"]
    assert "out/a.mp4: 1 frame written" in result.stderr
    summary = "videos: 1 written to out, 0 already there, 1 failed; see out/failures.csv"
    assert result.stderr.splitlines()[-1] == summary
    assert "already there" in run("a.mp4", "-o", "out").stderr and failed(tmp_path / "out") == ["b.mp4"]
    write_video(tmp_path / "b.mp4", frames=1)
    assert run("b.mp4", "-o", "out").exit_code == 0 and not (tmp_path / "out/failures.csv").exists()


def test_a_video_of_other_settings_stops_no_others(run: Run, tmp_path: Path) -> None:
    write_png(tmp_path / "in/1.png", frame(0))
    write_video(tmp_path / "in/a.mp4", frames=1)
    assert run("in/a.mp4", "-o", "out").exit_code == 0
    write_video(tmp_path / "in/b.mp4", frames=1)
    result = run("in", "-o", "out", "--flip")
    assert result.exit_code == 1 and "error: out/a.mp4 exists and was made with other settings" in result.stderr
    assert (tmp_path / "out/b.mp4").is_file() and (tmp_path / "out/1.png").is_file()
    assert failed(tmp_path / "out") == ["a.mp4"]


def test_a_transport_stream_below_a_folder_is_a_video(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.ts", frames=1)
    (tmp_path / "in/app.TS").write_text("Grid\n" * 100)
    assert [each.path.name for each in find_videos([tmp_path / "in"], tmp_path / "out")] == ["a.ts"]


def test_a_result_of_another_video_is_kept(run: Run, tmp_path: Path) -> None:
    for frames, folder in enumerate(("summer", "winter"), 1):
        (tmp_path / folder).mkdir()
        write_video(tmp_path / folder / "a.mp4", frames=frames)
    assert run("summer/a.mp4", "-o", "out").exit_code == 0
    assert "out/a.mp4 exists and was made from" in str(run("winter/a.mp4", "-o", "out").exception)
    assert len(read_video(tmp_path / "out/a.mp4")[0]) == 1


@pytest.mark.parametrize(
    ("options", "made", "note"),
    [
        (("--format", "jpg"), "1.jpg", "1 video left out: --format jpg is for pictures alone"),
        (("--kind", "map16"), "1.png", "1 video left out: --kind map16 is for pictures alone"),
        (("--kind", "npy"), "1.npy", "1 video left out: --kind npy is for pictures alone"),
        (("--output-processing-res",), "1.png", "1 video left out: --output-processing-res is for pictures alone"),
        (("--format", ".MKV"), "v.mkv", "2 pictures left out: --format .MKV is for videos alone"),
        (("--kind", "sea.mp4"), "v.mp4", "2 pictures left out: --kind sea.mp4 is for videos alone"),
    ],
)
def test_what_options_do_not_fit_is_left_out_of_a_folder(
    run: Run, tmp_path: Path, options: tuple[str, ...], made: str, note: str
) -> None:
    write_png(tmp_path / "in/1.png", frame(0))
    write_png(tmp_path / "in/sub/2.png", frame(1))
    write_video(tmp_path / "in/v.mp4", frames=1)
    write_video(tmp_path / "sea.mp4", frames=1)
    result = run("in", "-o", "out", *options)
    assert result.exit_code == 0 and f"note: {note}" in result.stderr
    made_here = {path.name for path in (tmp_path / "out").iterdir() if path.is_file() and "limelight" not in path.name}
    assert made_here == {made}
    assert run("in", "-o", "out", *options, "--quiet").output == ""


def test_a_video_that_is_named_is_not_left_out(run: Run, tmp_path: Path) -> None:
    write_png(tmp_path / "in/1.png", frame(0))
    write_video(tmp_path / "v.mp4", frames=1)
    assert "videos have no kind npy" in str(run("in", "v.mp4", "--kind", "npy").exception)
    assert "--format mp4 is for videos, and these are pictures" in str(
        run("v.mp4", "in/1.png", "--format", "mp4").exception
    )
    assert "x.png is a file's name" in str(run("in", "v.mp4", "-o", "x.png").exception)


def test_a_video_without_its_suffix_is_told_by_its_bytes(run: Run, tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", frames=2).rename(tmp_path / "upload")
    assert "m.mp4: 2 frames written" in run("upload", "-o", "m.mp4").stderr
    assert "out/upload.mp4: 2 frames written" in run("upload", "-o", "out/").stderr
    (tmp_path / "notes").write_text("neither")
    assert "cannot read notes: " in str(run("notes", "-o", "m.png").exception)


def test_what_is_refused_beside_videos_is_listed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.mp4", frames=1)
    (tmp_path / "in/b.cr2").write_bytes(b"II*\0")
    result = run("in", "-o", "out")
    assert result.exit_code == 1 and "in/b.cr2" in (tmp_path / "out/failures.csv").read_text()


def test_videos_below_folders_are_found_as_pictures_are(tmp_path: Path) -> None:
    """Not hidden ones, nor earlier results; linked folders once."""
    for name in (
        "b.mp4",
        "sub/a.mp4",
        ".trash/c.mp4",
        "._b.mp4",
        "earlier/b.mp4",
        "earlier/limelight.json",
        "out/b.mp4",
    ):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "in/again").symlink_to("sub")
    found = find_videos([tmp_path / "in"], tmp_path / "in/out")
    assert {str(each.path.relative_to(tmp_path)) for each in found} == {"in/b.mp4", "in/sub/a.mp4"}
    assert {str(each.place) for each in found} == {"b", "sub/a"}


def test_a_video_of_two_spellings_is_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.mp4", frames=2)
    found = find_videos([tmp_path / "in/a.mp4", tmp_path / "in/../in/a.mp4", tmp_path / "in"], tmp_path / "out")
    assert [str(each.place) for each in found] == ["a"]
    assert run("in/a.mp4", "./in/../in/a.mp4", "-o", "out").exit_code == 0
    assert [path.name for path in (tmp_path / "out").glob("*.mp4")] == ["a.mp4"]


def test_results_of_videos_are_no_sources_of_a_later_run(run: Run, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=2)
    assert run(".", "-o", "maps").exit_code == 0
    assert run(".", "-o", "cut", "--kind", "green").exit_code == 0
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.mp4")} == {"a.mp4", "maps/a.mp4", "cut/a.mp4"}


def test_results_may_lie_above_the_videos_and_not_among_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips/a.mp4", frames=2)
    assert run("clips", "-o", ".").exit_code == 0
    assert len(read_video(tmp_path / "a.mp4")[0]) == 2
    assert "clips is the folder of the videos themselves; choose another --output" in str(
        run("clips", "-o", "clips").exception
    )
    write_png(tmp_path / "walk/0.png", frame(0))
    assert run("walk", "--video", "--rate", "5", "-o", ".").exit_code == 0
    assert (tmp_path / "walk.mp4").is_file()


def test_no_two_results_have_one_name() -> None:
    found = [
        FoundClip(Path(name), Path(name), lambda max_pixels: VideoReader(Path())) for name in ("a", "A", "a-2", "a")
    ]
    assert [str(each.place) for each in at_unique_places(found)] == ["a", "A-3", "a-2", "a-4"]


def test_smoothing_of_pictures_is_refused(run: Run, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", frame(0))
    assert "--smoothing is for videos" in str(run("a.png", "--smoothing", "0.5").exception)


def test_a_video_and_a_picture_by_name(run: Run, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=2)
    write_png(tmp_path / "b.png", frame(0))
    assert run("a.mp4", "b.png", "-o", "out/", "--kind", "white").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("[ab].*")) == ["a.mp4", "b.png"]
    assert run("a.mp4", "-o", "named/", "--format", "webm").exit_code == 0
    assert len(read_video(tmp_path / "named/a.webm")[0]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kind", "rgba", "-o", "x.mp4"), "a .mp4 video has no transparency"),
        (("--kind", "npy"), "videos have no kind npy; choose map, rgba"),
        (
            ("-o", "x.avi"),
            "videos are written as .mp4, .mkv, .mov, .webm files, not .avi; choose one of these, or put /",
        ),
        (("-o", "x" * 300 + ".mp4"), "File name too long; choose another place"),
        (("-o", "plain"), "plain is a file, but results need a folder or a .mp4 file"),
        (("--classes", "dog"), "videos have no classes; leave out --classes"),
        (("--depth", "a.mp4"), "--depth cannot be given with videos; leave it out"),
        (("-o", "a.mp4"), "a.mp4 is the video itself; choose another --output"),
        (("--smoothing", "1.0"), "less than or equal to 0.99"),
    ],
)
def test_mistakes_are_one_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    write_video(tmp_path / "a.mp4", frames=2)
    (tmp_path / "plain").touch()
    result = run("a.mp4", *arguments)
    assert result.exit_code != 0 and message in str(result.exception) + result.output


@pytest.mark.slow
def test_ctrl_c_leaves_what_is_done_playable(untrained: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=500, size=(480, 640), sound=True)
    command = [sys.executable, "-m", "limelight.cli", "predict", "a.mp4", "--model", str(untrained), "--kind", "rgba"]
    command += ["-o", "out.mov"]  # whose encoding takes long
    # Of a shell's background jobs, which tests may be, SIGINT is ignored.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    while not list(tmp_path.glob(".limelight.*/out.mov")):
        time.sleep(0.1)
        assert process.poll() is None
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "frames interrupted; playable so far" in errors
    assert not (tmp_path / "out.mov").exists() and not list(tmp_path.glob(".limelight.*/*"))
    frames, _, _ = read_video(tmp_path / "out.partial.mov")
    assert 0 < len(frames) < 500 and f"out.partial.mov: {len(frames)} frames interrupted" in errors


def test_ctrl_c_before_the_first_frame_leaves_nothing(
    untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    job = VideoJob(load(untrained, device="cpu"), Style("map"), quiet=True, watch=interrupt)
    with VideoReader(write_video(tmp_path / "a.mp4", frames=2)) as clip:
        report = predict_to_file(job, clip, tmp_path / "out/b.mp4")
    assert print_report(report, "a.mp4", quiet=True) == 130
    assert report.interrupted and not list((tmp_path / "out").iterdir())
    assert capsys.readouterr().err == "a.mp4: interrupted before the first frame; nothing was written\n"


def test_frames_that_are_answered_together_are_those_answered_alone(untrained: Path) -> None:
    predictor, frames = load(untrained), [frame(at) for at in range(6)]
    one, four = Stream(predictor, smoothing=0.3), Stream(predictor, smoothing=0.3, together=4)
    expected = [prediction.saliency_HW for each in frames for prediction in one.push(each)]
    answers = [four.push(each) for each in frames]
    assert [len(answer) for answer in answers] == [0, 0, 0, 4, 0, 0]
    given = [prediction.saliency_HW for prediction in [*answers[3], *four.flush()]]
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_a_stream_gives_frames_in_order_and_smooths_within_a_scene(untrained: Path) -> None:
    predictor = load(untrained, device="cpu")
    frames = [frame(at) for at in range(3)] + [255 - frame(at) for at in range(2)]
    plain = [each.saliency_HW for each in predictor.predict(frames)]
    stream = Stream(predictor, smoothing=0.5)
    assert stream.look_ahead == 0
    smoothed = [each.saliency_HW for image_HW3 in frames for each in stream.push(image_HW3)]
    assert stream.flush() == []
    np.testing.assert_allclose(smoothed[0], plain[0], atol=1e-6)
    np.testing.assert_allclose(smoothed[1], (plain[0] + plain[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(smoothed[3], plain[3], atol=1e-6)  # another scene
    with pytest.raises(UserError, match="smoothing must be at least 0 and below 1, got 1"):
        Stream(predictor, smoothing=1.0)
