"""`limelight bench`, as it is typed: rows, units, ratios, plots, and what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from limelight.bench.worker import Failure, Worker
from limelight.cli.main import app
from limelight.deploy.export import export
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_json
from limelight.imaging.encoding import write_png
from limelight.inference.runtimes import Runtime
from limelight.models.registry import create_model
from limelight.models.weights import load_weights, save_weights

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Type `limelight bench ...` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def bench(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["bench", *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return bench


def save(folder: str, name: str = "sdnet", *, merged: bool = False, side: int = 32, **facts: object) -> str:
    """A narrow network as it is initialised."""
    torch.manual_seed(0)
    options = {"frames": 3} if name.startswith("stdnet") else {}
    model = create_model(name, width=12, **options)
    form = {"form": "merged"} if merged else {}
    save_weights(
        folder, model.reparameterize() if merged else model, name=name, input_size=(side, side), **form, **facts
    )
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Merged weights with their export for ONNX Runtime. Not to be changed."""
    folder = tmp_path_factory.mktemp("exported") / "w"
    network, card = load_weights(save(str(folder), merged=True))
    export(network, card, folder, ["onnx-fp32"], {})
    return folder


def rows_of(path: str) -> dict[tuple[str, str], dict[str, object]]:
    return {(row["model"], row["runtime"]): row for row in read_json(path)["rows"]}


@pytest.mark.slow
def test_models_side_by_side(run: Run, exported: Path) -> None:
    save("trained", metrics={"ECSSD mae": 0.05})
    shutil.copytree(exported, "merged")
    result = run("trained", "merged", "--runtime", "torch", "--runtime", "onnx-fp32", "--runs", "3", "--threads", "1",
                 "--json", "out.json", "--plot", "plot.png")  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = rows_of("out.json")
    reference = "training form, eager"
    assert list(rows) == [
        *(("trained", each) for each in (reference, "torch", "onnx-fp32")), ("merged", "torch"), ("merged", "onnx-fp32")
    ]  # fmt: skip
    trained, torch_row, onnx = (rows["trained", each] for each in (reference, "torch", "onnx-fp32"))
    assert trained["times_faster"] == 1 and trained["calls"] == 3
    ratio = trained["network_p50_ms"] / onnx["network_p50_ms"]
    assert onnx["times_faster"] == pytest.approx(ratio, rel=0.01)
    assert onnx["times_less_cpu"] == pytest.approx(trained["cpu_ms_each"] / onnx["cpu_ms_each"], rel=0.01)
    assert trained["parameters"] > torch_row["parameters"] == rows["merged", "torch"]["parameters"]
    # Branches are convolutions of their own in the training form, and one in the merged.
    assert trained["macs_each"] > torch_row["macs_each"] == rows["merged", "onnx-fp32"]["macs_each"]
    assert all(rows[key]["times_faster"] is None for key in rows if key[0] == "merged")
    assert "none: merged weights" in result.stdout
    for row in rows.values():
        assert row["latency_fastest_ms"] <= row["latency_p50_ms"] <= row["latency_p95_ms"]
        assert 0 < row["network_p50_ms"] <= row["latency_p95_ms"]
        assert (row["height"], row["width"], row["frames"]) == (32, 32, 1)
    # ONNX Runtime's process holds no PyTorch.
    assert 30 < onnx["peak_memory_mb"] < torch_row["peak_memory_mb"] - 50
    assert "not in plot.png, having no figure 'ECSSD mae': merged" in result.stderr
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")
    table = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(rows) and len({line.count("|") for line in table}) == 1


@pytest.mark.slow
def test_clips_take_windows_and_causal_ones_single_frames(run: Run) -> None:
    save("clip", "stdnet", merged=True)
    save("causal", "stdnet-causal")
    for seed in range(2):  # fewer than the three frames of a window
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
        write_png(Path(f"frames/{seed}.png"), pixels)
    arguments = ("--runtime", "torch", "--runs", "2", "--threads", "1", "--json", "out.json")
    result = run("clip", "causal", "--data", "frames", *arguments)
    assert result.exit_code == 0, result.output
    rows = rows_of("out.json")
    assert [row["frames"] for row in rows.values()] == [3, 1, 1]
    assert "the whole window" in result.stdout
    clip = rows["clip", "torch"]
    assert clip["per_second"] == pytest.approx(3000 / clip["latency_p50_ms"], rel=0.5)
    assert rows["causal", "torch"]["macs_each"] == clip["macs_each"]
    assert rows["causal", "torch"]["times_faster"] is not None


@pytest.mark.slow
def test_the_authors_protocol_and_random_weights(run: Run) -> None:
    save("own", merged=True)
    arguments = ("--runtime", "torch", "--size", "48", "--threads", "1", "--json", "out.json")
    result = run("own", "sdnet", "--protocol", "authors", "--runs", "11", *arguments)
    assert result.exit_code == 0, result.output
    rows = rows_of("out.json")
    assert {row["calls"] for row in rows.values()} == {9}, "the first tenth and one more are left out"
    assert {(row["height"], row["width"]) for row in rows.values()} == {(48, 48)}
    assert rows["sdnet", "torch"]["weights"] == "random weights"
    assert rows["sdnet", "torch"]["parameters"] == 703_325
    assert rows["sdnet", "training form, eager"]["parameters"] == 745_197
    assert "Random weights: sdnet." in result.stdout


@pytest.mark.slow
def test_a_row_that_fails_is_named_and_the_others_are_measured(run: Run, exported: Path) -> None:
    shutil.copytree(exported, "own")
    shutil.copytree(exported, "broken")
    Path("broken/exports/onnx-fp32/model.onnx").write_bytes(b"not a network")
    result = run("own", "broken", "--runtime", "onnx-fp32", "--runs", "2", "--threads", "1", "--json", "out.json")
    assert result.exit_code == 1
    assert list(rows_of("out.json")) == [("own", "onnx-fp32")]
    (left,) = read_json("out.json")["not_measured"]
    assert (left["model"], left["runtime"]) == ("broken", "onnx-fp32") and "cannot be loaded" in left["reason"]
    assert f"Not measured: broken, onnx-fp32: {left['reason']}" in result.stdout


def test_a_process_that_dies_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from limelight.bench.subject import Job

    with Worker(Job(Path("nowhere"), "torch")) as worker:
        failure = worker.ready()
        assert isinstance(failure, Failure) and "nowhere is not a weights folder" in failure.reason
        again = worker.finish()
        assert again == Failure("its process ended with status 0")


# -------------------------------------------------------------------------------------------------------------- refused
def refused(run: Run, *arguments: str) -> str:
    with pytest.raises(UserError) as raised:
        run(*arguments)
    return str(raised.value)


def test_models_that_are_not_there(run: Run) -> None:
    assert "'nothing' is neither a weights folder nor the name" in refused(run, "nothing", "--runtime", "torch")
    assert "sdnet is given 2 times" in refused(run, "sdnet", "sdnet", "--runtime", "torch")
    Path("empty").mkdir()
    assert "empty is not a weights folder" in refused(run, "empty", "--runtime", "torch")


def test_runtimes_that_are_not_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "unknown runtime 'tensorrt'" in refused(run, "sdnet", "--runtime", "tensorrt")
    monkeypatch.setattr(Runtime, "installed", property(lambda self: self.engine != "openvino"))
    text = refused(run, "sdnet", "--runtime", "openvino-fp32")
    assert text == "runtime 'openvino-fp32' needs the package openvino (pip install 'limelight[export]'); leave it out"
    assert "runs on the CPU alone" in refused(run, "sdnet", "--runtime", "onnx-fp32", "--device", "cuda")
    monkeypatch.setattr(Runtime, "installed", True)
    monkeypatch.setattr(Runtime, "computed_in", lambda self: "fp32")
    assert "computes in fp32 here" in refused(run, "sdnet", "--runtime", "openvino-bf16")


def test_pictures_that_are_not_there(run: Run) -> None:
    save("own")
    Path("none").mkdir()
    assert "no pictures in none" in refused(run, "own", "--runtime", "torch", "--data", "none")
    assert "void does not exist" in refused(run, "own", "--runtime", "torch", "--data", "void")
    text = refused(run, "own", "--runtime", "torch", "--data", "none", "--protocol", "authors")
    assert text == "protocol 'authors' takes random numbers, not pictures; leave --data out"


def test_options_that_mean_nothing(run: Run) -> None:
    assert "unknown protocol 'mine'" in refused(run, "--protocol", "mine")
    assert "unknown device 'auto'" in refused(run, "--device", "auto")
    assert "are for the plot" in refused(run, "--metric", "mae")
    assert "a plot is one of" in refused(run, "--plot", "plot.bmp")
    assert "is a folder" in refused(run, "--json", ".", "--runtime", "torch")
    assert run("sdnet", "--runs", "1").exit_code == 2


def test_a_plot_needs_figures(run: Run) -> None:
    save("bare")
    save("known", metrics={"val_mae": 0.1})
    arguments = ("--runtime", "torch", "--plot", "plot.png")
    assert "no model has a figure on its card" in refused(run, "bare", *arguments)
    assert "no card has the figure 'wFm'; they have: val_mae" in refused(run, "known", "--metric", "wFm", *arguments)
    assert "reports/eval does not exist" in refused(run, "known", "--reports", "reports/eval", *arguments)
    write_json("reports/known/metrics.json", {"mean": {"torch": {"mae": 0.1}}})
    text = refused(run, "known", "--reports", "reports", "--metric", "wFm", *arguments)
    assert text == "no report has the figure 'wFm'; they have: mae"
    assert "no model has mae in reports" in refused(run, "bare", "--reports", "reports", *arguments)
