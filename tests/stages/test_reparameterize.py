"""The reparameterize stage from artifact and manifest to deployed folder and report."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from limelight.config import Data, DatasetRequest, Deploy, Params, Profile, Run
from limelight.data.manifest import Sample, read_manifest, write_manifest
from limelight.deploy.inference_form import read_samples
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.imaging.encoding import write_png
from limelight.imaging.feeds import Feeds
from limelight.inference.backends import open_backend
from limelight.inference.backends.onnx import OnnxBackend
from limelight.inference.plan import Request, plan
from limelight.models.foreign.onnx_file import REMBG, import_onnx
from limelight.models.registry import create_model, entry
from limelight.models.weights import load_weights, read_card, save_weights
from limelight.stages.reparameterize import run
from tests.models.onnx_nets import net
from tests.small_network import NAME, create, register
from tests.tolerance import assert_agree

pytestmark = pytest.mark.slow


def settings(model: str = "sdnet", **deploy: object) -> Params:
    profile = Profile(
        data=Data(datasets=[DatasetRequest(name="embedded")]),
        runs={"student": Run(model=model)},
        deploy=Deploy(samples=2, **deploy),
    )
    family = {"student": entry(model).family}
    return Params(profile="demo", train=family, deploy=family, profiles={"demo": profile})


def exported_maps(feeds: Feeds) -> np.ndarray:
    """Of what was deployed, by ONNX Runtime."""
    folder = "artifacts/student-deploy"
    backend = open_backend(plan(folder, read_card(folder), Request("onnx-fp32", "cpu", threads=1)))
    return backend.run(feeds).probability_BKhw


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three masked validation images, and an SDNet with statistics of its own."""
    monkeypatch.chdir(tmp_path)
    source = np.random.default_rng(0)
    rows = []
    for index in range(3):
        image, mask = f"images/{index}.png", f"masks/{index}.png"
        write_png(Path(image), source.integers(0, 256, (40, 50, 3), np.uint8))
        write_png(Path(mask), np.where(np.indices((40, 50))[1] > 20, 255, 0).astype(np.uint8))
        rows.append(
            Sample(f"toy/{index}", "toy", "val", "rgb", "mask", image, None, mask, None, None, (), 50, 40, "0" * 64)
        )
    write_manifest(rows)
    torch.manual_seed(0)
    model = create_model("sdnet-bn").train()
    with torch.no_grad():
        model(torch.randn(4, 3, 48, 48))
    save_weights("artifacts/student", model.eval(), name="sdnet-bn", input_size=(48, 48), trained_on=["toy/train"])
    return tmp_path


@pytest.fixture
def small_student(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student is a network whose export takes little time."""
    register(monkeypatch)
    save_weights("artifacts/student", create(), name=NAME, input_size=(48, 48))


def test_deploys_the_merged_form(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(settings(runtimes=["onnx-fp32", "openvino-bf16"]), "student")
    trained, _ = load_weights("artifacts/student")
    merged, card = load_weights("artifacts/student-deploy")
    assert (card.architecture.form, card.architecture.parameters) == ("merged", 705_725)
    assert card.provenance.trained_on == ("toy/train",)
    image = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        expected = trained(image)[0]
        assert_agree(merged(image)[0], expected, trained)
    exported = exported_maps({"image": image.numpy()})
    assert_agree(exported, expected.sigmoid(), trained)

    metrics = read_json("reports/deploy/student/metrics.json")
    assert 0 < metrics["logit_difference"] < 1e-4
    assert metrics["samples"] == 2
    assert set(metrics["runtimes"]) == {"onnx-fp32", "openvino-bf16"}
    assert read_json("artifacts/student-deploy/parity.json")["runtimes"] == metrics["runtimes"]
    assert Path("reports/deploy/student/parity.png").is_file()
    assert "largest logit difference" in capsys.readouterr().out


def test_logits_are_multiplied_on_request(workspace: Path, small_student: None) -> None:
    """In PyTorch and in exports alike; the weights are others then than those that they were made from."""
    run(settings("small", runtimes=[], calibrate=True), "student")
    plain = read_card("artifacts/student-deploy")
    run(settings("small", runtimes=["onnx-fp32"], sharpness=2.5, calibrate=True), "student")
    trained, _ = load_weights("artifacts/student")
    sharp, card = load_weights("artifacts/student-deploy")
    image = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        expected = 2.5 * trained(image)[0]
        assert_agree(sharp(image)[0], expected, trained)
    assert_agree(exported_maps({"image": image.numpy()}), expected.sigmoid(), trained)
    assert "logits multiplied by 2.5" in card.provenance.source
    assert card.provenance.lineage == card.provenance.sha256 != plain.provenance.lineage
    assert card.finish.temperature == pytest.approx(2.5 * plain.finish.temperature), "calibrated maps are the same"


def test_the_guided_filter_is_written_on_the_card(workspace: Path) -> None:
    run(settings(runtimes=[], guided_radius=3), "student")
    assert read_card("artifacts/student-deploy").finish.guided_radius == 3
    words = create_model("segdiffusion-tiny")
    save_weights("artifacts/student", words, name="segdiffusion-tiny", input_size=(32, 32))
    with pytest.raises(UserError, match=r"segdiffusion-tiny finds no saliency, .* leave out deploy\.guided_radius"):
        run(settings("segdiffusion-tiny", runtimes=[], guided_radius=3), "student")


def test_an_unequal_merge_stops_before_anything_is_written(workspace: Path) -> None:
    with pytest.raises(UserError, match=r"the merged form differs by .*max_logit_difference 1e-12"):
        run(settings(max_logit_difference=1e-12), "student")
    assert not Path("artifacts/student-deploy").exists()
    assert not Path("reports").exists()


def test_a_drift_past_its_limit_keeps_the_report_alone(workspace: Path) -> None:
    shutil.rmtree("artifacts/student")
    import_onnx(net(Path("net.onnx")), "artifacts/student", REMBG)
    with pytest.raises(UserError, match=r"openvino-fp32: probability difference .* exceeds deploy\.max_probability"):
        run(settings("onnx", runtimes=["openvino-fp32"], max_probability_difference=0), "student")
    assert [path.name for path in Path("artifacts").iterdir()] == ["student"]
    metrics = read_json("reports/deploy/student/metrics.json")
    assert "logit_difference" not in metrics  # there is nothing to merge
    assert 0 < metrics["runtimes"]["openvino-fp32"]["max_probability_difference"] < 1e-5


def test_an_export_that_yields_nan_is_refused_in_one_line(
    workspace: Path, small_student: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = SimpleNamespace(probability_BKhw=np.full((1, 1, 48, 48), np.nan, np.float32))
    monkeypatch.setattr(OnnxBackend, "run", lambda self, feeds: nan)
    with pytest.raises(UserError, match=r"onnx-fp32: MAE change nan exceeds deploy\.max_mae_change") as caught:
        run(settings("small", runtimes=["onnx-fp32"]), "student")
    assert "probability difference nan exceeds" in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in Path("artifacts").iterdir()] == ["student"]
    drift = read_json("reports/deploy/student/metrics.json")["runtimes"]["onnx-fp32"]
    assert drift["mae_change"] is None and drift["megabytes"] > 0
    (noted,) = Path("work/journal").iterdir()
    assert read_json(noted)["metrics"]["runtimes"]["onnx-fp32"]["mae_change"] is None, "null, as of any stage"


def test_a_network_with_companions_is_proved_and_exported_with_them(workspace: Path, small_student: None) -> None:
    rows = read_manifest()
    for row in rows:
        noise = np.random.default_rng(1).integers(0, 65536, (40, 50), np.uint16)
        write_png(Path(row.image.replace("images", "depth")), noise)
    write_manifest([replace(row, sensor="rgbd", companion=row.image.replace("images", "depth")) for row in rows])
    save_weights("artifacts/student", create(modalities=["rgb", "rgbd"]), name=NAME, input_size=(48, 48))
    run(settings("small", runtimes=["onnx-fp32"]), "student")
    merged, card = load_weights("artifacts/student-deploy")
    assert (card.architecture.form, card.architecture.modalities) == ("merged", ("rgb", "rgbd"))
    seen, _ = read_samples(card, settings().active.deploy)
    assert seen["companion"].any() and seen["modality"].tolist() == [1, 1]
    exported = exported_maps(seen)
    with torch.no_grad():
        expected = merged.maps({name: torch.from_numpy(array) for name, array in seen.items()})
    assert_agree(exported, expected, merged)


def test_a_split_without_masks_is_refused(workspace: Path) -> None:
    with pytest.raises(UserError, match="split 'test' of the manifest has no rgb image with a mask"):
        run(settings(split="test"), "student")
