"""Confusion matrices of classes, and the metrics computed from them.

Labels are those of `limelight.data.classes`: 1 to the number of classes C, 0 background, -1 void, which is ignored.
"""

import numpy as np
from numpy.typing import NDArray

Confusion = NDArray[np.int64]
"""(C + 1, C + 1) pixels: rows by the truth, columns by the prediction, 0 the background."""
Counts = NDArray[np.int64]
"""(3, C + 1) pixels of each label: correctly predicted, in the truth, predicted. All metrics follow from these, and
they are small enough to keep for every image."""


def label_map(probability_KHW: NDArray[np.float32], threshold: float) -> NDArray[np.int16]:
    """Label each pixel with its most probable class, the first on ties; background where none reaches the threshold.

    Args:
        probability_KHW: in [0, 1], one map per class.
        threshold: 0 leaves no background.
    """
    labels_HW = probability_KHW.argmax(0).astype(np.int16) + np.int16(1)
    labels_HW[probability_KHW.max(0) < threshold] = 0
    return labels_HW


def confusion_matrix(labels_HW: NDArray[np.integer], truth_HW: NDArray[np.integer], classes: int) -> Confusion:
    """Count the pixels with known truth in one or more maps.

    Args:
        labels_HW: predicted, 0 to `classes`, any shape.
        truth_HW: of the same shape; -1 is ignored.
    """
    known = truth_HW >= 0
    size = classes + 1
    pairs = truth_HW[known].astype(np.int64) * size + labels_HW[known]
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def counts_of(confusion: Confusion) -> Counts:
    """Return the diagonal, the row sums and the column sums."""
    return np.stack([confusion.diagonal(), confusion.sum(1), confusion.sum(0)])


def class_iou(confusion: Confusion) -> NDArray[np.float64]:
    """Compute the intersection over union of each label from 0: true positives / (true + false positives + misses).

    NaN where a label is neither in the truth nor predicted.
    """
    return _class_iou(counts_of(confusion))


def mean_iou(confusion: Confusion, labels: list[int]) -> float:
    """Average the IoU over those of these labels that are in the truth; NaN where none is.

    A class absent from the truth can only have IoU 0, and would count mistakes that other classes' IoU counts already.
    """
    return _mean_iou(counts_of(confusion), labels)


def figures(counts: Counts, trained: NDArray[np.bool_] | None, background: bool) -> dict[str, float]:
    """Compute the usual segmentation metrics from a whole dataset's counts; undefined ones are omitted.

    Args:
        trained: (C,) whether training named the class; None where unknown.
        background: whether the dataset has a background label.

    Returns:
        mIoU: mean over the classes in the truth; mIoU_background: with the background as a further class, as PASCAL VOC
        counts; mIoU_seen and mIoU_unseen: over the classes in training and not in training; pixel_accuracy: fraction of
        the known pixels that are correct, background included; mean_accuracy: mean of the classes' recall.
    """
    classes = list(range(1, counts.shape[1]))
    correct, total, _ = counts
    shown = [label for label in classes if total[label]]
    values = {
        "mIoU": _mean_iou(counts, classes),
        "mIoU_background": _mean_iou(counts, [0, *classes]) if background else np.nan,
        "pixel_accuracy": correct.sum() / total.sum() if total.sum() else np.nan,
        "mean_accuracy": (correct[shown] / total[shown]).mean() if shown else np.nan,
    }
    if trained is not None:
        values["mIoU_seen"] = _mean_iou(counts, [label for label in classes if trained[label - 1]])
        values["mIoU_unseen"] = _mean_iou(counts, [label for label in classes if not trained[label - 1]])
    return {name: float(value) for name, value in values.items() if not np.isnan(value)}


def _class_iou(counts: Counts) -> NDArray[np.float64]:
    hits, true, predicted = counts
    union = true + predicted - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def _mean_iou(counts: Counts, labels: list[int]) -> float:
    shown = [label for label in labels if counts[1, label]]
    return float(_class_iou(counts)[shown].mean()) if shown else float("nan")
