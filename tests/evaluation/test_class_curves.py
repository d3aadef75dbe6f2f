"""Curves of classes' own maps, against plain counting."""

import numpy as np
import pytest

from limelight.evaluation.class_curves import level_counts, mean_curves


def test_curves_equal_plain_counting() -> None:
    generator = np.random.default_rng(0)
    images = [(generator.random((3, 6, 5), np.float32), generator.integers(-1, 3, (6, 5))) for _ in range(4)]
    actual = mean_curves(sum(level_counts(*image) for image in images))
    for index in (0, 100, 255):
        precision, recall = [], []
        for label in (1, 2):  # the third class is nowhere
            maps = [((maps[label - 1] * 255).astype(int), truth) for maps, truth in images]
            hits = sum(((level >= 255 - index) & (truth == label)).sum() for level, truth in maps)
            called = sum(((level >= 255 - index) & (truth >= 0)).sum() for level, truth in maps)
            precision.append(hits / max(called, 1))
            recall.append(hits / sum((truth == label).sum() for _, truth in maps))
        np.testing.assert_allclose(actual["precision"][index], np.mean(precision))
        np.testing.assert_allclose(actual["recall"][index], np.mean(recall))
    assert actual["recall"][255] == 1 and np.all(np.diff(actual["recall"]) >= 0) and actual["f"].max() <= 1


def test_a_map_that_is_right_has_f_of_one() -> None:
    truth = np.array([[0, 1], [2, 2]])
    counts = level_counts(np.stack([truth == 1, truth == 2]).astype(np.float32), truth)
    assert mean_curves(counts)["f"].max() == 1


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_curves_of_a_truth_that_shows_no_class_are_0() -> None:
    curves = mean_curves(level_counts(np.full((2, 2, 2), 0.5, np.float32), np.array([[0, 0], [-1, 0]])))
    assert curves.keys() == {"precision", "recall", "f"}
    assert all(curve.tolist() == [0] * 256 for curve in curves.values())
