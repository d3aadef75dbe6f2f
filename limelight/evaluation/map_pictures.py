"""Overlays of a saliency map's errors: true positives, false positives and misses, coloured over the picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from limelight.evaluation.sod import HALF, is_salient
from limelight.imaging.geometry import nearest

HIT, FALSE, MISSED = (0, 158, 115), (213, 94, 0), (86, 180, 233)
"""RGB: bluish green, vermilion and sky blue of Okabe and Ito, distinguishable with any colour vision."""
HEIGHT = 240
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def panel(
    image_HW3: NDArray[np.uint8], saliency_HW: NDArray[np.uint8], truth_HW: NDArray[np.uint8], note: str
) -> NDArray[np.uint8]:
    """Draw picture, map and overlay side by side above a strip with the legend and `note`; uint8 RGB."""
    height, width = truth_HW.shape
    size = max(round(width * HEIGHT / height), 60), HEIGHT
    image = _resized(image_HW3, size, cv2.INTER_AREA if height > HEIGHT else cv2.INTER_CUBIC)
    saliency = _resized(saliency_HW, size, cv2.INTER_LINEAR)
    truth = nearest(truth_HW, size[::-1])
    gap = np.full((HEIGHT, 4, 3), 255, np.uint8)
    row = np.hstack([image, gap, cv2.cvtColor(saliency, cv2.COLOR_GRAY2RGB), gap, overlay(image, saliency, truth)])
    return np.vstack([row, _strip(row.shape[1], note)])


def overlay(
    image_HW3: NDArray[np.uint8], saliency_HW: NDArray[np.uint8], truth_HW: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Turn the picture grey and tint hits, false alarms and misses; uint8 RGB. All have the same size."""
    called, salient = saliency_HW >= HALF, is_salient(truth_HW)
    grey = cv2.cvtColor(cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    tinted = grey.astype(np.uint8)
    for where, colour in ((called & salient, HIT), (called & ~salient, FALSE), (~called & salient, MISSED)):
        tinted[where] = (0.35 * grey[where] + 0.65 * np.array(colour)).astype(np.uint8)
    return tinted


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int], interpolation: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)


def _strip(width: int, note: str) -> NDArray[np.uint8]:
    strip = np.full((44, width, 3), 255, np.uint8)
    x = 6
    for colour, label in ((HIT, "hit"), (FALSE, "false alarm"), (MISSED, "missed")):
        cv2.rectangle(strip, (x, 7), (x + 10, 17), colour, -1)
        cv2.putText(strip, label, (x + 15, 16), _FONT, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
        x += 28 + cv2.getTextSize(label, _FONT, 0.4, 1)[0][0]
    cv2.putText(strip, f"map >= {HALF}", (x, 16), _FONT, 0.4, (110, 110, 110), 1, cv2.LINE_AA)
    scale = min(0.4, 0.4 * (width - 12) / cv2.getTextSize(note, _FONT, 0.4, 1)[0][0])
    cv2.putText(strip, note, (6, 36), _FONT, scale, (40, 40, 40), 1, cv2.LINE_AA)
    return strip
