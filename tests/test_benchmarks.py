"""Benchmarks compare what they say: ways of sampling, the full networks' steps, rewrites that compute the same."""

from argparse import Namespace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import full_size, options
from benchmarks._pairs import paired_ratio
from benchmarks.paired import compare, read
from benchmarks.rewrites import with_joined_identities
from benchmarks.sampling import ONE_STEP, VELOCITY, Drawn, counted, denoise, settings, summarise
from limelight.data.samples import Batch
from limelight.evaluation.sod import score_image
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_json
from limelight.inference.sampling import Sampling
from limelight.models.registry import create_model
from limelight.models.sdnet.network import SDNet
from tests.conftest import ROOT
from tests.tolerance import assert_agree


def test_each_can_be_imported() -> None:
    for path in (ROOT / "benchmarks").glob("*.py"):
        import_module(f"benchmarks.{path.stem}")


def test_both_ways_differ_in_what_they_learn_alone() -> None:
    params = settings(Namespace(scenes=40, autoencoder_epochs=2, epochs=3), 5)
    one_step, velocity = params.run(ONE_STEP), params.run(VELOCITY)
    assert (one_step.objective.name, velocity.objective.name) == ("supervised", "velocity")
    assert one_step.model_copy(update={"objective": velocity.objective}) == velocity
    assert one_step.epochs == 3 and one_step.parts == {"vae": "artifacts/autoencoder"}
    assert next(iter(params.train)) == "autoencoder" and params.run("autoencoder").epochs == 2
    assert {request.sensor for request in params.active.data.datasets} == {"rgb", "rgbd", "rgbt"}


def test_pictures_that_every_seed_draws_count_once_in_standard_errors() -> None:
    generator, mask = np.random.default_rng(0), np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 255
    runs, others = (
        Drawn([score_image(generator.integers(0, 256, (16, 16), np.uint8), mask) for _ in range(5)], 5, 1.0)
        for _ in range(2)
    )
    once, often = summarise([runs], [others]), summarise([runs] * 4, [others] * 4)
    assert often == pytest.approx(once) and once["iou_se"] > 0
    iou = [np.mean([left.iou, right.iou]) for left, right in zip(runs.scores, others.scores, strict=True)]
    both = summarise([runs, others], [runs, others])
    assert both["iou_se"] == pytest.approx(np.std(iou, ddof=1) / np.sqrt(5)) and both["mae_further"] == 0


def test_every_picture_that_passes_the_unet_counts() -> None:
    network = create_model("diffsod-tiny").eval()
    image_B3HW, alone_B = torch.rand(2, 3, 32, 32), torch.zeros(2, dtype=torch.int64)
    batch = Batch(image_B3HW, torch.zeros(2, 1, 32, 32), torch.ones(2, dtype=torch.bool), None, alone_B, ["a", "b"])
    with torch.inference_mode(), counted(network.unet) as passes:
        denoise(5, 3, "leading")(network, batch, [0, 1])
        assert passes == [6] * 5
        network(image_B3HW)
        assert sum(passes) == 32
    network(image_B3HW)
    assert len(passes) == 6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diffsod-tiny", "segdiffusion-tiny"])
def test_what_is_timed_trains_and_predicts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_size, "OPTIONS", {name: {}})
    monkeypatch.setattr(full_size, "WARM_UP", 1)
    monkeypatch.setattr(full_size, "PUBLISHED", Sampling(2, 2))  # a hundred are minutes where there is no bf16
    options = Namespace(size=64, batches=[2], steps=1)
    trained = full_size.train(name, tmp_path, options)
    assert [(row["batch"], row["checkpointing"]) for row in trained] == [(2, True), (2, False)]
    predicted = full_size.predict(tmp_path / name, options)
    assert [(row["batch"], row["steps"], row["ensemble"]) for row in predicted] == [(2, 1, 1), (2, 2, 2)]
    assert all(row["seconds"] > 0 for row in (*trained, *predicted))
    assert all(0 < row["network_seconds"] <= row["seconds"] for row in predicted)
    assert {row["prompts"] for row in predicted} == {6 if name == "segdiffusion-tiny" else 0}


def test_joined_identities_compute_the_same() -> None:
    torch.manual_seed(0)
    merged = create_model("sdnet", width=12).eval().reparameterize()
    assert isinstance(merged, SDNet)
    joined = with_joined_identities(merged)
    assert [len(context.dilated) for context in merged.contexts] == [2, 3, 4, 4]
    assert [len(context.dilated) for context in joined.contexts] == [1, 2, 4, 4]
    image = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        assert_agree(joined(image)[0], merged(image)[0], merged)


def test_the_ratio_of_pairs_by_hand() -> None:
    figures = paired_ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0])
    assert figures == {"before_ms": 2000.0, "after_ms": 4000.0, "ratio": 2.0, "standard_error": 0.0}
    noisy = paired_ratio([1.0, 1.0], [1.0, np.e**2])
    assert noisy["ratio"] == pytest.approx(np.e, abs=1e-4)
    assert noisy["standard_error"] == pytest.approx(np.e, abs=1e-4)  # the logarithms are 0 and 2, their error is 1


def test_paired_differences_by_hand(tmp_path: Path) -> None:
    """Over seeds first, then over the pictures that all reports have scored."""
    for name, values in {
        "plain0": {"a": 0.1, "b": 0.3, "c": 0.9},
        "other0": {"a": 0.2, "b": 0.3},
        "plain1": {"a": 0.3, "b": 0.3},
        "other1": {"a": 0.4, "b": 0.5},
    }.items():
        _report(tmp_path / name, values)
    reports = [read(tmp_path / name, None) for name in ("plain0", "other0", "plain1", "other1")]
    figures = compare([(reports[0], reports[1]), (reports[2], reports[3])], "mae")
    assert figures["differences"] == pytest.approx([0.05, 0.15])
    assert figures["pictures"] == 2
    assert (figures["without"], figures["with"]) == pytest.approx((0.25, 0.35))
    assert (figures["difference"], figures["standard_error"]) == pytest.approx((0.1, 0.0))
    alone = compare([(reports[0], reports[1])], "mae")
    assert alone["standard_error"] == pytest.approx(0.05)  # differences of 0.1 and 0


def test_pairs_of_pictures_need_reports_of_one_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no report of"):
        read(tmp_path, None)
    _report(tmp_path / "two", {"a": 0.1}, ("torch-fp32", "openvino-fp32"))
    with pytest.raises(UserError, match="torch-fp32, openvino-fp32; name one"):
        read(tmp_path / "two", None)
    assert read(tmp_path / "two", "openvino-fp32") == {"a": {"mae": 0.1}}
    with pytest.raises(UserError, match="no two pictures have 'mae'"):
        compare([(read(tmp_path / "two", "openvino-fp32"), {"a": {"mae": 0.2}})], "mae")
    write_json(tmp_path / "two/metrics.json", {"datasets": {"film": {"torch-fp32": {"dtssd": 0.1}}}})
    with pytest.raises(UserError, match="film has clips"):
        read(tmp_path / "two", "torch-fp32")


@pytest.mark.slow
def test_options_are_timed_in_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "times.json"
    given = ["sdnet", "stem=space-to-depth", "width=12", "--size", "32", "--pairs", "2", "--json", str(file)]
    monkeypatch.setattr("sys.argv", ["options", *given])
    options.main()
    report = read_json(file)
    assert report["with_to_without"]["ratio"] > 0
    assert report["options"] == {"stem": "space-to-depth", "width": 12}
    with pytest.raises(UserError, match="give name=value"):
        options._read("stem")


def _report(folder: Path, values: dict[str, float], runtimes: tuple[str, ...] = ("torch-fp32",)) -> None:
    """What `limelight evaluate` writes of these pictures' MAE, a column that is empty beside it."""
    write_json(folder / "metrics.json", {"datasets": {"photos": {runtime: {"mae": 0.1} for runtime in runtimes}}})
    rows = [f"{name},photos,{runtime},{value:.6f}," for runtime in runtimes for name, value in values.items()]
    (folder / "per_image.csv").write_text("\n".join(["id,dataset,runtime,mae,mba", *rows, ""]))
