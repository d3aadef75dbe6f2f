"""Maps averaged with those of the mirror image: in every way to run, a picture and its mirror image get equal ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from limelight.deploy.inference_form import export_weights
from limelight.inference.backends.backend import Maps
from limelight.inference.backends.flipped import _mean
from limelight.inference.loading import load
from limelight.inference.saliency import SaliencyPredictor
from limelight.models.registry import create_model
from limelight.models.weights import save_weights


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def mirrored(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[:, ::-1])


def opened(folder: Path, **options: object) -> SaliencyPredictor:
    predictor = load(folder, device="cpu", **options)
    assert isinstance(predictor, SaliencyPredictor)
    return predictor


def map_of(predictor: SaliencyPredictor, *given: np.ndarray) -> np.ndarray:
    image_HW3, *companion = given
    return predictor.predict([image_HW3], companion or None)[0].saliency_HW


@pytest.mark.parametrize("runtime", ["torch", "openvino-fp32"])
def test_it_is_the_mean_of_both_logits(small: Path, tmp_path: Path, runtime: str) -> None:
    export_weights(small, tmp_path / "w", [runtime] if runtime != "torch" else [], None)
    image_HW3 = noise(64, 64, 3)
    plain, flip = (opened(tmp_path / "w", runtime=runtime, flip=wanted) for wanted in (False, True))
    expected_HW = expit((logit(map_of(plain, image_HW3)) + logit(mirrored(map_of(plain, mirrored(image_HW3))))) / 2)
    np.testing.assert_allclose(map_of(flip, image_HW3), expected_HW, atol=1e-5)
    assert np.abs(map_of(plain, image_HW3) - expected_HW).max() > 1e-3, "the network sees no difference"
    assert ", with mirror images, weights " in flip.description


def test_opposite_maps_cancel_and_uncertainties_are_mirrored() -> None:
    one, other = (
        Maps(np.float32([[[probabilities]]]), np.float32([[[uncertainties]]]))
        for probabilities, uncertainties in (([0, 0.2], [0.1, 0.3]), ([0.2, 1], [0.3, 0.1]))
    )
    mean = _mean(one, other)
    np.testing.assert_allclose(mean.probability_BKhw[0, 0, 0], [0.5, 0.2], atol=1e-5)
    np.testing.assert_allclose(mean.uncertainty_BKhw[0, 0, 0], [0.1, 0.3], atol=1e-6)


def test_companions_are_mirrored_too(taking: Callable[..., Path]) -> None:
    predictor = opened(taking("rgb", "rgbd"), flip=True)
    given = noise(50, 70, 3), noise(50, 70)
    found_HW = map_of(predictor, *given)
    np.testing.assert_allclose(map_of(predictor, *map(mirrored, given)), mirrored(found_HW), atol=1e-5)
    assert np.abs(map_of(predictor, given[0]) - found_HW).max() > 1e-3, "the companion counts"


@pytest.mark.parametrize("name", ["stdnet", "stdnet-causal"])
def test_clips_are_mirrored_frame_by_frame(tmp_path: Path, name: str) -> None:
    """Of windows, windows that share work, and streams, the last frame is that of the whole clip."""
    network = create_model(name, width=12, frames=3).eval()
    save_weights(tmp_path / "w", network, name=name, input_size=(48, 64))
    predictor = opened(tmp_path / "w", flip=True)
    frames = list(noise(3, 40, 56, 3))
    clip = [each.saliency_HW for each in predictor.predict_clip(frames)]
    other = [each.saliency_HW for each in predictor.predict_clip([mirrored(frame) for frame in frames])]
    for one_HW, other_HW in zip(clip, other, strict=True):
        np.testing.assert_allclose(mirrored(other_HW), one_HW, atol=1e-5)
    if predictor.windows:
        window = [predictor.encode_frame(frame) for frame in frames]
        last_HW = predictor.decode_frame(window, 2).saliency_HW
    else:
        state = None
        for frame in frames:
            found, state = predictor.predict_next(frame, state)
        last_HW = found.saliency_HW
    np.testing.assert_allclose(last_HW, clip[-1], atol=1e-5)
