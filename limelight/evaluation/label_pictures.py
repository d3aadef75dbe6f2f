"""Label maps as pictures: what an image shows, what was found in it, and what the colours mean."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from limelight.config import Evaluate
from limelight.data.manifest import Sample
from limelight.evaluation.plots import plot_confusion
from limelight.evaluation.semantic import WordScores, predicted_and_true
from limelight.imaging.images import read_image, write_png
from limelight.inference.predictor import OpenVocabularyPredictor
from limelight.media.labels import Picture, tinted
from limelight.media.legend import strip

HEIGHT = 240
GAP = 4


def panel(
    image_HW3: Picture,
    truth_HW: NDArray[np.integer],
    labels_HW: NDArray[np.integer],
    names: Sequence[str],
    note: str,
) -> Picture:
    """Picture, truth and prediction side by side over a strip with the legend and `note`; uint8 RGB."""
    height, width = truth_HW.shape
    size = HEIGHT, max(round(width * HEIGHT / height), 60)
    image = cv2.resize(image_HW3, size[::-1], interpolation=cv2.INTER_AREA if height > HEIGHT else cv2.INTER_CUBIC)
    truth, found = (
        cv2.resize(labels.astype(np.int16), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        for labels in (truth_HW, labels_HW)
    )
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    row = np.hstack([image, gap, tinted(image, truth), gap, tinted(image, found)])
    shown = [int(label) for label in np.union1d(truth, found) if label > 0]
    return np.vstack([row, strip(row.shape[1], [(label, names[label - 1]) for label in shown], note)])


def write_label_overlays(
    predictor: OpenVocabularyPredictor,
    samples: dict[str, Sample],
    settings: Evaluate,
    scores: WordScores,
    folder: Path | str,
    name: str,
) -> None:
    """Write settings.overlays pictures from the best image by mIoU over the median to the worst, and confusions.

    Files are called as those of `limelight.evaluation.overlays.write_overlays`, and <name>-confusion.png.
    """
    background = scores.classes.background
    names = [*(["background"] if background else []), *scores.classes.names]
    shown = scores.confusion[1 - background :, 1 - background :]
    plot_confusion(shown, names, name, Path(folder) / f"{name}-confusion.png")
    chosen = spread(scores, settings.overlays)
    for index, sample_id in enumerate(chosen, start=1):
        sample = samples[sample_id]
        found, truth = predicted_and_true(predictor, sample, settings.background)
        figure = scores.per_image[sample_id]["mIoU"]
        place = {1: "-best", len(chosen): "-worst"}.get(index, "-median" if index == (len(chosen) + 1) // 2 else "")
        picture = panel(
            read_image(sample.image), truth, found.labels_HW, scores.classes.names, f"{sample_id}   mIoU {figure:.3f}"
        )
        write_png(Path(folder) / f"{name}-{index}{place}.png", picture)


def spread(scores: WordScores, count: int) -> list[str]:
    """Ids of at most `count` images that show a class, evenly spaced over the ranking by mIoU, best first."""
    figures = {sample_id: own["mIoU"] for sample_id, own in scores.per_image.items() if "mIoU" in own}
    ranked = sorted(figures, key=lambda sample_id: (-figures[sample_id], sample_id))
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return [ranked[place] for place in places]
