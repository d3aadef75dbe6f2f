"""The saliency result of one picture."""

from dataclasses import dataclass

import numpy as np

from limelight.imaging.geometry import to_picture
from limelight.models.card import Finish
from limelight.models.inputs import Size


@dataclass(frozen=True)
class Prediction:
    """The saliency result of one picture."""

    saliency_HW: np.ndarray
    """float32 in [0, 1], at the picture's own size."""
    milliseconds: dict[str, float]
    """Time for this picture: 'pre' (resize, normalise), 'net' (its share of its batch), 'post' (resize back)."""
    uncertainty_HW: np.ndarray | None = None
    """float32 in [0, 0.5]: how much the ensemble's members differ. None without an ensemble."""


def prediction(
    probability_1hw: np.ndarray,
    uncertainty_1hw: np.ndarray | None,
    size: Size,
    milliseconds: dict[str, float],
    *,
    finish: Finish,
) -> Prediction:
    """Turn a network's map into a result at (height, width)."""
    contrast = float(np.ptp(probability_1hw))
    if finish.full_contrast and uncertainty_1hw is not None and contrast:  # rescaled as the map is
        uncertainty_1hw = np.minimum(uncertainty_1hw / contrast, 0.5)
    uncertainty_HW = None if uncertainty_1hw is None else to_picture(uncertainty_1hw[0], size)
    return Prediction(to_picture(probability_1hw[0], size, finish), milliseconds, uncertainty_HW)
