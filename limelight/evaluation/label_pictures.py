"""An image, its true and its predicted labels side by side, above a colour legend."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from limelight.imaging.geometry import nearest
from limelight.media.labels import tinted
from limelight.media.legend import strip

HEIGHT = 240
GAP = 4


def panel(
    image_HW3: NDArray[np.uint8],
    truth_HW: NDArray[np.integer],
    labels_HW: NDArray[np.integer],
    names: Sequence[str],
    note: str,
) -> NDArray[np.uint8]:
    """Draw picture, truth and prediction side by side above a strip with the legend and `note`; uint8 RGB."""
    height, width = truth_HW.shape
    size = HEIGHT, max(round(width * HEIGHT / height), 60)
    interpolation = cv2.INTER_AREA if height > HEIGHT else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(image_HW3, size[::-1], interpolation=interpolation), np.uint8)
    truth, predicted = (nearest(labels.astype(np.int16), size) for labels in (truth_HW, labels_HW))
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    row = np.hstack([image, gap, tinted(image, truth), gap, tinted(image, predicted)])
    shown = [int(label) for label in np.union1d(truth, predicted) if label > 0]
    return np.vstack([row, strip(row.shape[1], [(label, names[label - 1]) for label in shown], note)])
