"""The command line, as it is typed: exit statuses, trees, resuming, what it refuses."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from limelight.cli import app, main
from limelight.media.images import read_image, write_png
from models.errors import UserError

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
    root = Path(folder)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_help_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "limelight.cli", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.splitlines()}
    assert "predict" in told.stdout
    assert "typer" in imported, "the check itself must see imports"
    assert not imported & HEAVY


def test_tree_is_mirrored_and_nothing_collides(run) -> None:
    draw("in/a.png", "in/sub dir/a.png", "in/ü/名前 1.png")
    Path("in/a.jpg").write_bytes(Path("in/a.png").read_bytes())
    told = run("in", "-o", "out")
    assert told.exit_code == 0, told.stderr
    assert files("out") == {"a.jpg.png", "a.png.png", "sub dir/a.png", "ü/名前 1.png", "limelight.json"}
    assert "4 written to out, 0 already there, 0 failed" in told.stderr
    assert told.stderr.startswith("sdnet (training form, 745,197 parameters), torch on cpu, fp32, weights ")


def test_failures_are_listed_and_the_rest_is_done(run) -> None:
    draw("in/a.png", "in/z.png")
    Path("in/corrupt.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    Path("in/empty.png").touch()
    told = run("in", "-o", "out", "--batch-size", "2")
    assert told.exit_code == 1
    assert "2 written to out, 0 already there, 2 failed; see out/failures.csv" in told.stderr.splitlines()[-1]
    assert files("out") == {"a.png", "z.png", "failures.csv", "limelight.json"}
    rows = list(csv.DictReader(io.StringIO(Path("out/failures.csv").read_text(encoding="utf-8"))))
    assert [Path(row["source"]).name for row in rows] == ["corrupt.jpg", "empty.png"]
    assert all("cannot read" in row["reason"] for row in rows)

    draw("in/corrupt.jpg", "in/empty.png")
    told = run("in", "-o", "out")
    assert (told.exit_code, files("out")) == (0, {"a.png", "z.png", "corrupt.png", "empty.png", "limelight.json"})
    assert "2 written to out, 2 already there" in told.stderr


def test_resume_keeps_what_is_finished(run) -> None:
    draw("in/a.png", "in/b.png")
    assert run("in", "-o", "out").exit_code == 0
    Path("out/b.png").unlink()
    before = Path("out/a.png").stat().st_mtime_ns
    told = run("in", "-o", "out")
    assert "1 written to out, 1 already there" in told.stderr
    assert Path("out/a.png").stat().st_mtime_ns == before

    os.utime("in/a.png", ns=(before + 10**9, before + 10**9))
    assert "1 written to out, 1 already there" in run("in", "-o", "out").stderr, "a changed picture is done anew"
    assert "2 written to out, 0 already there" in run("in", "-o", "out", "--overwrite").stderr


def test_crash_mid_write_leaves_no_output(untrained: Path, tmp_path: Path) -> None:
    """Killed between a result's bytes and its name: the next run must not take it for finished."""
    script = (
        "import os, sys, limelight.cli, models.files\n"
        "real, calls = os.replace, []\n"
        "def replace(a, b):\n"
        "    calls.append(b)\n"
        "    if len(calls) == 2: os.kill(os.getpid(), 9)\n"  # the first is limelight.json
        "    real(a, b)\n"
        "os.replace = replace\n"
        "limelight.cli.main()\n"
    )
    write_png(tmp_path / "in" / "a.png", np.zeros((9, 9, 3), np.uint8))
    arguments = ["predict", "in", "-o", "out", "--model", str(untrained), "--device", "cpu"]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True)
    assert killed.returncode == -9
    assert not (tmp_path / "out" / "a.png").exists()


def test_other_settings_are_not_mixed(run) -> None:
    draw("in/a.png")
    assert run("in", "-o", "out").exit_code == 0
    told = run("in", "-o", "out", "--threshold", "0.5")
    assert isinstance(told.exception, UserError)
    assert "out/a.png exists and was made with other settings" in str(told.exception)
    assert run("in", "-o", "out", "--threshold", "0.5", "--overwrite").exit_code == 0
    assert set(np.unique(read_image(Path("out/a.png")))) <= {0, 255}


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.png"], "does not exist"),
        (["a.png", "--kind", "sepia"], "unknown kind 'sepia'"),
        (["a.png", "-o", "x.npy"], "results of kind map are .png files"),
        (["a.png", "--device", "tpu"], "unknown device 'tpu'"),
        (["a.png", "--runtime", "tflite"], "unknown runtime 'tflite'"),
        (["a.png", "--runtime", "onnx-fp32"], "model.onnx does not exist"),
        (["a.png", "a.png", "-o", "-"], "only one picture can go to standard output"),
        (["-", "a.png"], "stands alone"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(run, arguments: list[str], message: str) -> None:
    draw("a.png")
    told = run(*arguments)
    assert isinstance(told.exception, UserError)
    assert message in str(told.exception)
    assert "\n" not in str(told.exception)


def test_main_prints_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["limelight", "predict", "photo.jpg"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("error: no --model given and no champion yet")


def test_champion_is_the_default_model(untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw("a.png")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "best").symlink_to(untrained)
    (tmp_path / "reports" / "leaderboard").mkdir(parents=True)
    (tmp_path / "reports/leaderboard/champion.json").write_text(
        json.dumps({"artifact": "best", "runtime": "torch-bf16"})
    )
    told = CliRunner().invoke(app, ["predict", "a.png"])
    assert told.exit_code == 0, told.stderr
    assert ", bf16, " in told.stderr, "the runtime that it won with"
    assert files("results/map") == {"a.png", "limelight.json"}


def test_models_lists_networks_and_weights(untrained: Path) -> None:
    told = CliRunner().invoke(app, ["models", "sd*", "--artifacts", str(untrained.parent)])
    assert told.exit_code == 0
    assert "SDNet with batch norm" in told.stdout and "745,197" in told.stdout and "swinb" not in told.stdout
    assert isinstance(CliRunner().invoke(app, ["models", "nothing*"]).exception, UserError)


def test_data_lists_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["data"])
    assert told.exit_code == 0
    assert "DUTS-TE" in told.stdout


def test_import_checks_the_hash_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.pth").write_bytes(b"anything")
    told = CliRunner().invoke(app, ["import", "net.pth", "--model", "sdnet", "--sha256", "0" * 64])
    assert "expected 000" in str(told.exception) and isinstance(told.exception, UserError)
    assert files(".") == {"net.pth"}


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_stages_run_in_place_of_the_command(command: str, tmp_path: Path) -> None:
    """Outside of a project the stage itself says what is missing."""
    told = subprocess.run(
        [sys.executable, "-m", "limelight.cli", command, "teacher"], cwd=tmp_path, capture_output=True, text=True
    )
    assert told.returncode == 2
    assert told.stderr == "error: params.yaml not found; run this in the folder that holds it\n"
