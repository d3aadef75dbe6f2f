"""Confusions of classes, counted by hand and by plain loops."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_jaccard_index

from limelight.evaluation.confusion import class_iou, confusion_matrix, counts_of, figures, label_map, mean_iou
from limelight.evaluation.label_pictures import panel
from limelight.evaluation.plots import plot_confusion
from limelight.imaging.images import read_image
from limelight.inference.segment import most_probable
from limelight.media.labels import colour, tinted

TRUTH = np.array([[0, 1, 1, -1], [2, 2, 1, -1]])
PREDICTED = np.array([[0, 1, 2, 1], [2, 0, 1, 3]])


def test_a_matrix_counted_by_hand() -> None:
    matrix = confusion_matrix(PREDICTED, TRUTH, 3)
    assert matrix.tolist() == [[1, 0, 0, 0], [0, 2, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    iou = class_iou(matrix)
    assert iou[:3].tolist() == [1 / 2, 2 / 3, 1 / 3] and np.isnan(iou[3])


def test_figures_counted_by_hand() -> None:
    actual = figures(counts_of(confusion_matrix(PREDICTED, TRUTH, 3)), np.array([True, False, True]), background=True)
    assert actual == pytest.approx(
        {
            "mIoU": (2 / 3 + 1 / 3) / 2,
            "mIoU_background": (1 / 2 + 2 / 3 + 1 / 3) / 3,
            "mIoU_seen": 2 / 3,
            "mIoU_unseen": 1 / 3,
            "pixel_accuracy": 4 / 6,
            "mean_accuracy": (2 / 3 + 1 / 2) / 2,
        }
    )


def test_figures_that_are_not_defined_are_left_out() -> None:
    trained = np.array([True, True])
    assert figures(counts_of(confusion_matrix(np.array([1]), np.array([-1]), 2)), trained, background=True) == {}
    known = figures(counts_of(confusion_matrix(np.array([1, 0]), np.array([1, 1]), 2)), trained, background=False)
    assert known.keys() == {"mIoU", "mIoU_seen", "pixel_accuracy", "mean_accuracy"}
    assert known["mIoU"] == 0.5


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_matrix_equals_plain_counting(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    truth, predicted = generator.integers(-1, classes + 1, (5, 7)), generator.integers(0, classes + 1, (5, 7))
    matrix = confusion_matrix(predicted.astype(np.int16), truth.astype(np.int16), classes)
    for row in range(classes + 1):
        for column in range(classes + 1):
            assert matrix[row, column] == ((truth == row) & (predicted == column)).sum()
    for label, iou in enumerate(class_iou(matrix)):
        known = truth >= 0
        union = (((truth == label) | (predicted == label)) & known).sum()
        expected = ((truth == label) & (predicted == label) & known).sum() / union if union else np.nan
        np.testing.assert_allclose(iou, expected)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_iou_is_torchmetrics(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    truth, predicted = generator.integers(-1, classes + 1, (9, 7)), generator.integers(0, classes + 1, (9, 7))
    truth[0, : classes + 1] = np.arange(classes + 1)  # where the two agree on what counts
    expected = multiclass_jaccard_index(
        torch.from_numpy(predicted), torch.from_numpy(truth), classes + 1, average="none", ignore_index=-1
    )
    np.testing.assert_allclose(class_iou(confusion_matrix(predicted, truth, classes)), expected, atol=1e-6)


def test_whether_a_class_was_trained_may_be_unknown() -> None:
    counts = counts_of(confusion_matrix(np.array([1, 0]), np.array([1, 1]), 2))
    assert figures(counts, None, background=False).keys() == {"mIoU", "pixel_accuracy", "mean_accuracy"}


def test_a_diagram_writes_any_name(tmp_path: Path) -> None:
    names = ["background", "лодка", "\U00020000", "$a_{b$"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what matplotlib says of letters that a font lacks
        plot_confusion(np.eye(4, dtype=np.int64), names, "any", tmp_path / "any.png")
    assert read_image(tmp_path / "any.png").shape[0] > 100


def test_parts_add_up() -> None:
    whole = confusion_matrix(PREDICTED, TRUTH, 3)
    halves = sum(confusion_matrix(predicted, truth, 3) for predicted, truth in zip(PREDICTED, TRUTH, strict=True))
    assert np.array_equal(whole, halves)


def test_a_class_that_the_truth_does_not_show_is_not_averaged() -> None:
    matrix = confusion_matrix(np.array([1, 2]), np.array([1, 1]), 2)
    assert mean_iou(matrix, [1, 2]) == 0.5
    assert np.isnan(mean_iou(matrix, [2]))


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, [[1, 0, 2]]), (0.0, [[1, 1, 2]]), (0.95, [[0, 0, 0]])])
def test_the_most_probable_class_wins_if_it_is_probable_enough(threshold: float, expected: list[list[int]]) -> None:
    probability = np.array([[[0.9, 0.4, 0.5]], [[0.8, 0.4, 0.6]]], np.float32)
    assert label_map(probability, threshold).tolist() == expected
    assert most_probable(probability, (1, 3), threshold).tolist() == expected


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_labels_one_class_after_another_are_those_of_all_at_once(seed: int, threshold: float) -> None:
    values = np.random.default_rng(seed).choice(np.float32([0, 0.3, 0.5, 0.7, 1]), (4, 3, 5))
    assert np.array_equal(most_probable(values, (3, 5), threshold), label_map(values, threshold))


# ------------------------------------------------------------------------------------------------------------- pictures
def test_colours_are_the_field_s_and_differ() -> None:
    assert [colour(label) for label in (1, 2, 3, 15)] == [(128, 0, 0), (0, 128, 0), (128, 128, 0), (192, 128, 128)]
    assert len({colour(label) for label in range(1, 201)}) == 200


def test_a_panel_shows_labels_and_names() -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    labels = np.zeros((60, 80), np.int16)
    labels[10:30, 10:40] = 1
    picture = tinted(image, labels)
    assert (picture[5, 5] == 200).all() and picture[20, 20, 0] > picture[20, 20, 1]
    one = panel(image, labels, labels * 0, ["птица"] * 3, "a note")
    many = np.arange(4800).reshape(60, 80) % 40 + 1
    crowded = panel(image, many, labels, [f"class {number}" for number in range(40)], "a note")
    assert one.shape[1] == crowded.shape[1] and one.shape[0] < crowded.shape[0]
    assert (one[240:] < 128).any()  # something is written below
