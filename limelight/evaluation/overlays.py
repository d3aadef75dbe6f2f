"""Where a map is right and wrong: true positives, false positives and misses, coloured over the picture."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from limelight.data.manifest import Sample
from limelight.evaluation.metrics import Scores
from limelight.evaluation.protocol import to_8bit
from limelight.evaluation.sod import HALF
from limelight.evaluation.worker import read_truth
from limelight.imaging.images import write_png
from limelight.inference.pictures import read_sample
from limelight.inference.predictor import SaliencyPredictor

HIT, FALSE, MISSED = (0, 158, 115), (213, 94, 0), (86, 180, 233)
"""RGB: bluish green, vermilion and sky blue of Okabe and Ito, told apart with any colour vision."""
HEIGHT = 240
_FONT = cv2.FONT_HERSHEY_SIMPLEX

Picture = NDArray[np.uint8]


def write_overlays(
    predictor: SaliencyPredictor, samples: dict[str, Sample], count: int, scores: Scores, folder: Path | str, name: str
) -> None:
    """Write `count` pictures from the best image by MAE over the median to the worst.

    File names hold the place in the ranking but not the image, so that two revisions' pictures can be laid side by
    side: <name>-1-best.png, ..., <name>-<count>-worst.png.

    Args:
        samples: by sample id; those of `scores` are looked up.
    """
    chosen = spread(scores, count)
    for index, sample_id in enumerate(chosen, start=1):
        sample = samples[sample_id]
        image, companion, modality, *_ = read_sample(sample, predictor.card)
        (found,) = predictor.predict([image], [companion], modality=modality)
        saliency = to_8bit(found.saliency_HW)
        figures = scores.per_image[sample_id]
        note = f"{sample_id}   MAE {figures['mae']:.3f}   wF {figures['wFm']:.3f}"
        place = {1: "-best", len(chosen): "-worst"}.get(index, "-median" if index == (len(chosen) + 1) // 2 else "")
        write_png(Path(folder) / f"{name}-{index}{place}.png", panel(image, saliency, read_truth(sample.mask), note))


def spread(scores: Scores, count: int) -> list[str]:
    """Ids of at most `count` images, evenly spaced over the ranking by MAE, best first."""
    ranked = sorted(scores.per_image, key=lambda sample_id: (scores.per_image[sample_id]["mae"], sample_id))
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return [ranked[place] for place in places]


def panel(image_HW3: Picture, saliency_HW: Picture, truth_HW: Picture, note: str) -> Picture:
    """Picture, map and overlay side by side over a strip with the legend and `note`; uint8 RGB."""
    height, width = truth_HW.shape
    size = HEIGHT, max(round(width * HEIGHT / height), 60)
    image = cv2.resize(image_HW3, size[::-1], interpolation=cv2.INTER_AREA if height > HEIGHT else cv2.INTER_CUBIC)
    saliency = cv2.resize(saliency_HW, size[::-1], interpolation=cv2.INTER_LINEAR)
    truth = cv2.resize(truth_HW, size[::-1], interpolation=cv2.INTER_NEAREST)
    gap = np.full((HEIGHT, 4, 3), 255, np.uint8)
    row = np.hstack([image, gap, cv2.cvtColor(saliency, cv2.COLOR_GRAY2RGB), gap, overlay(image, saliency, truth)])
    return np.vstack([row, _strip(row.shape[1], note)])


def overlay(image_HW3: Picture, saliency_HW: Picture, truth_HW: Picture) -> Picture:
    """The picture in grey with hits, false alarms and misses tinted; uint8 RGB. All of one size."""
    called, salient = saliency_HW >= HALF, truth_HW > 128
    grey = cv2.cvtColor(cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    tinted = grey.copy()
    for where, colour in ((called & salient, HIT), (called & ~salient, FALSE), (~called & salient, MISSED)):
        tinted[where] = (0.35 * grey[where] + 0.65 * np.array(colour)).astype(np.uint8)
    return tinted


def _strip(width: int, note: str) -> Picture:
    strip = np.full((44, width, 3), 255, np.uint8)
    x = 6
    for colour, what in ((HIT, "hit"), (FALSE, "false alarm"), (MISSED, "missed")):
        cv2.rectangle(strip, (x, 7), (x + 10, 17), colour, -1)
        cv2.putText(strip, what, (x + 15, 16), _FONT, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
        x += 28 + cv2.getTextSize(what, _FONT, 0.4, 1)[0][0]
    cv2.putText(strip, f"map >= {HALF}", (x, 16), _FONT, 0.4, (110, 110, 110), 1, cv2.LINE_AA)
    scale = min(0.4, 0.4 * (width - 12) / cv2.getTextSize(note, _FONT, 0.4, 1)[0][0])
    cv2.putText(strip, note, (6, 36), _FONT, scale, (40, 40, 40), 1, cv2.LINE_AA)
    return strip
