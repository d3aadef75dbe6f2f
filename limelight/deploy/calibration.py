"""Temperature scaling (Guo et al., ICML 2017): probabilities that are as often right as they say.

Maps are divided by one number as logits, fitted on pictures that the network was not trained on. What ranks first stays
first: measures over all thresholds do not change.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit

from limelight.imaging.feeds import Feeds, single_rows
from limelight.models.base import Network

BINS = 15
_LEVELS, _MAX_LOGIT = 3200, 16.0
"""Steps that logits are counted in before the fit, from -16 to 16: nearer to 0 or 1 float32 has no probabilities."""
_RANGE = (0.25, 4.0)


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and what it won on the same pictures."""

    temperature: float
    error_before: float
    """Expected calibration error, in [0, 1]: the mean distance between probability and frequency over 15 bins."""
    error_after: float
    pixels: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class Histogram:
    """Counts of pixels by logit, and of the salient ones among them; masks may be soft."""

    logits_L = ((np.arange(_LEVELS) + 0.5) / _LEVELS * 2 - 1) * _MAX_LOGIT
    """Of the middle of each level."""

    def __init__(self) -> None:
        self.pixels_L, self.salient_L = np.zeros(_LEVELS), np.zeros(_LEVELS)

    def add(self, probability: np.ndarray, truth: np.ndarray) -> None:
        """Count the pixels of maps and masks of one shape, both in [0, 1]."""
        with np.errstate(divide="ignore"):
            logits = np.log(probability.ravel()) - np.log1p(-probability.ravel())
        share = (np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT) + _MAX_LOGIT) / (2 * _MAX_LOGIT)
        places = np.minimum((share * _LEVELS).astype(np.int64), _LEVELS - 1)
        self.pixels_L += np.bincount(places, minlength=_LEVELS)
        self.salient_L += np.bincount(places, truth.ravel(), _LEVELS)

    def calibration_error(self, temperature: float = 1.0) -> float:
        """Expected calibration error of the maps at a temperature, over bins of equal width."""
        probability_L = expit(self.logits_L / temperature)
        bins_L = np.minimum((probability_L * BINS).astype(np.int64), BINS - 1)
        gap_B = np.bincount(bins_L, probability_L * self.pixels_L - self.salient_L, BINS)
        return float(np.abs(gap_B).sum() / self.pixels_L.sum())

    def cross_entropy(self, temperature: float) -> float:
        """Mean cross-entropy of a pixel at a temperature, nats."""
        cooled_L, other_L = self.logits_L / temperature, self.pixels_L - self.salient_L
        total = self.salient_L @ np.logaddexp(0, -cooled_L) + other_L @ np.logaddexp(0, cooled_L)
        return float(total / self.pixels_L.sum())


def calibrate(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Calibration:
    """Fit the temperature that makes the masks most probable.

    Args:
        pairs: maps and masks, in [0, 1], of one shape each.
    """
    histogram = Histogram()
    for probability, truth in pairs:
        histogram.add(probability, truth)
    fitted = minimize_scalar(
        lambda logarithm: histogram.cross_entropy(np.exp(logarithm)), bounds=np.log(_RANGE), method="bounded"
    )
    temperature = round(float(np.exp(fitted.x)), 4)
    return Calibration(
        temperature,
        histogram.calibration_error(),
        histogram.calibration_error(temperature),
        int(histogram.pixels_L.sum()),
    )


def calibrate_network(model: Network, feeds: Feeds, masks_NHW: np.ndarray) -> Calibration:
    """Fit the temperature of a saliency network on pictures and their masks, at the network's input size."""
    rows = zip(single_rows(feeds), masks_NHW, strict=True)
    with torch.inference_mode():
        return calibrate(
            (model.maps({name: torch.from_numpy(array) for name, array in row.items()})[0, 0].numpy(), mask_HW)
            for row, mask_HW in rows
        )
