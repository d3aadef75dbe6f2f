"""Our own forms of SDNet and STDNet: stems at half resolution, thinner temporal planes at the finest level."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from limelight.deploy.export import export
from limelight.foundation.errors import UserError
from limelight.inference.backends import open_backend
from limelight.inference.plan import Request, plan
from limelight.models.base import Network
from limelight.models.companion import fitted_channels
from limelight.models.cost import count_macs
from limelight.models.examples import example
from limelight.models.layers import resize_like
from limelight.models.registry import create_model
from limelight.models.sdnet.stem import STEMS, HalfStem, Stem, make_stem
from limelight.models.state import load_strict
from limelight.models.weights import describe
from tests.tolerance import assert_agree

HALF = {"stem": "space-to-depth"}
STRIDED = {"stem": "strided"}


def build(name: str, **options: Any) -> Network:
    """With statistics of its own."""
    torch.manual_seed(0)
    network = create_model(name, **options).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of what it sees
    with torch.no_grad():
        network.logits(given(network, 64, 64, seed=5))
    return network.eval()


def given(network: Network, height: int, width: int, *, seed: int = 2, batch: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: part.shape for name, part in example(network, batch, (height, width)).items()}
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}


def test_it_is_pixel_unshuffle_and_a_layer_of_its_channels() -> None:
    torch.manual_seed(0)
    stem, image = HalfStem(4, 7), torch.randn(2, 4, 10, 14)
    with torch.no_grad():
        kernel, _ = stem.merged()
        expected = F.conv2d(F.pixel_unshuffle(image, 2), kernel, padding=1)
        torch.testing.assert_close(stem(image), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "training", "merged", "size", "macs"),
    [
        ("sdnet", HALF, 756_117, 704_525, 320, 1739.0),
        ("sdnet-a", HALF, 862_422, 819_731, 384, 2743.4),
        ("stdnet", HALF, 1_279_101, 875_357, 256, 2159.9),
        ("stdnet", {"fine_planes": 16}, 1_157_237, 837_245, 256, 1614.9),
        ("stdnet", {"fine_planes": 16, **HALF}, 1_168_157, 838_445, 256, 1556.0),
        ("sdnet", STRIDED, 741_537, 699_665, 320, 1614.6),
        ("sdnet-a", STRIDED, 847_842, 814_871, 384, 2564.3),
        ("stdnet", STRIDED, 1_264_521, 870_497, 256, 2080.3),
    ],
)
def test_sizes(name: str, options: dict[str, Any], training: int, merged: int, size: int, macs: float) -> None:
    network = create_model(name, **options)
    assert network.count_parameters() == training
    deployed = network.reparameterize()
    assert deployed.count_parameters() == merged
    assert round(count_macs(deployed, size, size) / 1e6, 1) == macs


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("sdnet", HALF, (49, 67)),  # odd sides are rounded down, as pooling does
        ("sdnet-bn", {"modalities": ["rgb", "rgbd"], **HALF}, (48, 66)),
        ("sdnet-a", HALF, (48, 64)),
        ("stdnet", {"frames": 3, "fine_planes": 16, **HALF}, (33, 50)),
        ("stdnet-causal", {"frames": 3, "fine_planes": 24}, (48, 64)),
        ("sdnet", STRIDED, (49, 67)),  # odd sides are rounded up
        ("stdnet-causal", {"frames": 3, **STRIDED}, (47, 63)),
    ],
)
def test_merged_form_is_exact(name: str, options: dict[str, Any], size: tuple[int, int]) -> None:
    network = build(name, width=12, **options)
    inputs = given(network, *size)
    with torch.no_grad():
        with network.unmerged():
            expected = network.logits(inputs)[0]
        merged = network.reparameterize()
        assert expected.shape[2:] == size and expected.std() > 1e-4
        assert_agree(merged.logits(inputs)[0], expected, network)
    assert create_model(name, **merged.build_options).state_dict().keys() == merged.state_dict().keys()
    if network.capabilities.stream:
        assert_agree(stepped(merged, inputs["clip"]), expected, network)


def stepped(network: Network, clip_BT3HW: torch.Tensor) -> torch.Tensor:
    state, maps = None, []
    with torch.no_grad():
        for frame in clip_BT3HW.unbind(1):
            logits, state = network.step(frame, state)
            maps.append(logits)
    return torch.stack(maps, 1).flatten(0, 1)


def test_a_second_picture_can_be_added_to_the_half_stem() -> None:
    source, network = build("sdnet", width=12, **HALF), build("sdnet", width=12, modalities=["rgb", "rgbt"], **HALF)
    state = fitted_channels(source.state_dict(), network.state_dict(), ["rgb"], ["rgb", "rgbt"])
    load_strict(network, state, "the source")
    inputs = given(network, 32, 32) | {"modality": torch.tensor([0, 2])}
    with torch.no_grad():
        assert_agree(network.logits(inputs)[0], source.logits({"image": inputs["image"]})[0], network)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("sdnet", {"stem": "half"}, "unknown stem 'half'; choose one of: full, space-to-depth, strided"),
        ("stdnet", {"fine_planes": 0}, "fine_planes must be 1 to 48"),
        ("stdnet", {"fine_planes": 64}, "fine_planes must be 1 to 48"),
    ],
)
def test_mistakes_are_refused(name: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        create_model(name, **options)


class OfStems(Network):
    """Every stem that works at half resolution, merged, and what brings its features back to the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.stems = nn.ModuleList(make_stem(kind, 3, 4, merged=True) for kind in STEMS if kind != "full")

    def forward(self, image_B3HW: torch.Tensor) -> list[torch.Tensor]:
        features = [stem(image_B3HW).mean(1, keepdim=True) for stem in self.stems]
        return [sum(resize_like(each, image_B3HW) for each in features)]


@pytest.mark.slow
def test_exports_agree(tmp_path: Path) -> None:
    """At odd sides, of which one stem rounds the half down and another up."""
    torch.manual_seed(0)
    network = OfStems().eval()
    card = describe(network, "sdnet", input_size=(64, 64))
    runtimes = ("onnx-fp32", "openvino-fp32")
    export(network, card, tmp_path / "w", runtimes, {})
    feeds = {key: value.numpy() for key, value in given(network, 63, 97).items()}
    with torch.no_grad():
        expected = network.maps(given(network, 63, 97))
    for runtime in runtimes:
        actual = open_backend(plan(tmp_path / "w", card, Request(runtime, "cpu"))).run(feeds).probability_BKhw
        assert_agree(actual, expected, 7)  # two stems, means and enlargements round, and a sum


@torch.inference_mode()
@pytest.mark.parametrize("stem", STEMS)
def test_other_shapes_stream_and_look_at_windows_too(stem: Stem) -> None:
    """A causal one frame by frame, from its first state; another a window's frame at a time."""
    torch.manual_seed(0)
    clip_1T3HW, size = torch.randn(1, 5, 3, 47, 65), (47, 65)
    shape = {"width": 12, "stem": stem, "fine_planes": 16}
    causal = create_model("stdnet-causal", **shape).eval().reparameterize()
    state = causal.first_state(1, size)
    for frame, expected_1HW in enumerate(causal(clip_1T3HW)[0]):
        logits_B1HW, state = causal.step(clip_1T3HW[:, frame], state)
        torch.testing.assert_close(logits_B1HW[0], expected_1HW, atol=1e-5, rtol=1e-4)
    network = create_model("stdnet", **shape).eval().reparameterize()
    window = [network.encode_frame(clip_1T3HW[:, frame]) for frame in range(5)]
    for frame, expected_1HW in enumerate(network(clip_1T3HW)[0]):
        torch.testing.assert_close(network.decode_frame(window, frame, size)[0], expected_1HW, atol=1e-5, rtol=1e-4)
