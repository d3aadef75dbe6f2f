"""The command line, as it is typed: exit statuses, trees, resuming, what it refuses."""

import csv
import errno
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

import limelight
from limelight import __version__
from limelight.cli.main import app, main
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_bytes, write_json
from limelight.foundation.one_line import mistakes_in_one_line
from limelight.imaging.encoding import write_png
from limelight.imaging.images import read_image
from limelight.inference import plan
from limelight.inference.loading import load
from limelight.inference.sampling import Sampling
from limelight.predict.done import DONE
from limelight.services import launch
from tests.small_network import Small
from tests.tolerance import assert_agree

HEAVY = {"torch", "numpy", "cv2", "PIL", "mlflow", "pyarrow", "pydantic", "bentoml", "rich", "yaml"}


@pytest.fixture
def run(untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Type `limelight predict ... --model <untrained>` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def predict(*arguments: str, **options: object) -> Result:
        return CliRunner().invoke(app, ["predict", "--model", str(untrained), "--device", "cpu", *arguments], **options)

    return predict


def draw(*names: str, height: int = 20, width: int = 30) -> None:
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        write_png(Path(name), pixels)


def files(folder: str) -> set[str]:
    """All below a folder but what a folder of results always has besides them."""
    root = Path(folder)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != DONE}


def test_help_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "limelight.cli", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "predict" in result.stdout
    assert "typer" in imported, "the check itself must see imports"
    assert not imported & HEAVY


def test_no_line_of_the_help_is_cut() -> None:
    full = CliRunner().invoke(app, ["--help"]).stdout
    assert "..." not in full.split("Commands:")[1] and CliRunner().invoke(app, ["-h"]).stdout == full
    assert CliRunner().invoke(app, ["predict", "-h"]).exit_code == 0
    assert CliRunner().invoke(app, ["--version"]).stdout == f"limelight {__version__}\n"


def test_classes_without_a_network_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw("a.png")
    result = CliRunner().invoke(app, ["predict", "a.png", "--classes", "dog"])
    assert str(result.exception).startswith("--classes needs an open-vocabulary network (--model); none comes with")


def test_tree_is_mirrored_and_nothing_collides(run) -> None:
    draw("in/a.png", "in/sub dir/a.png", "in/ü/名前 1.png")
    Path("in/a.jpg").write_bytes(Path("in/a.png").read_bytes())
    result = run("in", "-o", "out")
    assert result.exit_code == 0, result.stderr
    assert files("out") == {"a.jpg.png", "a.png.png", "sub dir/a.png", "ü/名前 1.png", "limelight.json"}
    assert "4 written to out, 0 already there, 0 failed" in result.stderr
    assert result.stderr.startswith("sdnet (training form, 745,197 parameters), torch on cpu, fp32, weights ")


def test_failures_are_listed_and_the_rest_is_done(run) -> None:
    draw("in/a.png", "in/z.png")
    Path("in/corrupt.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    Path("in/empty.png").touch()
    result = run("in", "-o", "out", "--batch-size", "2")
    assert result.exit_code == 1
    assert "2 written to out, 0 already there, 2 failed; see out/failures.csv" in result.stderr.splitlines()[-1]
    assert files("out") == {"a.png", "z.png", "failures.csv", "limelight.json"}
    rows = list(csv.DictReader(io.StringIO(Path("out/failures.csv").read_text(encoding="utf-8"))))
    assert [Path(row["source"]).name for row in rows] == ["corrupt.jpg", "empty.png"]
    assert all("cannot read" in row["reason"] for row in rows)

    draw("in/corrupt.jpg", "in/empty.png")
    result = run("in", "-o", "out")
    assert (result.exit_code, files("out")) == (0, {"a.png", "z.png", "corrupt.png", "empty.png", "limelight.json"})
    assert "2 written to out, 2 already there" in result.stderr


def test_resume_keeps_what_is_finished(run) -> None:
    draw("in/a.png", "in/b.png")
    assert run("in", "-o", "out").exit_code == 0
    Path("out/b.png").unlink()
    before = Path("out/a.png").stat().st_mtime_ns
    result = run("in", "-o", "out")
    assert "1 written to out, 1 already there" in result.stderr
    assert Path("out/a.png").stat().st_mtime_ns == before

    os.utime("in/a.png", ns=(before + 10**9, before + 10**9))
    assert "1 written to out, 1 already there" in run("in", "-o", "out").stderr, "a changed picture is done anew"
    assert "2 written to out, 0 already there" in run("in", "-o", "out", "--overwrite").stderr


@pytest.mark.slow
def test_crash_mid_write_leaves_no_output(untrained: Path, tmp_path: Path) -> None:
    """Killed between a result's bytes and its name: the next run must not take it for finished."""
    script = (
        "import os, sys, limelight.cli.main, limelight.foundation.files\n"
        "real = os.replace\n"
        "def replace(a, b):\n"
        "    if str(b).endswith('a.png'): os.kill(os.getpid(), 9)\n"
        "    real(a, b)\n"
        "os.replace = replace\n"
        "limelight.cli.main.main()\n"
    )
    write_png(tmp_path / "in" / "a.png", np.zeros((9, 9, 3), np.uint8))
    arguments = ["predict", "in", "-o", "out", "--model", str(untrained), "--device", "cpu"]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True)
    assert killed.returncode == -9
    assert not (tmp_path / "out" / "a.png").exists()


def test_other_settings_are_not_mixed(run) -> None:
    draw("in/a.png")
    assert run("in", "-o", "out").exit_code == 0
    message = "--high-resolution and --output-processing-res ask for two sizes of results; leave one out"
    assert message in str(run("in", "--high-resolution", "--output-processing-res").exception)
    others = (
        *(["--threshold", "0.5"], ["--flip"], ["--high-resolution"]),
        *(["--size", "96"], ["--processing-res", "64"], ["--policy", "longest"], ["--half-precision"]),
    )
    for other in others:
        result = run("in", "-o", "out", *other)
        assert isinstance(result.exception, UserError)
        assert "out/a.png exists and was made with other settings" in str(result.exception)
    assert run("in", "-o", "out", "--threshold", "0.5", "--overwrite").exit_code == 0
    assert set(np.unique(read_image(Path("out/a.png")))) <= {0, 255}


def test_a_background_is_not_overwritten(run) -> None:
    draw("in/a.png", "bg/a.png")
    before = Path("bg/a.png").read_bytes()
    for arguments in (("in/a.png", "-o", "bg/a.png"), ("in", "-o", "bg")):
        refused = run(*arguments, "--kind", "bg/a.png").exception
        assert isinstance(refused, UserError) and re.search(
            "or its background|is itself one of the pictures", str(refused)
        )
    assert Path("bg/a.png").read_bytes() == before


def test_an_empty_source_is_not_this_folder(run) -> None:
    draw("a.png")
    assert "a source is empty; name a picture" in str(run("").exception)
    assert "is no rate of frames" in str(run(".", "--video", "--rate", "1e999999999").exception)
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), f"{'x' * 60}... is too long for a file's name"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left on the disk; free some"),
    ],
)
def test_names_and_disks_have_an_end(problem: OSError, said: str) -> None:
    """In a process of its own, whose standard output is closed after it."""
    script = (
        "from limelight.foundation.one_line import mistakes_in_one_line\n"
        "with mistakes_in_one_line():\n"
        "    raise OSError(*{!r})"
    )
    given = tuple(filter(None, (problem.errno, problem.strerror, problem.filename)))
    done = subprocess.run([sys.executable, "-c", script.format(given)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith(f"error: {said}")


def test_a_stage_without_its_name_says_so(tmp_path: Path) -> None:
    script = "from limelight.stages.runner import stage_main; stage_main(lambda params, name: None)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: missing a required argument: 'name'; the stages")


def test_options_reach_the_predictor(run, monkeypatch: pytest.MonkeyPatch) -> None:
    draw("a.png")
    asked = []

    def opened(_: Path, request: plan.Request) -> None:
        asked.append(request)
        raise UserError("that is enough")

    monkeypatch.setattr("limelight.predict.options.load", opened)
    given = (
        "--runtime",
        "torch",
        "--threads",
        "3",
        "--calibrated",
        "--policy",
        "longest",
        "--size",
        "96",
        "--flip",
        "--guided",
        "2",
    )
    run("a.png", *given, "--half-precision")
    run("a.png", "--high-resolution", "--seed", "7", "--denoise-steps", "2", "--ensemble-size", "3")
    common = {"device": "cpu", "runtime": "torch"}
    wanted = {
        "threads": 3,
        "calibrated": True,
        "policy": "longest",
        "size": 96,
        "flip": True,
        "half_precision": True,
        "guided": 2,
    }
    sampled = {"runtime": "auto", "high_resolution": True, "sampling": Sampling(2, 3, 7)}
    assert asked == [plan.Request(**common, **wanted), plan.Request(**{**common, **sampled})]


def test_results_from_before_a_change_of_settings_are_kept(run) -> None:
    draw("in/a.png", "in/b.png")
    assert run("in", "-o", "out").exit_code == 0
    assert run("in/a.png", "-o", "out", "--threshold", "0.5", "--overwrite").exit_code == 0
    refused = run("in", "-o", "out", "--threshold", "0.5").exception
    assert "out/b.png exists and was made with other settings" in str(refused)
    assert "1 already there" in run("in/b.png", "-o", "out").stderr


def test_an_interrupted_overwrite_is_resumed(run, monkeypatch: pytest.MonkeyPatch) -> None:
    draw("in/a.png", "in/b.png")
    assert run("in", "-o", "out").exit_code == 0

    def until_full(path: Path, content: bytes) -> None:
        if path.name == "b.png":
            raise UserError("the disk is full")
        write_bytes(path, content)

    with monkeypatch.context() as patched:
        patched.setattr("limelight.predict.tree.write_bytes", until_full)
        result = run("in", "-o", "out", "--threshold", "0.5", "--overwrite")
        assert str(result.exception) == "the disk is full", "ends the run"
    assert "1 written to out, 1 already there" in run("in", "-o", "out", "--threshold", "0.5").stderr
    assert set(np.unique(read_image(Path("out/b.png")))) <= {0, 255}


def test_a_damaged_record_is_overwritten_if_asked(run) -> None:
    draw("in/a.png")
    assert run("in", "-o", "out").exit_code == 0
    Path("out/limelight.json").write_text("{")
    assert "1 already there" in run("in", "-o", "out").stderr, "each result has its own record"
    Path("out/limelight.json").write_text("{")
    Path("out", DONE).unlink()
    assert "made with other settings" in str(run("in", "-o", "out").exception)
    assert run("in", "-o", "out", "--overwrite").exit_code == 0


def test_backgrounds_of_one_name_are_told_apart(run) -> None:
    draw("in/a.png", "x/sea.png", "y/sea.png")
    assert run("in", "-o", "out", "--kind", "x/sea.png").exit_code == 0
    assert "0 written to out, 1 already there" in run("in", "-o", "out", "--kind", "x/sea.png").stderr
    assert "made with other settings" in str(run("in", "-o", "out", "--kind", "y/sea.png").exception)


def test_earlier_results_are_no_pictures(run) -> None:
    draw("in/a.png", "in/b.png")
    assert run("in", "-o", "in/results/map").exit_code == 0
    result = run("in", "-o", "in/hard", "--threshold", "0.5")
    assert result.exit_code == 0 and files("in/hard") == {"a.png", "b.png", "limelight.json"}


def test_results_beside_the_pictures_are_refused(run) -> None:
    draw("in/a.png")
    for source in ("in", "in/a.png"):
        assert f"all pictures of {source} lie in in, the folder of the results" in str(
            run(source, "-o", "in").exception
        )


def test_pictures_are_never_overwritten(run) -> None:
    draw("in/a.png")
    before = Path("in/a.png").read_bytes()
    for arguments in (("in", "-o", "in", "--overwrite"), ("in/a.png", "-o", "in/a.png")):
        assert isinstance(run(*arguments).exception, UserError)
    assert Path("in/a.png").read_bytes() == before


def test_default_folder_is_per_kind(run) -> None:
    draw("a.png", "b.png")
    assert run("a.png", "b.png", "--kind", "rgba", "-q").exit_code == 0
    assert files("results/rgba") == {"a.png", "b.png", "limelight.json"}
    assert read_image(Path("results/rgba/a.png")).shape == (20, 30, 3)


def test_file_to_file_and_streams_agree(run) -> None:
    draw("a.png")
    assert run("a.png", "-o", "deep/mask.png", "--kind", "map16").exit_code == 0
    piped = run("-", "--kind", "map16", "-q", input=Path("a.png").read_bytes())
    assert piped.exit_code == 0
    assert piped.stdout_bytes == Path("deep/mask.png").read_bytes()
    raw = run("a.png", "-o", "-", "--kind", "npy", "-q")
    assert np.load(io.BytesIO(raw.stdout_bytes)).shape == (20, 30)


def test_one_result_is_named_as_typed_and_told(run) -> None:
    draw("a.png")
    result = run("a.png", "-o", "x.PNG")
    assert result.stderr.splitlines()[-1] == "written to x.PNG" and Path("x.PNG").is_file()
    assert run("a.png", "-o", "y.png", "-q").stderr == ""
    assert run("a.png", "-o", "x.jpg/").exit_code == 0 and files("x.jpg") == {"a.png", "limelight.json"}
    assert run("a.png", "-o", "x.jpg").exit_code == 0, "a folder that is there is one"


@pytest.mark.parametrize("option", [("--threads", "1025"), ("--ensemble-size", "1001")])
def test_absurd_numbers_are_refused(run, option: tuple[str, str]) -> None:
    draw("a.png")
    assert run("a.png", *option).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.png"], "does not exist"),
        (["a.png", "-o", "x.jxl"], "x.jxl: results of kind map are .png, .jpg, .jpeg or .webp files"),
        (["a.png", "-o", "x.TGA"], "x.TGA: results of kind map are .png, .jpg, .jpeg or .webp files"),
        (["a.png", "-o", "x.avi"], "x.avi is the name of a video, and there is none; name a .png file"),
        (["a.png", "-o", "x.tif"], "x.tif: results of kind map are .png, .jpg, .jpeg or .webp files"),
        (["a.png", "-o", "x.jpg", "--kind", "rgba"], "a JPEG has no transparency, which kind rgba needs"),
        (["a.png", "-o", "x.webp", "--kind", "map16"], "results of kind map16 are .png files"),
        (["a.png", "--format", "jpg", "--kind", "npy"], "results of kind npy are .npy files"),
        (["a.png", "--format", "png", "--kind", "npy"], "results of kind npy are .npy files; leave --format out"),
        (["a.png", "--format", "bmp"], "results are .png, .jpg, .jpeg or .webp files, not .bmp"),
        (["a.png", "--format", "mp4"], "--format mp4 is for videos, and these are pictures; leave it out"),
        (["https://example.org/a.png"], "https://example.org/a.png: addresses are not fetched; download it first"),
        (
            ["a.png", "--format", "jpg", "-o", "x.webp"],
            "--format jpg makes .jpg files, but --output is x.webp",
        ),
        (["a.png", "-o", "x.png", "--max-pixels", "599"], "30x20 is 600 pixels, above the limit of 599"),
        (["a.png", "--quality", "80"], "--quality is for JPEG and WebP, but these are .png files"),
        (["-", "-o", "x.tif"], "name a .png file"),
        (["a.png", "a.png", "-o", "x.jpg"], "x.jpg is a file's name, but these results need a folder"),
        (["a.png", "a.png", "-o", "model"], "model is a file"),
        (["a.png", "--kind", "sepia"], "unknown kind 'sepia'"),
        (["a.png", "-o", "x.npy"], "results of kind map are .png, .jpg, .jpeg or .webp files"),
        (["a.png", "--device", "tpu"], "unknown device 'tpu'"),
        (["a.png", "--runtime", "tflite"], "unknown runtime 'tflite'; choose one of: auto, torch"),
        (["a.png", "--runtime", "onnx"], "unknown runtime 'onnx'; did you mean onnx-"),
        (["a.png", "--vae", "taesd"], "no autoencoder to replace; leave out --vae taesd"),
        (["a.png", "--runtime", "onnx-fp32"], "model.onnx does not exist"),
        (["a.png", "a.png", "-o", "-"], "only one picture can go to standard output"),
        (["-", "a.png"], "cannot be combined"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(run, arguments: list[str], message: str) -> None:
    draw("a.png")
    Path("model").touch()
    result = run(*arguments)
    assert isinstance(result.exception, UserError)
    assert files(".") == {"a.png", "model"}
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_picture_in_a_closed_folder_is_one_line(run, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.stat

    def refuse(path: object, *arguments: object, **options: object) -> os.stat_result:
        if str(path) == "closed/a.png":
            raise PermissionError(13, "Permission denied", "closed/a.png")
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", refuse)
    result = run("closed/a.png", "-o", "x.png")
    assert isinstance(result.exception, UserError)
    assert "cannot read closed/a.png" in str(result.exception)


@pytest.fixture
def run_with_depth(taking: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As `run`, with a network that takes depth where there is any."""
    monkeypatch.chdir(tmp_path)

    def predict(*arguments: str, modalities: tuple[str, ...] = ("rgb", "rgbd")) -> Result:
        return CliRunner().invoke(
            app, ["predict", "--model", str(taking(*modalities)), "--device", "cpu", "--kind", "npy", *arguments]
        )

    return predict


def draw_depth(*names: str, height: int = 20, width: int = 30) -> None:
    for seed, name in enumerate(names):
        write_png(Path(name), np.random.default_rng(seed).integers(0, 65536, (height, width), np.uint16))


def test_depth_of_a_tree_is_found_by_name(run_with_depth) -> None:
    draw("in/a.png", "in/sub/a.png", "in/b.png")
    draw_depth("near/a.png", "near/sub/a.png", "near/b.png")
    Path("near/b.png").rename("near/b.tif")  # only the stem counts
    assert run_with_depth("in", "-o", "alone").exit_code == 0
    result = run_with_depth("in", "--depth", "near", "-o", "out", "--batch-size", "2")
    assert result.exit_code == 0, result.stderr
    parts = run_with_depth("in/a.png", "in/sub", "in/b.png", "--depth", "near", "-o", "parts")
    assert parts.exit_code == 0, parts.stderr
    for name in ("a.npy", "sub/a.npy", "b.npy"):
        assert np.abs(np.load(f"out/{name}") - np.load(f"alone/{name}")).max() > 1e-4
        assert_agree(np.load(f"parts/{name}"), np.load(f"out/{name}"), "sdnet")


def test_a_companion_below_the_pictures_is_no_picture(run_with_depth) -> None:
    draw("in/a.png")
    draw_depth("in/depth/a.png")
    result = run_with_depth("in", "--depth", "in/depth", "-o", "out")
    assert result.exit_code == 0, result.stderr
    assert files("out") == {"a.npy", "limelight.json"}


def test_a_bad_companion_is_its_pictures_failure(run_with_depth) -> None:
    draw(*(f"in/{name}.png" for name in ("bad", "flat", "good", "gone", "twin", "wide")))
    draw_depth("near/good.png", "near/twin.bmp", "near/twin.tif")
    draw_depth("near/wide.png", width=60)
    Path("near/bad.png").write_bytes(b"no picture")
    write_png(Path("near/flat.png"), np.zeros((20, 30), np.uint16))
    result = run_with_depth("in", "--depth", "near", "-o", "out", "--batch-size", "3")
    assert result.exit_code == 1
    assert files("out") == {"good.npy", "failures.csv", "limelight.json"}
    rows = list(csv.DictReader(io.StringIO(Path("out/failures.csv").read_text(encoding="utf-8"))))
    reasons = {Path(row["source"]).stem: row["reason"] for row in rows}
    assert reasons["gone"].startswith("gone.png has no companion in near")
    assert reasons["twin"].startswith("twin.png could have any of twin.bmp, twin.tif in near")
    for name, part in (("bad", "cannot read"), ("flat", "holds no reading"), ("wide", "their proportions differ")):
        assert part in reasons[name] and f"near/{name}.png" in reasons[name]


def test_resume_knows_the_companions(run_with_depth) -> None:
    draw("in/a.png", "in/b.png")
    draw_depth("near/a.png", "near/b.png", "other/a.png", "other/b.png")
    assert run_with_depth("in", "--depth", "near", "-o", "out").exit_code == 0
    later = Path("out/a.npy").stat().st_mtime_ns + 10**9
    os.utime("near/a.png", ns=(later, later))
    assert "1 written to out, 1 already there" in run_with_depth("in", "--depth", "near", "-o", "out").stderr
    for arguments in (("--depth", "other"), ()):
        assert "made with other settings" in str(run_with_depth("in", *arguments, "-o", "out").exception)


def test_companions_of_a_folder_whose_name_is_no_text(run_with_depth) -> None:
    draw("in/a.png")
    draw_depth("near/a.png")
    odd = Path("near").rename(os.fsdecode(b"near\xff"))
    assert run_with_depth("in", "--depth", str(odd), "-o", "out").exit_code == 0
    assert "0 written to out, 1 already there" in run_with_depth("in", "--depth", str(odd), "-o", "out").stderr
    assert json.loads(Path("out/limelight.json").read_text())["companions"][1].endswith(r"near\xff")


def test_depth_of_one_picture(run_with_depth) -> None:
    draw("a.png")
    draw_depth("near.png", "near/a.png")
    for where in ("near.png", "near"):
        assert run_with_depth("a.png", "--depth", where, "-o", "out.npy", modalities=("rgbd",)).exit_code == 0
    before = Path("near.png").read_bytes()
    refused = run_with_depth("a.png", "--depth", "near.png", "-o", "near.png", "--kind", "map")
    assert isinstance(refused.exception, UserError) and Path("near.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "modalities", "message"),
    [
        (["a.png", "--depth", "d.png"], ("rgb",), "sdnet takes images alone"),
        (["a.png"], ("rgbd",), "sdnet needs a companion with every picture: depth (rgbd)"),
        (["a.png", "--thermal", "d.png"], ("rgb", "rgbd"), "sdnet takes depth (rgbd) as companion, not 'rgbt'"),
        (["a.png", "--depth", "d.png", "--thermal", "d.png"], ("rgb", "rgbd"), "not both"),
        (["a.png", "--depth", "gone.png", "-o", "x.npy"], ("rgb", "rgbd"), "there is no such file"),
        (["a.png", "b.png", "--depth", "gone"], ("rgb", "rgbd"), "gone does not exist"),
        (["a.png", "b.png", "--depth", "d.png"], ("rgb", "rgbd"), "one file for 2 pictures"),
        ([".", "--depth", "."], ("rgb", "rgbd"), "holds the pictures themselves"),
        (["a.png", "--depth", "empty", "-o", "x.npy"], ("rgb", "rgbd"), "a.png has no companion in empty"),
    ],
)
def test_mistakes_with_companions_are_one_line(
    run_with_depth, arguments: list[str], modalities: tuple[str, ...], message: str
) -> None:
    draw("a.png", "b.png")
    draw_depth("d.png")
    Path("empty").mkdir()
    result = run_with_depth(*arguments, modalities=modalities)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception) and "\n" not in str(result.exception)


def test_a_missing_picture_is_reported_before_anything_is_loaded(run) -> None:
    result = run("missing.jpg", "--model", "no-such-model")
    assert str(result.exception) == "missing.jpg does not exist; give a picture, a video or a folder of them"


def test_main_prints_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").touch()
    monkeypatch.setattr(sys, "argv", ["limelight", "predict", "photo.jpg", "--model", "nothing"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert output.startswith("error: 'nothing' is neither a weights folder nor")


def test_champion_is_the_default_model(untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw("a.png")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "best").symlink_to(untrained)
    (tmp_path / "reports" / "leaderboard").mkdir(parents=True)
    (tmp_path / "reports/leaderboard/champion.json").write_text(
        json.dumps({"saliency": {"artifact": "best", "runtime": "torch-bf16"}})
    )
    result = CliRunner().invoke(app, ["predict", "a.png"])
    assert result.exit_code == 0, result.stderr
    assert ", bf16, " in result.stderr, "the runtime that it won with"
    assert files("results/map") == {"a.png", "limelight.json"}


def test_a_champion_gives_way_to_what_exports_cannot_do(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command and from Python alike."""
    monkeypatch.chdir(tmp_path)
    draw("a.png")
    write_json("reports/leaderboard/champion.json", {"saliency": {"artifact": "best", "runtime": "openvino-fp32"}})
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "best").symlink_to(untrained)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refusal = r"no GPU|CUDA|cuda"
    with pytest.raises(UserError, match=refusal) as raised:
        limelight.load(device="cuda")
    said = CliRunner().invoke(app, ["predict", "a.png", "--device", "cuda"])
    assert str(said.exception) == str(raised.value) and "openvino" not in str(raised.value)


def test_models_lists_networks_and_weights(untrained: Path) -> None:
    result = CliRunner().invoke(app, ["models", "sd*", "--artifacts", str(untrained.parent)])
    assert result.exit_code == 0
    assert "SDNet with batch norm" in result.stdout and "745,197" in result.stdout and "swinb" not in result.stdout
    assert isinstance(CliRunner().invoke(app, ["models", "nothing*"]).exception, UserError)
    missing = CliRunner().invoke(app, ["models", "--artifacts", str(untrained / "none")])
    assert f"{untrained / 'none'} is not a folder" in str(missing.exception)


def test_models_lists_what_is_damaged_too(untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(untrained, tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "card.json").write_text("{")
    for pattern, many in (("sdnet*", 2), ("scfnet", 1)):
        result = CliRunner().invoke(app, ["models", pattern, "--artifacts", str(tmp_path)])
        assert result.exit_code == 0
        rows = [line for line in result.stdout.splitlines() if line.startswith(str(tmp_path))]
        assert len(rows) == many
        assert f"{tmp_path / 'bad'}  cannot be used: " in rows[-1] and "is not valid JSON" in rows[-1]


def test_data_lists_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["data"])
    assert result.exit_code == 0
    assert "DUTS-TE" in result.stdout


def test_import_checks_the_hash_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.pth").write_bytes(b"anything")
    result = CliRunner().invoke(app, ["import", "net.pth", "--model", "sdnet", "--sha256", "0" * 64])
    assert "expected 000" in str(result.exception) and isinstance(result.exception, UserError)
    assert files(".") == {"net.pth"}


def test_an_export_does_not_replace_what_it_is_made_of(untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").touch()
    for target, said in ((untrained, "holds the weights themselves"), (tmp_path / "other", "and no weights folder")):
        result = CliRunner().invoke(app, ["export", str(untrained), "--runtime", "onnx-fp32", "-o", str(target)])
        assert isinstance(result.exception, UserError) and said in str(result.exception)
    assert (tmp_path / "other/thesis.txt").is_file()


@pytest.mark.slow
def test_export_needs_no_pipeline(small: Path, tmp_path: Path) -> None:
    def export(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["export", str(small), "-o", str(tmp_path / "made"), *arguments])

    result = export("--runtime", "openvino-int8")
    assert (
        "image, got none; give a folder of pictures (--pictures)" in str(result.exception)
        and not (tmp_path / "made").exists()
    )
    write_png(tmp_path / "pictures/one.png", np.zeros((40, 60, 3), np.uint8))
    made = export("--runtime", "onnx-fp32", "--runtime", "openvino-fp32", "--pictures", str(tmp_path / "pictures"))
    assert made.exit_code == 0, made.exception
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    before, *after = (
        load(folder, runtime=runtime, device="cpu").predict([image])[0].saliency_HW
        for folder, runtime in (
            (small, "torch"),
            (tmp_path / "made", "onnx-fp32"),
            (tmp_path / "made", "openvino-fp32"),
        )
    )
    for each in after:
        assert_agree(each, before, Small())


def test_a_run_with_a_teacher_is_distilled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    started = []
    monkeypatch.setattr("limelight.cli.main.replace_process", lambda *arguments: started.append(arguments))
    for name in ("teacher", "sdnet-kd"):
        assert CliRunner().invoke(app, ["train", name]).exit_code == 0
    assert started == [("-m", "limelight.stages.train", "teacher"), ("-m", "limelight.stages.distill", "sdnet-kd")]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Type `limelight serve ...` with these settings; what would be started is returned, else the UserError raised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {**os.environ})

    def run(*arguments: str, **settings: str) -> tuple[str, ...]:
        started: list[tuple[str, ...]] = []
        monkeypatch.setattr("limelight.services.launch.replace_process", lambda *command: started.append(command))
        for name, value in settings.items():
            monkeypatch.setitem(os.environ, f"LIMELIGHT_{name}", value)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        result = CliRunner().invoke(launch.app, [*arguments, "--port", port], catch_exceptions=False)
        assert result.exit_code == 0
        return started[0]

    return run


def test_the_command_line_hands_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It imports nothing of the services; these print the help and refuse what they do not know."""
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr("limelight.cli.main.replace_process", lambda *command: started.append(command))
    for given in (["--task", "open-vocabulary", "--port", "80"], ["--help"], ["--typo", "x", "y"]):
        assert CliRunner().invoke(app, ["serve", *given], catch_exceptions=False).exit_code == 0
        assert started.pop() == ("-m", "limelight.services.launch", *given)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["--model", "gone"], "error: "),
        (["--host", "a..b"], "error: host 'a..b' cannot be resolved"),
        (["--port", "0"], "Invalid value for '--port'"),
        (["--task", "words"], "Invalid value for '--task'"),
    ],
)
def test_serve_ends_with_2_and_a_line_on_a_mistake(given: list[str], text: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "limelight.cli", "serve", *given]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2 and text in result.stderr and "Traceback" not in result.stderr


def test_serve_starts_what_can_be_served(serve, untrained: Path) -> None:
    assert serve("--model", str(untrained))[:4] == ("-m", "bentoml", "serve", "limelight.services.saliency:Limelight")
    assert os.environ["LIMELIGHT_RUNTIME"] == "auto"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"MAX_BODY": "much"}, "LIMELIGHT_MAX_BODY: "),
        ({"MAX_PIXELS": "0"}, "LIMELIGHT_MAX_PIXELS: "),
        ({"THREADS": "0"}, "LIMELIGHT_THREADS: "),
        ({"RUNTIME": "foo"}, "unknown runtime 'foo'"),
        ({"TOKN": "secret"}, "LIMELIGHT_TOKN is no setting; is LIMELIGHT_TOKEN meant?"),
        ({"RUNTIME": "onnx-fp32"}, "model.onnx does not exist"),
        ({"PROCESSING_RES": "-1"}, "LIMELIGHT_PROCESSING_RES: "),
        ({"HALF_PRECISION": "perhaps"}, "LIMELIGHT_HALF_PRECISION: "),
        ({"HALF_PRECISION": "true", "RUNTIME": "onnx-int8"}, "'onnx-int8' computes in 8 bits; leave it or the half"),
        ({"HALF_PRECISION": "true", "RUNTIME": "openvino-int8"}, "'openvino-int8' computes in 8 bits; leave it or"),
        ({"DENOISE_STEPS": "2"}, "does not sample"),
        ({"ENSEMBLE_SIZE": "2"}, "all 2 members of an ensemble are equal"),
        ({"VAE": "taesd"}, "has no autoencoder to replace; leave out --vae taesd"),
    ],
)
def test_serve_refuses_settings_that_its_worker_would(
    serve, untrained: Path, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        serve("--model", str(untrained), **settings)
    assert "\n" not in str(caught.value)


def test_serve_refuses_weights_that_its_worker_would(serve, untrained: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(untrained, tmp_path / "w"))
    with (folder / "model.safetensors").open("r+b") as handle:
        handle.truncate(1000)
    with pytest.raises(UserError, match="the file was damaged or replaced"):
        serve("--model", str(folder))
    (folder / "exports" / "onnx-fp32").mkdir(parents=True)
    (folder / "exports" / "onnx-fp32" / "model.onnx").write_bytes(b"no export")
    with pytest.raises(UserError, match=r"model\.onnx cannot be loaded"):
        serve("--model", str(folder), RUNTIME="onnx-fp32")


def test_serve_refuses_a_bento_that_its_worker_would(serve, untrained: Path, tmp_path: Path) -> None:
    """One whose weights are damaged, or whose runtime lacks its export; the environment's goes before its own."""
    for name in ("good", "bad"):
        folder = tmp_path / name
        shutil.copytree(untrained, folder / "models" / "limelight" / "1")
        write_json(folder / "src/limelight/services/settings.json", {"runtime": "torch"})
    (tmp_path / "bad" / "models" / "limelight" / "1" / "model.safetensors").write_bytes(b"")
    for name in ("good", "bad"):
        shutil.make_archive(str(tmp_path / name), "tar", tmp_path / name)
    assert serve("--bento", "good.tar")[2:4] == ("serve", str(tmp_path / "work" / "serve" / "good"))
    with pytest.raises(UserError, match="the file was damaged or replaced"):
        serve("--bento", "bad.tar")
    with pytest.raises(UserError, match=r"model\.xml does not exist"):
        serve("--bento", "good.tar", RUNTIME="openvino-fp32")


def test_paths_of_settings_hold_in_the_folder_that_workers_start_in(serve, untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(untrained, tmp_path / "bento" / "models" / "limelight" / "1")
    shutil.make_archive(str(tmp_path / "packed"), "tar", tmp_path / "bento")
    shutil.copytree(untrained, "own")
    serve("--bento", "packed.tar", MODEL="own")
    assert os.environ["LIMELIGHT_MODEL"] == str(tmp_path / "own")


def test_serve_takes_the_weights_of_the_environment(serve, untrained: Path) -> None:
    assert serve(MODEL=str(untrained))[3] == "limelight.services.saliency:Limelight"
    assert os.environ["LIMELIGHT_MODEL"] == str(untrained)


@pytest.mark.parametrize("more", [["--bento", "packed.tar"], ["--task", "open-vocabulary"]])
def test_serve_is_told_once_what_to_serve(serve, untrained: Path, more: list[str]) -> None:
    with pytest.raises(UserError, match="give one of them"):
        serve("--model", str(untrained), *more)


def test_serve_refuses_weights_of_another_task_in_a_bento(serve, untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(untrained, tmp_path / "bento" / "models" / "limelight" / "1")
    shutil.make_archive(str(tmp_path / "saliency"), "tar", tmp_path / "bento")
    words = shutil.copytree(untrained, tmp_path / "words")
    card = read_json(words / "card.json")
    card["architecture"]["task"] = "open-vocabulary"
    write_json(words / "card.json", card)
    with pytest.raises(UserError, match=r"words is not served by .*, which does another task"):
        serve("--bento", "saliency.tar", MODEL=str(words))


def test_a_file_without_permission_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Raised here: the tests' own user may be one to whom nothing is closed."""
    with pytest.raises(SystemExit) as stopped, mistakes_in_one_line():
        raise PermissionError(13, "Permission denied", "closed/a.png")
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: no permission for closed/a.png; change it, or ask its owner\n"
    with pytest.raises(PermissionError), mistakes_in_one_line():  # of a socket, say: a bug, or the machine's own matter
        raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_stages_run_in_place_of_the_command(command: str, tmp_path: Path) -> None:
    """Outside of a project the stage itself says what is missing."""
    result = subprocess.run(
        [sys.executable, "-m", "limelight.cli", command, "teacher"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr == "error: params.yaml not found; run this in the folder that holds it\n"
