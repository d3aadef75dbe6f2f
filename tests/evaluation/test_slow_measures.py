"""Multiscale IoU and human correction effort: like PySODMetrics', and only on request."""

import csv
import json
import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError
from scipy import ndimage

from limelight.config import Evaluate
from limelight.evaluation.multiscale import Outline
from limelight.evaluation.sod import score_image
from limelight.reporting.evaluate import evaluate
from limelight.reporting.report import write_report
from limelight.tasks.saliency import TASK
from tests.evaluation.scoring import score_maps

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import py_sod_metrics

BOTH = ("msiou", "hce")


def scene(seed, height=60, width=80):
    rng = np.random.default_rng(seed)
    truth = np.zeros((height, width), np.uint8)
    cv2.ellipse(truth, (int(rng.integers(0, width)), 30), (20, 12), float(rng.integers(90)), 0, 360, 255, -1)
    noisy = cv2.GaussianBlur(np.roll(truth, 4, 1), (0, 0), 3) + rng.normal(0, 25, truth.shape)
    return (np.clip(noisy, 0, 255) // 16 * 17).astype(np.uint8), truth


def odd_cases():
    saliency, truth = scene(1)
    one = np.zeros_like(truth)
    one[30, 40] = 255
    blank = np.zeros_like(truth)
    masks = {"empty": blank, "full": blank + 255, "one pixel": one, "object": truth}
    maps = {"black": blank, "grey": blank + 100, "white": blank + 255, "dot": one, "scene": saliency}
    return [pytest.param(m, t, id=f"{a} on {b}") for a, m in maps.items() for b, t in masks.items()]


def library(saliency_HW, truth_HW):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        msiou = py_sod_metrics.MSIoU(with_dynamic=True, with_adaptive=True)
        hce = py_sod_metrics.HumanCorrectionEffortMeasure()
        for measure in (msiou, hce):
            measure.step(saliency_HW, truth_HW)
    # Its 257th threshold, 256, is above every level.
    return msiou.adaptive_results[0], msiou.dynamic_results[0][255::-1], hce.hces[0]


def assert_like_the_library(saliency_HW, truth_HW):
    ours = score_image(saliency_HW, truth_HW, BOTH)
    adaptive, curve, hce = library(saliency_HW, truth_HW)
    assert ours.adpMSIoU == adaptive
    np.testing.assert_array_equal(ours.msiou_256, curve)
    assert ours.hce == hce


@pytest.mark.parametrize(("saliency", "truth"), odd_cases())
def test_odd_maps_and_masks(saliency, truth):
    assert_like_the_library(saliency, truth)


@pytest.mark.parametrize("seed", range(4))
def test_scenes(seed):
    assert_like_the_library(*scene(seed))


sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))
steps = st.sampled_from([0, 60, 128, 129, 255])
pairs = sizes.flatmap(
    lambda size: st.tuples(arrays.arrays(np.uint8, size, elements=steps), arrays.arrays(np.uint8, size, elements=steps))
)


@settings(max_examples=25, deadline=None)
@given(pairs)
def test_any_map_against_any_mask(pair):
    assert_like_the_library(*pair)


# --------------------------------------------------------------------------------------------------------------- MSIoU
def test_msiou_by_hand():
    """One pixel in the corner has an outline of three, all in the first cell of every coarser grid: an empty map has
    r of 1/4, then nine times 1/2."""
    truth = np.zeros((4, 4), bool)
    truth[0, 0] = True
    assert Outline(truth).msiou(truth) == pytest.approx(1)
    assert Outline(truth).msiou(np.zeros_like(truth)) == pytest.approx(((1 / 4 + 1 / 2) / 2 + 8 / 2) / 9)


def plain_msiou(called, truth):
    """By the definition, in whole numbers."""

    def outline(mask):
        return np.hypot(*(ndimage.sobel(mask.astype(int), axis, mode="constant") for axis in (0, 1))) > 0

    ratios = []
    for size in 2 ** np.arange(10):
        cells = []
        for edge in (outline(called), outline(truth)):
            padded = np.pad(edge, [(-length % size, 0) for length in edge.shape])
            height, width = padded.shape
            cells.append(padded.reshape(height // size, size, width // size, size).any((1, 3)))
        ratios.append((np.count_nonzero(cells[0] & cells[1]) + 1) / (np.count_nonzero(cells[1]) + 1))
    return np.trapezoid(ratios, dx=1 / 9)


def test_large_outlines_are_counted_exactly():
    """The library's 16-bit sums are infinite here."""
    rng = np.random.default_rng(0)
    called, truth = rng.random((2, 300, 401)) > 0.5
    assert Outline(truth).msiou(called) == pytest.approx(plain_msiou(called, truth), abs=1e-15)
    assert plain_msiou(called, truth) > 0.9


def test_msiou_is_highest_for_the_mask_itself():
    for seed in range(3):
        saliency, truth = scene(seed)
        perfect, other = score_image(truth, truth, BOTH), score_image(saliency, truth, BOTH)
        assert perfect.adpMSIoU == pytest.approx(1) == perfect.msiou_256.max()
        assert other.adpMSIoU < 1


# ----------------------------------------------------------------------------------------------------------------- HCE
def test_a_perfect_map_costs_no_click_and_a_missed_object_some():
    _, truth = scene(2)
    assert score_image(truth, truth, BOTH).hce == 0
    assert score_image(np.zeros_like(truth), truth, BOTH).hce > 0


# ------------------------------------------------------------------------------------------------------------ requests
@pytest.mark.parametrize("workers", [0, 1])
def test_requested_measures_leave_the_others_as_they_are(workers):
    images = [(str(seed), *scene(seed)) for seed in range(5)]
    without, both = score_maps(images, workers), score_maps(images, workers, BOTH)
    assert both.metrics.keys() == TASK.metrics.keys() - {"dtssd"}  # of clips
    for name, value in without.metrics.items():
        assert both.metrics[name] == value
    assert both.figures.keys() - without.figures.keys() == {
        *("adpMSIoU", "maxMSIoU", "avgMSIoU", "hce", "adpMSIoU_se", "hce_se")
    }
    assert both.metrics["hce"] == np.mean([library(*image[1:])[2] for image in images])
    assert "msiou" not in without.curves
    assert both.metrics["maxMSIoU"] == both.curves["msiou"].max()


def test_one_measure_alone():
    images = [(str(seed), *scene(seed)) for seed in range(2)]
    assert "hce" in score_maps(images, 0, ["hce"]).metrics
    assert "adpMSIoU" not in score_maps(images, 0, ["hce"]).metrics
    assert score_maps(images, 0, ["msiou"]).metrics.keys() >= {"adpMSIoU", "maxMSIoU", "avgMSIoU"}


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValidationError, match="'msiou' or 'hce'"):
        Evaluate(measures=["hec"])


def test_a_report_has_them_where_they_were_measured(artifact, samples, settings, tmp_path):
    requested = settings.model_copy(update={"measures": [*BOTH]})
    write_report(evaluate(artifact, samples[6:], requested, device="cpu"), samples[6:], tmp_path, threads=1)
    figures = json.loads((tmp_path / "metrics.json").read_text())["mean"]["torch"]
    rows = list(csv.DictReader((tmp_path / "per_image.csv").open()))
    assert list(rows[0])[-4:] == ["adpMSIoU", "maxMSIoU", "avgMSIoU", "hce"]
    assert np.mean([float(row["hce"]) for row in rows]) == pytest.approx(figures["hce"])
    assert next(csv.reader((tmp_path / "f.csv").open()))[-1] == "msiou"
