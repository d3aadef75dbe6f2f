"""Folders of results: what is listed, what counts as done, and what killed runs leave."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from limelight.cli.main import app
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.imaging.images import Picture, read_image
from limelight.predict.done import DONE, Done, stamp_of
from limelight.predict.job import PictureJob

Run = Callable[..., Result]


@pytest.fixture
def run(untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Type `limelight predict in -o out ...` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def predict(*arguments: str) -> Result:
        typed = ["predict", *(arguments or ("in", "-o", "out"))]
        return CliRunner().invoke(app, [*typed, "--model", str(untrained), "--device", "cpu"])

    return predict


def draw(*names: str, seed: int = 0) -> None:
    for number, name in enumerate(names):
        write_png(Path(name), np.random.default_rng([seed, number]).integers(0, 256, (20, 30, 3), np.uint8))


def failures(folder: str = "out") -> dict[str, str]:
    with (Path(folder) / "failures.csv").open(encoding="utf-8") as table:
        return {Path(row["source"]).name: row["reason"] for row in csv.DictReader(table)}


def test_pictures_that_are_not_read_are_listed(run: Run) -> None:
    draw("in/a.png", "in/earlier/x.png")
    Path("in/earlier/limelight.json").touch()
    for name in ("photo.cr2", "drawing.svg", "notes.txt"):
        Path("in", name).write_text("x")
    for many in ("1 written to out, 0 already there", "0 written to out, 1 already there"):
        result = run()
        assert result.exit_code == 1
        last = result.stderr.splitlines()[-1]
        assert f"{many}, 2 failed; see out/failures.csv; 1 folder of earlier results skipped. The first: " in last
        assert last.endswith("in/drawing.svg: limelight does not read .svg files; convert it to JPEG, PNG or TIFF")
        assert list(failures()) == ["drawing.svg", "photo.cr2"]


def test_a_folder_without_a_picture_that_is_read_is_listed_too(run: Run) -> None:
    Path("in").mkdir()
    Path("in/photo.NEF").write_text("x")
    assert run().exit_code == 1 and list(failures()) == ["photo.NEF"]
    Path("in/photo.NEF").unlink()
    draw("in/a.png")
    assert run().exit_code == 0 and not Path("out/failures.csv").exists()


@pytest.mark.parametrize("arguments", [("link.png",), ("link.png", "-o", "x.png")])
def test_a_link_is_followed_and_a_dangling_one_told(run: Run, arguments: tuple[str, ...]) -> None:
    Path("link.png").symlink_to("a.png")
    result = run(*arguments)
    assert str(result.exception) == "link.png is a link to a.png, which cannot be reached; correct the link"
    draw("a.png")
    assert run(*arguments).exit_code == 0


def test_a_picture_replaced_by_an_older_one_is_done_anew(run: Run) -> None:
    draw("in/a.png", "in/b.png")
    assert run().exit_code == 0
    before = read_image(Path("out/a.png"))
    draw("new/a.png", seed=1)
    os.utime("new/a.png", ns=(10**18, 10**18))
    shutil.copy2("new/a.png", "in/a.png")
    assert "1 written to out, 1 already there" in run().stderr
    assert (read_image(Path("out/a.png")) != before).any()
    assert "0 written to out, 2 already there" in run().stderr


def test_another_picture_of_the_same_time_is_done_anew(run: Run) -> None:
    """Of another size, or under another name."""
    draw("in/a.png", "in/b.png")
    assert run().exit_code == 0
    time_ns = Path("in/a.png").stat().st_mtime_ns
    with Path("in/a.png").open("ab") as handle:
        handle.write(b"\0")
    os.utime("in/a.png", ns=(time_ns, time_ns))
    Path("in/b.png").rename("in/b.bmp")
    assert "2 written to out, 0 already there" in run().stderr


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 9), lambda path: path.write_text("x")])
def test_a_damaged_result_is_made_anew(run: Run, damage: Callable[[Path], object]) -> None:
    draw("in/a.png", "in/sub/b.png")
    assert run().exit_code == 0
    whole = Path("out/sub/b.png").read_bytes()
    damage(Path("out/sub/b.png"))
    assert "1 written to out, 1 already there" in run().stderr
    assert Path("out/sub/b.png").read_bytes() == whole


def test_a_tree_that_moved_with_its_results_is_done(run: Run) -> None:
    draw("here/in/a.png", "here/in/sub/b.png")
    assert run("here/in", "-o", "here/out").exit_code == 0
    Path("there").mkdir()
    Path("here").rename("there/now")
    assert "0 written to there/now/out, 2 already there" in run("there/now/in", "-o", "there/now/out").stderr
    assert "1 already there" in run("there/now/in/a.png", "-o", "there/now/out").stderr, "one of them alone"


def shoot(*folders: str) -> None:
    """One file name in each, as a camera that begins its numbers anew."""
    for seed, folder in enumerate(folders):
        draw(f"{folder}/IMG_1.png", seed=seed)
        os.utime(f"{folder}/IMG_1.png", ns=(seed, seed))


@pytest.mark.parametrize("output", [("-o", "out"), ()])
def test_a_result_of_another_picture_is_kept(run: Run, output: tuple[str, ...]) -> None:
    shoot("summer", "winter")
    result = Path(output[1] if output else "results/map", "IMG_1.png")
    assert run("summer/IMG_1.png", *output).exit_code == 0
    before = result.read_bytes()
    refused = run("winter/IMG_1.png", *output).exception
    assert isinstance(refused, UserError) and result.read_bytes() == before
    assert str(refused) == (
        f"{result} exists and was made from {Path('summer/IMG_1.png').resolve()}; "
        "choose another --output, --overwrite it, or give both sources in one run"
    )
    assert "1 already there" in run("summer/IMG_1.png", *output).stderr
    assert "2 written" in run("summer", "winter", "-o", "both").stderr
    assert run("winter/IMG_1.png", *output, "--overwrite").exit_code == 0 and result.read_bytes() != before
    assert "1 already there" in run("winter/IMG_1.png", *output).stderr


def test_results_of_a_picture_that_is_gone_or_linked_are_made_anew(run: Run) -> None:
    shoot("summer", "winter")
    Path("link").symlink_to("winter")
    assert run("summer/IMG_1.png", "-o", "out").exit_code == 0
    Path("summer/IMG_1.png").unlink()
    assert "1 written" in run("winter/IMG_1.png", "-o", "out").stderr
    os.utime("winter/IMG_1.png")
    assert "1 written" in run("link/IMG_1.png", "-o", "out").stderr


def test_lines_without_a_source_are_read(run: Run) -> None:
    shoot("summer", "winter")
    assert run("summer", "-o", "out").exit_code == 0
    line = json.loads(Path("out", DONE).read_text())
    assert line.pop("source") == "../summer/IMG_1.png"
    Path("out", DONE).write_text(json.dumps(line) + "\n")
    assert "1 already there" in run("summer", "-o", "out").stderr
    assert "1 written" in run("winter", "-o", "out").stderr


def test_each_result_is_resumed_by_its_own_settings(run: Run) -> None:
    draw("a.png", "b.png")
    runs = [("a.png", "-o", "out"), ("b.png", "-o", "out", "--threshold", "0.5")]
    for each in runs:
        assert "1 written" in run(*each).stderr
    for each in [*runs, *runs]:
        assert "1 already there" in run(*each).stderr
    for refused in (("b.png", "-o", "out"), ("a.png", "-o", "out", "--threshold", "0.5")):
        assert "exists and was made with other settings" in str(run(*refused).exception)


def test_rows_of_what_a_run_was_not_given_stay(run: Run) -> None:
    draw("mix/a.png", "mix/b.png")
    Path("mix/bad.png").write_bytes(b"no picture")
    Path("mix/worse.png").write_bytes(b"no picture")
    assert run("mix", "-o", "out").exit_code == 1
    assert run("mix/a.png", "-o", "out").exit_code == 0 and list(failures()) == ["bad.png", "worse.png"]
    draw("mix/bad.png")
    Path("mix/worse.png").unlink()
    Path("mix/new.png").write_bytes(b"no picture")
    assert run("mix/new.png", "mix/b.png", "-o", "out").exit_code == 1
    assert list(failures()) == ["bad.png", "new.png"], "worse.png is gone"
    draw("mix/new.png")
    assert run("mix", "-o", "out").exit_code == 0 and not Path("out/failures.csv").exists()


def test_results_of_a_version_without_the_file_are_made_anew_and_this_is_told(run: Run) -> None:
    draw("in/a.png")
    assert run().exit_code == 0
    Path("out", DONE).unlink()
    result = run()
    assert "1 written to out, 0 already there" in result.stderr
    assert f"note: out: had no {DONE}, which records what results were made from; they were made again" in result.stderr
    assert "note" not in run().stderr


@pytest.mark.slow
def test_a_killed_run_is_resumed_and_leaves_nothing(run: Run, untrained: Path) -> None:
    """Killed between the bytes of the second of three results and its name, with a line half written."""
    script = (
        "import os, limelight.cli.main\n"
        "real = os.replace\n"
        "def replace(a, b):\n"
        "    if str(b).endswith('b.png'): os.kill(os.getpid(), 9)\n"
        "    real(a, b)\n"
        "os.replace = replace\n"
        "limelight.cli.main.main()\n"
    )
    draw("in/sub/a.png", "in/sub/b.png", "in/sub/c.png")
    typed = ["predict", "in", "-o", "out", "--model", str(untrained), "--device", "cpu", "--batch-size", "1"]
    assert subprocess.run([sys.executable, "-c", script, *typed], capture_output=True).returncode == -signal.SIGKILL
    assert list(Path("out/sub").glob(".limelight.*/b.png")), "there must be something to sweep"
    with Path("out", DONE).open("ab") as handle:
        handle.write(b'{"result": "sub/b", "settings": "')
    assert "2 written to out, 1 already there" in run().stderr
    assert "0 written to out, 3 already there" in run().stderr
    assert {path.name for path in Path("out/sub").iterdir()} == {"a.png", "b.png", "c.png"}
    assert len(Path("out", DONE).read_text().splitlines()) == 3


def test_what_was_left_out_of_a_picture_is_listed_in_every_run(run: Run) -> None:
    draw("in/a.png")
    with Image.open("in/a.png") as image:
        for name in "bcdefgh":
            image.save(f"in/{name}.png", icc_profile=b"nonsense" * 20)
        image.save("in/moves.gif", save_all=True, append_images=[image.rotate(90), image])
    result = run()
    notes = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
    assert "in/b.png: its colour profile is damaged" in notes[0] and notes[5:-1] == ["note: and 2 more"]
    assert "note: 9 written to out, 0 already there, 0 failed, 1 in part; see out/failures.csv" in result.stderr
    assert result.exit_code == 1 and Path("out/moves.png").is_file()
    assert list(failures()) == ["moves.gif"] and "only the first of its 3 pictures" in failures()["moves.gif"]
    result = run()
    assert "0 written to out, 9 already there, 0 failed, 1 in part" in result.stderr
    assert "error: " not in result.stderr and "note: in" not in result.stderr
    assert result.exit_code == 1 and list(failures()) == ["moves.gif"]


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_ctrl_c_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch, overwrite: tuple[str, ...]) -> None:
    draw(*(f"in/{name}.png" for name in "abcde"))
    assert run("in/e.png", "-o", "out").exit_code == 0
    predict, calls = PictureJob.predict_each, iter((False, False, True))

    def interrupted(self: PictureJob, pictures: list[Picture]) -> Sequence[object]:
        if next(calls):
            raise KeyboardInterrupt
        return predict(self, pictures)

    with monkeypatch.context() as patched:
        patched.setattr(PictureJob, "predict_each", interrupted)
        result = run("in", "-o", "out", "--batch-size", "1", *overwrite)
    said = "2 of 5 written to out; the same command goes on without --overwrite"
    said = said if overwrite else "2 of 4 written to out; the same command goes on"
    assert result.exit_code == 130 and result.stderr.splitlines()[-1] == f"interrupted: {said}"
    assert run("in", "-o", "out").exit_code == 0 and len(list(Path("out").glob("*.png"))) == 5


def test_a_picture_that_is_a_link_to_a_result_is_refused(run: Run) -> None:
    draw("out/a.png")
    Path("in").mkdir()
    Path("in/a.png").symlink_to("../out/a.png")
    before = Path("out/a.png").read_bytes()
    assert "is itself one of the pictures" in str(run("in", "-o", "out", "--overwrite").exception)
    assert Path("out/a.png").read_bytes() == before


def test_lines_of_two_runs_at_once_are_all_kept(tmp_path: Path) -> None:
    runs = [Done(tmp_path / DONE, {}) for _ in range(2)]

    def add(number: int) -> None:
        path = tmp_path / str(number)
        path.touch()
        runs[number % 2].add(PurePosixPath(str(number)), path, stamp_of([path]), [0])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(200)))
    done = Done(tmp_path / DONE, {})
    for number in range(200):
        path = tmp_path / str(number)
        assert done.find(PurePosixPath(str(number)), stamp_of([path]), [path])
    assert Done(tmp_path / DONE, {"size": 1}).find(PurePosixPath("0"), stamp_of([path]), [path]) is None


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    for _ in range(20):
        Done(tmp_path / DONE, {}).add(PurePosixPath("a"), path, stamp_of([path]), [0], "a part")
    assert len((tmp_path / DONE).read_bytes().splitlines()) <= 3
    assert Done(tmp_path / DONE, {}).find(PurePosixPath("a"), stamp_of([path]), [path]).omitted == "a part"


@pytest.mark.parametrize("content", [b"[]\n", b"{}\n", b"\0\0\n", b"7\n", b'{"result": {}}\n', b"\xff", b"\n\n"])
def test_lines_that_are_none_are_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DONE).write_bytes(content)
    Done(tmp_path / DONE, {})
    assert (tmp_path / DONE).read_bytes() == b""
