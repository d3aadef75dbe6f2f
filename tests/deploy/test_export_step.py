"""The step of a causal network as an export: a stream without PyTorch, equal to the network's own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limelight.config import Deploy
from limelight.deploy.export import export
from limelight.deploy.parity import measure_parity, plot_parity
from limelight.imaging.feeds import Feeds, picture_feeds
from limelight.inference.backends.onnx import OnnxBackend
from limelight.inference.loading import load
from limelight.inference.saliency import SaliencyPredictor
from limelight.inference.stream import Stream
from limelight.models.registry import create_model
from limelight.models.sdnet.video.network import STDNet
from limelight.models.weights import read_card, save_weights
from tests.tolerance import assert_agree, assert_runtime_agrees

SIZE = (32, 48)
ACCURACY_IS_NO_MATTER = {"max_mae_change": 1.0, "max_f_change": 1.0}
"""Of noise, where any two maps differ in it."""


def network() -> STDNet:
    torch.manual_seed(0)
    made = create_model("stdnet-causal", width=8).eval().reparameterize()
    assert isinstance(made, STDNet)
    return made


def test_a_state_of_zeros_begins_a_stream() -> None:
    """Row by row: one stream may begin while another goes on."""
    made, clips_BT3HW = network(), torch.rand(2, 4, 3, *SIZE)
    state = made.first_state(2, SIZE)
    with torch.no_grad():
        plain_logits, plain_state = made.step(clips_BT3HW[:, 0])
        logits, after = made.step(clips_BT3HW[:, 0], state)
        assert_agree(logits, plain_logits, made)
        assert state.keys() == after.keys() and {*after} - {*plain_state} == {"begun"}
        assert all(after[name].shape == tensor.shape for name, tensor in state.items())
        after["begun"][1] = 0
        mixed, _ = made.step(clips_BT3HW[:, 1], after)
        assert_agree(mixed[:1], made.step(clips_BT3HW[:1, 1], {k: v[:1] for k, v in plain_state.items()})[0], made)
        assert_agree(mixed[1:], made.step(clips_BT3HW[1:, 1])[0], made)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package, reason="the extra `export` is not installed")
    folder = tmp_path_factory.mktemp("step") / "w"
    made = network()
    card = save_weights(folder, made, name="stdnet-causal", input_size=SIZE, form="merged")
    export(made, card, folder, ["onnx-fp32", "openvino-fp32"], {})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx-fp32", "openvino-fp32", "openvino-bf16"])
def test_an_export_streams_as_the_network_does(folder: Path, runtime: str) -> None:
    own, exported = load(folder, device="cpu"), load(folder, runtime=runtime)
    assert isinstance(own, SaliencyPredictor) and isinstance(exported, SaliencyPredictor)
    assert exported.streams
    frames = list(np.random.default_rng(0).integers(0, 256, (6, 40, 60, 3), np.uint8))
    one, other, late = Stream(own), Stream(exported), Stream(exported)
    assert other.look_ahead == 0
    for at, image_HW3 in enumerate(frames):
        (expected,), (found,) = one.push(image_HW3), other.push(image_HW3)
        if at:
            late.push(frames[0])  # another stream of the same predictor has a state of its own
        assert_runtime_agrees(runtime, found.saliency_HW, expected.saliency_HW, "stdnet-causal")


@pytest.mark.slow
def test_a_state_that_was_used_is_refused(folder: Path) -> None:
    """Only by OpenVINO, which keeps the frames before in itself."""
    predictor = load(folder, runtime="openvino-fp32")
    assert isinstance(predictor, SaliencyPredictor)
    frame_HW3 = np.zeros((40, 60, 3), np.uint8)
    _, state = predictor.predict_next(frame_HW3)
    predictor.predict_next(frame_HW3, state)
    with pytest.raises(ValueError, match="good for one call"):
        predictor.predict_next(frame_HW3, state)


@pytest.mark.slow
def test_at_another_size_it_takes_windows(folder: Path) -> None:
    other = load(folder, runtime="onnx-fp32", size=64)
    assert isinstance(other, SaliencyPredictor)
    assert not other.streams and Stream(other).look_ahead == 7


def pictures(folder: Path, count: int) -> tuple[Feeds, np.ndarray]:
    """Noise as the network's inputs, and masks."""
    source = np.random.default_rng(0)
    images = list(source.integers(0, 256, (count, *SIZE, 3), np.uint8))
    feeds = picture_feeds(images, [None] * count, ["rgb"] * count, read_card(folder), SIZE)
    return feeds, (source.random((count, *SIZE)) > 0.5).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 10])
def test_parity_is_measured_of_the_step_as_well(folder: Path, count: int, tmp_path: Path) -> None:
    parity = measure_parity(folder, ["onnx-fp32", "openvino-fp32", "openvino-bf16"], *pictures(folder, count))
    assert [name for name, _, _ in parity.exports] == [
        "onnx-fp32", "openvino-fp32", "openvino-bf16", "onnx-fp32 step", "openvino-fp32 step", "openvino-bf16 step"
    ]  # fmt: skip
    for name in ("onnx-fp32", "openvino-fp32"):
        step = parity.steps[name]
        assert step.max_probability_difference < 1e-4 and abs(step.mae_change) < 1e-4
        assert 0 < step.megabytes < parity.runtimes[name].megabytes
    assert parity.steps["openvino-fp32"].megabytes == parity.steps["openvino-bf16"].megabytes
    assert parity.violations(Deploy(**ACCURACY_IS_NO_MATTER)) == []
    assert parity.as_dict()["steps"].keys() == parity.steps.keys()
    plot_parity(parity, Deploy(), tmp_path / "parity.png")


@pytest.mark.slow
def test_a_step_that_loses_its_state_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The maps of windows alone would not show it."""
    step = OnnxBackend.step
    monkeypatch.setattr(OnnxBackend, "step", lambda self, image_13HW, state: step(self, image_13HW, None))
    parity = measure_parity(folder, ["onnx-fp32", "openvino-fp32"], *pictures(folder, 3))
    (problem,) = parity.violations(Deploy(max_probability_difference=1e-4, **ACCURACY_IS_NO_MATTER))
    assert problem.startswith("onnx-fp32 step: probability difference ")
    assert problem.endswith("exceeds deploy.max_probability_difference 0.0001")
