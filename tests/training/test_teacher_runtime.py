"""A teacher's maps made by an export of it, which is faster than the network itself."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from toy import toy_samples

from limelight.config import Run, load_params
from limelight.data.manifest import write_manifest
from limelight.deploy.inference_form import export_weights
from limelight.foundation.errors import UserError
from limelight.models.foreign.onnx_file import Preparation, import_onnx
from limelight.stages import distill
from tests.models.onnx_nets import net

OBJECTIVE = {"name": "distilled", "teacher_maps": "once", "label_weight": 0.5}
RUN = {
    "model": "sdnet",
    "options": {"width": 12},
    "samples": {"unlabelled": ["unlabelled"]},
    "size": {"input": 64},
    "epochs": 1,
    "batch": {"size": 3},
}


def run_with(runtime: str, **settings: Any) -> dict[str, Any]:
    return {**RUN, "objective": {**OBJECTIVE, "teacher_runtime": runtime, **settings}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A foreign teacher of one picture at a time, with an export to ONNX Runtime, and its students."""
    monkeypatch.chdir(tmp_path)
    write_manifest([*toy_samples(Path("toy"), 3), *toy_samples(Path("toy"), 2, "unlabelled", labelled=False)])
    import_onnx(net(Path("net.onnx")), "weights", Preparation(mean=(0.5,) * 3, std=(1.0,) * 3))
    export_weights(Path("weights"), Path("artifacts/net"), ["onnx-fp32"])
    runs = {name: run_with(runtime) for name, runtime in (("plain", "torch"), ("fast", "onnx-fp32"))}
    tree = {
        "profile": "tiny",
        "device": "cpu",
        "train": {},
        "imported": ["net"],
        "distill": {name: {"family": "sdnet", "teacher": "net"} for name in runs},
        "tracking": {"enabled": False},
        "profiles": {"tiny": {"data": {"datasets": [{"name": "toy", "path": "toy"}]}, "runs": runs}},
    }
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


@pytest.mark.slow
def test_the_maps_are_those_of_the_network(project: Path) -> None:
    found = {}
    for name in ("plain", "fast"):
        known = set(Path("work").rglob("*.png"))
        distill.run(load_params(), name)
        made = sorted(set(Path("work").rglob("*.png")) - known, key=lambda path: path.name)
        found[name] = np.stack([cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in made]).astype(int)
    assert found["plain"].shape == (5, 64, 64), "each has a folder of its own"
    assert np.abs(found["plain"] - found["fast"]).max() <= 1
    assert found["fast"].std() > 10


def test_an_export_that_is_not_there_is_named(project: Path) -> None:
    Path("artifacts/net/exports/onnx-fp32/model.onnx").unlink()
    with pytest.raises(UserError, match=r"^run 'fast': teacher 'net': .*onnx-fp32/model\.onnx does not exist.*export"):
        distill.run(load_params(), "fast")


def test_maps_of_each_step_come_from_the_network_alone() -> None:
    with pytest.raises(ValueError, match="set teacher_maps: once"):
        Run.model_validate(run_with("openvino-fp32", teacher_maps="each-step"))
    with pytest.raises(ValueError, match="teacher_runtime"):
        Run.model_validate(run_with("openvino"))
