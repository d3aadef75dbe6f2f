"""Streams: windows that slide with each frame, with and without what they share, against plain windows."""

import time
from collections.abc import Sequence
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pytest
import torch

from limelight.foundation.errors import UserError
from limelight.inference.loading import load
from limelight.inference.prediction import Prediction
from limelight.inference.saliency import SaliencyPredictor
from limelight.inference.stream import Stream
from limelight.models.registry import create_model
from limelight.models.sdnet.video.network import STDNet
from limelight.models.weights import save_weights
from tests.tolerance import assert_agree

FRAMES = 5


def trained(name: str, **options: object) -> STDNet:
    """A network of some statistics, so that its batch norms do something and its maps depend on the frames."""
    torch.manual_seed(0)
    network = create_model(name, width=12, frames=FRAMES, **options).eval()
    assert isinstance(network, STDNet)
    for key, value in network.named_buffers():
        if key.endswith("running_mean"):
            value.uniform_(-0.1, 0.1)
        elif key.endswith("running_var"):
            value.uniform_(0.1, 0.4)
    return network


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> SaliencyPredictor:
    folder = tmp_path_factory.mktemp("stream") / "w"
    save_weights(folder, trained("stdnet"), name="stdnet", input_size=(48, 64))
    loaded = load(folder, device="cpu")
    assert isinstance(loaded, SaliencyPredictor)
    return loaded


def frames(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 40, 56, 3), np.uint8))


def streamed(stream: Stream, images: list[np.ndarray]) -> list[Prediction]:
    return [each for image in images for each in stream.push(image)] + stream.flush()


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("name", ["stdnet", "stdnet-a"])
def test_a_frame_of_a_window_is_that_of_the_whole_clip(name: str, merged: bool) -> None:
    network = trained(name)
    network = network.reparameterize() if merged else network
    clips_BT3HW = torch.rand(2, 8, 3, 48, 80)
    with torch.no_grad():
        encoded = [network.encode_frame(clips_BT3HW[:, at]) for at in range(8)]
        for count in (1, 2, 5, 8):
            whole = network(clips_BT3HW[:, :count])[0].unflatten(0, (2, count))
            for place in range(count):
                logits = network.decode_frame(encoded[:count], place, (48, 80))
                assert_agree(logits, whole[:, place], network)


@pytest.mark.parametrize("look_ahead", range(FRAMES))
def test_a_sliding_window_is_each_window_computed_anew(predictor: SaliencyPredictor, look_ahead: int) -> None:
    images = frames(9)
    stream = Stream(predictor, look_ahead=look_ahead)
    assert predictor.windows and stream.look_ahead == look_ahead
    found = [each.saliency_HW for each in streamed(stream, images)]
    assert len(found) == 9
    for at, map_HW in enumerate(found):
        last = min(at + look_ahead, 8)
        first = max(0, last + 1 - FRAMES)
        expected = predictor.predict_clip(images[first : last + 1])[at - first]
        np.testing.assert_allclose(map_HW, expected.saliency_HW, atol=1e-5)


def test_frames_are_ready_as_soon_as_their_look_ahead_is_there(predictor: SaliencyPredictor) -> None:
    stream = Stream(predictor, look_ahead=2)
    assert [len(stream.push(image)) for image in frames(6)] == [0, 0, 1, 1, 1, 1]
    assert len(stream.flush()) == 2 and stream.flush() == []
    assert [len(stream.push(image)) for image in frames(3)] == [0, 0, 1]


def test_two_windows_are_worked_on_at_a_time(predictor: SaliencyPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    images = frames(13)
    expected = streamed(Stream(predictor), images)
    both, alone = Barrier(2, timeout=60), predictor.predict_clip

    def predict_clip(window: Sequence[np.ndarray]) -> list[Prediction]:
        if len(window) == FRAMES:  # the first two of three: each waits here until the other has begun
            both.wait()
        return alone(window)

    monkeypatch.setattr(predictor, "predict_clip", predict_clip)
    stream = Stream(predictor, overlapped=True)
    counts = [len(stream.push(image)) for image in images]
    assert counts == [0] * 9 + [5] + [0] * 3 and stream.look_ahead == 9
    assert len(stream.flush()) == 8 and stream.flush() == []
    both.reset()
    for actual, plain in zip(streamed(stream, images), expected, strict=True):
        np.testing.assert_array_equal(actual.saliency_HW, plain.saliency_HW)
    with pytest.raises(UserError, match="the frames of a clip differ in size"):
        streamed(stream, [*images[:3], np.zeros((40, 40, 3), np.uint8)])


def test_a_stream_that_is_closed_works_on_nothing(
    predictor: SaliencyPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = Event(), Event()

    def predict_clip(window: Sequence[np.ndarray]) -> list[Prediction]:
        begun.set()
        time.sleep(0.2)
        ended.set()
        return []

    monkeypatch.setattr(predictor, "predict_clip", predict_clip)
    stream = Stream(predictor, overlapped=True)
    for image in frames(FRAMES):
        stream.push(image)
    assert begun.wait(60)
    stream.close()
    assert ended.is_set() and stream.flush() == []


def test_smoothing_is_of_the_frames_that_are_answered(predictor: SaliencyPredictor) -> None:
    images = [frames(1)[0] // 2 + np.uint8(40 * at) for at in range(4)]
    plain = streamed(Stream(predictor, look_ahead=2), images)
    smooth = streamed(Stream(predictor, look_ahead=2, smoothing=0.5), images)
    assert np.ptp([each.saliency_HW for each in plain], axis=0).max() > 1e-3, "the maps differ"
    expected = (plain[0].saliency_HW + plain[1].saliency_HW) / 2
    np.testing.assert_allclose(smooth[1].saliency_HW, expected, atol=1e-6)
    expected = (smooth[1].saliency_HW + plain[2].saliency_HW) / 2  # of the map before as it was answered
    np.testing.assert_allclose(smooth[2].saliency_HW, expected, atol=1e-6)


@pytest.mark.parametrize(("name", "look_ahead"), [("stdnet", 2), ("stdnet-causal", None)])
def test_high_resolution_is_of_every_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, look_ahead: int | None
) -> None:
    """Of windows that share work, and of streams, too."""

    def brightness(image_HW3: np.ndarray, *of_the_map: object) -> np.ndarray:
        return image_HW3.mean(axis=2, dtype=np.float32) / 255

    monkeypatch.setattr("limelight.inference.predictor.refine", brightness)
    save_weights(tmp_path / "w", trained(name), name=name, input_size=(48, 64))
    predictor = load(tmp_path / "w", device="cpu", high_resolution=True)
    assert isinstance(predictor, SaliencyPredictor)
    for found, frame in zip(streamed(Stream(predictor, look_ahead=look_ahead), frames(4)), frames(4), strict=True):
        np.testing.assert_array_equal(found.saliency_HW, brightness(frame))
    with pytest.raises(UserError, match="high resolution is that of the picture, not the network's"):
        predictor.predict(frames(1), output_processing_res=True)


def test_mistakes_are_one_line(predictor: SaliencyPredictor) -> None:
    for wrong in (-1, FRAMES):
        with pytest.raises(UserError, match=f"of stdnet is 0 to 4 frames, got {wrong}; change it or leave it out"):
            Stream(predictor, look_ahead=wrong)
    stream = Stream(predictor, look_ahead=0)
    stream.push(frames(1)[0])
    with pytest.raises(UserError, match="the frames of a clip differ in size"):
        stream.push(np.zeros((40, 40, 3), np.uint8))


def test_a_causal_network_needs_no_later_frames(tmp_path: Path) -> None:
    network = trained("stdnet-causal")
    save_weights(tmp_path / "w", network, name="stdnet-causal", input_size=(48, 64))
    causal = load(tmp_path / "w", device="cpu")
    assert isinstance(causal, SaliencyPredictor) and causal.streams and not causal.windows
    assert Stream(causal, look_ahead=0).look_ahead == 0
    with pytest.raises(UserError, match="stdnet-causal sees one frame at a time; leave it out"):
        Stream(causal, look_ahead=3)
    with pytest.raises(NotImplementedError, match="has no windows"):
        network.decode_frame([network.encode_frame(torch.zeros(1, 3, 48, 64))], 0, (48, 64))
