"""How often which class was taken for which, and the figures that follow from it.

Labels are those of `limelight.data.classes`: 1 to the number of classes C, 0 background, -1 void, which is ignored.
"""

import numpy as np
from numpy.typing import NDArray

Confusion = NDArray[np.int64]
"""(C + 1, C + 1) pixels: rows by the truth, columns by the prediction, 0 the background."""
Counts = NDArray[np.int64]
"""(3, C + 1) pixels of each label: rightly predicted, in the truth, predicted. Every figure follows from these alone,
and of an image they are few enough to be kept."""


def label_map(probability_KHW: NDArray[np.float32], threshold: float) -> NDArray[np.int16]:
    """The most probable class of each pixel, the first of equals; background where none reaches the threshold.

    Args:
        probability_KHW: in [0, 1], one map per class.
        threshold: 0 leaves no background.
    """
    labels_HW = probability_KHW.argmax(0).astype(np.int16) + np.int16(1)
    labels_HW[probability_KHW.max(0) < threshold] = 0
    return labels_HW


def confusion_matrix(labels_HW: NDArray[np.integer], truth_HW: NDArray[np.integer], classes: int) -> Confusion:
    """Count the pixels of one or more maps whose truth is known.

    Args:
        labels_HW: predicted, 0 to `classes`, any shape.
        truth_HW: of the same shape; -1 does not count.
    """
    known = truth_HW >= 0
    size = classes + 1
    pairs = truth_HW[known].astype(np.int64) * size + labels_HW[known]
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def counts_of(confusion: Confusion) -> Counts:
    """The diagonal, the sums of the rows and those of the columns."""
    return np.stack([confusion.diagonal(), confusion.sum(1), confusion.sum(0)])


def class_iou(confusion: Confusion) -> NDArray[np.float64]:
    """Intersection over union of each label from 0, true positives / (true + false positives + misses).

    NaN where a label is neither in the truth nor predicted.
    """
    return _class_iou(counts_of(confusion))


def mean_iou(confusion: Confusion, labels: list[int]) -> float:
    """The mean over those of these labels that are in the truth; NaN where none is.

    A class that the truth does not show has no IoU but 0, however good the prediction, and would only count mistakes
    that other classes' IoU counts already.
    """
    return _mean_iou(counts_of(confusion), labels)


def figures(counts: Counts, trained: NDArray[np.bool_] | None, background: bool) -> dict[str, float]:
    """The figures that the field quotes, of a whole dataset's counts; without those that are not defined.

    Args:
        trained: (C,) whether training named the class; None where nobody knows.
        background: whether the dataset has one.

    Returns:
        mIoU: mean over the classes that the truth shows; mIoU_background: with the background as one more, as PASCAL
        VOC counts; mIoU_seen and mIoU_unseen: of the classes trained and not trained; pixel_accuracy: share of the
        known pixels that are right, background included; mean_accuracy: mean over the classes of the share found.
    """
    classes = list(range(1, counts.shape[1]))
    found, total, _ = counts
    shown = [label for label in classes if total[label]]
    values = {
        "mIoU": _mean_iou(counts, classes),
        "mIoU_background": _mean_iou(counts, [0, *classes]) if background else np.nan,
        "pixel_accuracy": found.sum() / total.sum() if total.sum() else np.nan,
        "mean_accuracy": (found[shown] / total[shown]).mean() if shown else np.nan,
    }
    if trained is not None:
        values["mIoU_seen"] = _mean_iou(counts, [label for label in classes if trained[label - 1]])
        values["mIoU_unseen"] = _mean_iou(counts, [label for label in classes if not trained[label - 1]])
    return {name: float(value) for name, value in values.items() if not np.isnan(value)}


def _class_iou(counts: Counts) -> NDArray[np.float64]:
    hits, true, found = counts
    union = true + found - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def _mean_iou(counts: Counts, labels: list[int]) -> float:
    shown = [label for label in labels if counts[1, label]]
    return float(_class_iou(counts)[shown].mean()) if shown else float("nan")
