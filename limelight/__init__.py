"""Large saliency models turned into small, fast, served ones.

from limelight import load
from limelight.imaging.images import read_image

saliency_HW = load("artifacts/sdnet-kd-deploy").predict([read_image("photo.jpg")])[0].saliency_HW
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from limelight.inference.predictor import OpenVocabularyPredictor, SaliencyPredictor

__version__ = "0.1.0"
__all__ = ["load"]


def load(source: "Path | str", **options: Any) -> "SaliencyPredictor | OpenVocabularyPredictor":
    """Open a set of weights; see `limelight.inference.predictor.load`, which is imported when this is called."""
    from limelight.inference.predictor import load as load_weights

    return load_weights(source, **options)
