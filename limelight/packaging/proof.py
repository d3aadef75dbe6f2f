"""Check of a running service: its answers compared with local predictions from the same weights."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import httpx
import numpy as np

from limelight.config import TaskName
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import encode
from limelight.imaging.images import read_image
from limelight.tasks import task_of

if TYPE_CHECKING:
    from limelight.inference.open_vocabulary import OpenVocabularyPredictor
    from limelight.inference.saliency import SaliencyPredictor

ROUNDING = 1.01 / 255
"""Largest difference allowed in a map: rounding to 8 bits, and threads adding in another order."""
TIES = 0.005
"""Largest share of pixels allowed to have another label: two equally probable classes may swap."""


def served_difference(url: str, folder: Path, runtime: str) -> float:
    """Compare a service with its weights: the largest difference of a map in [0, 1], or the share of other labels.

    Raises:
        UserError: the difference exceeds the task's limit.
    """
    from limelight.inference.loading import load

    predictor = load(folder, runtime=runtime)
    measure, limit = PROOFS[task_of(predictor.card).name]
    difference = measure(url, predictor)
    if difference > limit:
        served = _post(f"{url}/describe", json={}).json()
        raise UserError(
            f"the bento ({served['description']}) differs by {difference:.3g} from {folder}; it does not "
            "hold these weights"
        )
    return round(difference, 6)


def _map(url: str, predictor: "SaliencyPredictor") -> float:
    image = _disc((40, 60, 90), (220, 160, 40))
    files = {"image": ("image.png", encode(image))}
    companion = modality = None
    if predictor.card.architecture.companions:
        companion, modality = _disc(60, 180), predictor.card.architecture.companions[0]
        files["companion"] = ("companion.png", encode(companion))
    expected_HW = predictor.predict([image], [companion], modality=modality)[0].saliency_HW
    data = {"modality": modality} if modality else {}
    served_HW = read_image(_post(f"{url}/predict", files=files, data=data).content)[..., 0] / 255
    return float(np.abs(served_HW - expected_HW).max())


def _labels(url: str, predictor: "OpenVocabularyPredictor") -> float:
    from PIL import Image

    image, names = _disc((40, 60, 90), (220, 160, 40)), predictor.card.use.classes[:3] or ("thing", "ground")
    expected_HW = predictor.predict([image], names, background=0.0)[0].labels_HW
    data = {"classes": json.dumps(names), "background": "0"}
    answer = _post(f"{url}/segment", files={"image": ("image.png", encode(image))}, data=data)
    with Image.open(io.BytesIO(answer.content)) as served:
        return float(np.mean(np.asarray(served) != expected_HW))


def _disc(ground: int | tuple[int, ...], colour: int | tuple[int, ...]) -> np.ndarray:
    shape = (96, 128) if isinstance(ground, int) else (96, 128, 3)
    picture = np.full(shape, ground, np.uint8)
    return cv2.circle(picture, (70, 50), 24, colour, thickness=-1)


def _post(url: str, **content: Any) -> httpx.Response:
    return httpx.post(url, **content, timeout=60, trust_env=False).raise_for_status()  # past the environment's proxy


PROOFS: dict[TaskName, tuple[Callable[[str, Any], float], float]] = {
    "saliency": (_map, ROUNDING),
    "open-vocabulary": (_labels, TIES),
}
"""Task -> function that measures the difference between a service and a predictor, and the largest allowed."""
