"""A fitted temperature recovers the one that was put in, and predictions use it on request."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from limelight import load
from limelight.deploy.calibration import Histogram, calibrate
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.imaging.geometry import tempered, to_picture
from limelight.models.card import Finish
from limelight.models.weights import CARD, read_card


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_again(temperature: float) -> None:
    """Masks are drawn with the maps' probabilities; then the maps are made too sure, or not sure enough."""
    rng = np.random.default_rng(0)
    true_NHW = rng.beta(0.4, 0.6, (8, 90, 90))
    masks_NHW = (rng.random(true_NHW.shape) < true_NHW).astype(np.float32)
    given_NHW = tempered(true_NHW, 1 / temperature)
    calibration = calibrate(zip(given_NHW, masks_NHW, strict=True))
    assert calibration.temperature == pytest.approx(temperature, rel=0.05)
    assert calibration.error_after < 0.01 and calibration.pixels == masks_NHW.size
    if temperature != 1:
        assert calibration.error_before > 4 * calibration.error_after
    np.testing.assert_allclose(tempered(given_NHW, temperature), true_NHW, atol=1e-6)


def test_the_error_is_the_distance_of_probability_and_frequency() -> None:
    histogram = Histogram()
    histogram.add(np.full((10, 10), 0.8), np.repeat([[1.0], [0.0]], 5, 0) * np.ones(10))
    assert histogram.calibration_error() == pytest.approx(0.3, abs=1e-3)


def test_predictions_are_tempered() -> None:
    """Certain pixels stay certain, the order of pixels stays, and without a temperature nothing changes."""
    map_hw = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    cooled = to_picture(map_hw, (3, 4), Finish(temperature=2.0))
    assert cooled.dtype == np.float32 and cooled[0, 0] == 0 and cooled[-1, -1] == 1
    assert (np.diff(cooled.ravel()) > 0).all() and cooled[0, 1] > map_hw[0, 1]
    np.testing.assert_array_equal(to_picture(map_hw, (3, 4), Finish()), map_hw)


def test_probabilities_are_calibrated_on_request(untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(untrained, tmp_path / "weights")
    card = read_card(untrained).derived(temperature=2.0)
    write_json(tmp_path / "weights" / CARD, card.model_dump(mode="json"))
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    plain, calibrated = (load(tmp_path / "weights", calibrated=wanted) for wanted in (False, True))
    map_HW = plain.predict([picture])[0].saliency_HW
    np.testing.assert_array_equal(map_HW, load(untrained).predict([picture])[0].saliency_HW)
    np.testing.assert_allclose(calibrated.predict([picture])[0].saliency_HW, tempered(map_HW, 2.0), atol=1e-6)
    assert calibrated.description.endswith(", calibrated, weights " + card.provenance.sha256[:12])
    with pytest.raises(UserError, match="these weights are not calibrated"):
        load(untrained, calibrated=True)
