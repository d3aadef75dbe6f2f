"""Bentos outside this checkout: the tests' editable installation would hide what a bento lacks."""

import shutil
from pathlib import Path

import pytest

from limelight.config import Package
from limelight.foundation.errors import UserError
from limelight.models import create_model
from limelight.models.families import FAMILIES
from limelight.models.foreign.onnx_file import Preparation, import_onnx
from limelight.models.registry import entry
from limelight.models.weights import read_card, save_weights
from limelight.packaging.bento import stage_sources
from limelight.packaging.isolation import check_self_contained
from limelight.tasks import task_of
from tests.models.onnx_nets import net
from tests.models.test_every_network import SMALL

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ("scfnet-mobilenetv3", "inspyrenet", "diffsod-tiny", "onnx")
"""One of each family, and the first is the quickest; but for those of `PACKAGED`."""
PACKAGED = ("sdnet", "segdiffusion-tiny")
"""tests/stages/test_package.py has the same check made of their bentos, one of each service."""


def unpacked(name: str, folder: Path) -> Path:
    """As an unpacked bento of a network; BentoML itself takes a minute, and is tested in tests/stages."""
    weights = folder / "models/limelight/1"
    if name == "onnx":
        import_onnx(net(folder / "net.onnx"), weights, Preparation(size=(64, 64)))
    else:
        save_weights(weights, create_model(name, **SMALL[name]), name=name, input_size=(64, 64))
    card = read_card(weights)
    stage_sources(folder / "src", card, task_of(card).service, "torch", Package())
    return folder


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(ROOT)
    return {"BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "True"}


def test_every_family_is_tried() -> None:
    assert {entry(name).family for name in (*NETWORKS, *PACKAGED)} == {*FAMILIES}


@pytest.mark.parametrize("name", [NETWORKS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS[1:])])
def test_a_bento_starts_with_its_own_code_alone(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    bento = unpacked(name, tmp_path)
    check_self_contained(bento, environment)
    packed = {path.name for path in (bento / "src/limelight/models").iterdir()}
    assert packed & {*FAMILIES} == {entry(name).family}


def test_a_bento_that_lacks_code_is_refused_in_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    """Although this checkout has it."""
    bento = unpacked("sdnet", tmp_path)
    shutil.copy(ROOT / "models/families.py", bento / "src/limelight/models")
    with pytest.raises(UserError, match=r"^the bento .* alone: .*No module named 'limelight\.models\.\w+'$"):
        check_self_contained(bento, environment)
