"""Predictors that bring borders to edges: by the weights' card, by request, at every size that results have."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from limelight import load
from limelight.imaging.guided import guided
from limelight.inference.saliency import SaliencyPredictor
from limelight.models import create_model
from limelight.models.weights import save_weights


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    network = create_model("sdnet", width=8).eval()
    save_weights(tmp_path / "w", network, name="sdnet", input_size=(64, 64), finish={"guided_radius": 2})
    return tmp_path / "w"


def opened(folder: Path, **options: object) -> SaliencyPredictor:
    predictor = load(folder, device="cpu", **options)
    assert isinstance(predictor, SaliencyPredictor)
    return predictor


def picture(height: int = 90, width: int = 120) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_the_card_s_radius_is_used_and_a_request_replaces_it(weights: Path) -> None:
    own, none, wider = opened(weights), opened(weights, guided=0), opened(weights, guided=5)
    assert "borders at edges" in own.description and "edges" not in none.description
    (network,) = none.predict([picture()], output_processing_res=True)
    for predictor, radius in ((own, 2), (wider, 5)):
        expected_HW = guided(network.saliency_HW, picture(), radius)
        np.testing.assert_allclose(predictor.predict([picture()])[0].saliency_HW, expected_HW, atol=1e-5)


def test_results_of_the_network_s_size_are_guided_by_a_picture_of_that_size(weights: Path) -> None:
    (network,) = opened(weights, guided=0).predict([picture()], output_processing_res=True)
    (found,) = opened(weights).predict([picture()], output_processing_res=True)
    small_hw3 = cv2.resize(picture(), (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(found.saliency_HW, guided(network.saliency_HW, small_hw3, 2), atol=1e-5)


def test_tiles_are_guided_at_the_picture_s_own_resolution(weights: Path) -> None:
    (plain,) = opened(weights, guided=0, high_resolution=True).predict([picture()])
    (found,) = opened(weights, high_resolution=True).predict([picture()])
    np.testing.assert_allclose(found.saliency_HW, guided(plain.saliency_HW, picture(), 2), atol=1e-5)


def test_frames_of_streams_are_as_those_of_clips(tmp_path: Path) -> None:
    network = create_model("stdnet-causal", width=8).eval()
    save_weights(tmp_path / "w", network, name="stdnet-causal", input_size=(64, 64), finish={"guided_radius": 1})
    predictor = opened(tmp_path / "w")
    frames = [picture(), picture()[::-1].copy(), picture()[:, ::-1].copy()]
    state, streamed = None, []
    for frame in frames:
        found, state = predictor.predict_next(frame, state)
        streamed.append(found.saliency_HW)
    np.testing.assert_allclose(streamed, [each.saliency_HW for each in predictor.predict_clip(frames)], atol=1e-4)
