"""Every figure must equal PySODMetrics' bit for bit."""

import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from limelight.evaluation.sod import EXACT_IN_FLOAT32, _distance, boundary_accuracy, score_image

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import py_sod_metrics

warnings_are_theirs = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")


def pysodmetrics(saliency_HW, truth_HW):
    """One image's figures by the library itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s, mae = py_sod_metrics.Smeasure(), py_sod_metrics.MAE()
        e, f, wf = py_sod_metrics.Emeasure(), py_sod_metrics.Fmeasure(), py_sod_metrics.WeightedFmeasure()
        iou = py_sod_metrics.IOUHandler(with_dynamic=True, with_adaptive=False)
        for measure in (s, mae, e, f, wf, py_sod_metrics.FmeasureV2({"iou": iou})):
            measure.step(saliency_HW, truth_HW)
    return {
        "Sm": s.sms[0],
        "mae": mae.maes[0],
        "adpEm": e.adaptive_ems[0],
        "adpFm": f.adaptive_fms[0],
        "wFm": wf.weighted_fms[0],
        "precision_256": f.precisions[0],
        "recall_256": f.recalls[0],
        "f_256": f.changeable_fms[0],
        "e_256": e.changeable_ems[0],
        "iou_256": iou.dynamic_results[0],
    }


def assert_equal(saliency_HW, truth_HW):
    ours = score_image(saliency_HW, truth_HW)
    for name, theirs in pysodmetrics(saliency_HW, truth_HW).items():
        np.testing.assert_array_equal(getattr(ours, name), theirs, err_msg=name)


def scene(seed, height, width, blobs=2):
    """A mask of ellipses and a blurred, noisy map of it."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((height, width), np.uint8)
    for _ in range(blobs):
        centre = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes = int(rng.integers(1, width // 2 + 2)), int(rng.integers(1, height // 2 + 2))
        cv2.ellipse(truth, centre, axes, float(rng.integers(0, 90)), 0, 360, 255, -1)
    noisy = cv2.GaussianBlur(truth, (0, 0), 3) + rng.normal(0, 25, truth.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), truth


@pytest.mark.parametrize(
    ("saliency", "truth", "expected"),
    [([0, 90], [0, 0], 1), ([0, 200], [0, 0], 0), ([127, 128], [255, 255], 1 / 2), ([200, 200], [0, 255], 1 / 2)],
)
def test_iou_is_that_of_the_map_as_it_is(saliency, truth, expected):
    """Not stretched to its own range, as for the other measures; 1 where both are empty."""
    assert score_image(np.uint8([saliency]), np.uint8([truth])).iou == expected


def plain_boundary_accuracy(called, truth):
    """By the definition: pixels whose disc holds both kinds of true pixels form the band."""
    height, width = truth.shape
    shares = []
    for step in range(5):
        radius = 1 + int(((height + width) / 300 - 1) / 5 * step)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2).astype(bool)
        grown = ndimage.binary_dilation(truth, disc)
        kept = ndimage.binary_erosion(truth, disc, border_value=1)
        shares.append((called == truth)[grown & ~kept].mean())
    return np.mean(shares)


@pytest.mark.parametrize("scale", [1, 7])
def test_boundary_accuracy(scale):
    rng = np.random.default_rng(3)
    truth = np.zeros((60 * scale, 90 * scale), np.uint8)
    cv2.circle(truth, (50 * scale, 30 * scale), 22 * scale, 1, -1)
    called = np.roll(truth, 2, 1) ^ (rng.random(truth.shape) < 0.05)
    truth, called = truth.astype(bool), called.astype(bool)
    assert boundary_accuracy(called, truth) == pytest.approx(plain_boundary_accuracy(called, truth))
    assert boundary_accuracy(truth, truth) == 1


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (40, 50)])
@pytest.mark.parametrize("salient", [False, True])
@pytest.mark.parametrize("called", [False, True])
def test_boundary_accuracy_of_a_picture_without_a_boundary_is_undefined(size, salient, called):
    assert np.isnan(boundary_accuracy(np.full(size, called), np.full(size, salient)))


def test_boundary_accuracy_of_one_pixel():
    """Of its cross of five pixels, an empty map has four right; of small pictures, all five bands are this cross."""
    truth = np.zeros((9, 9), bool)
    truth[4, 4] = True
    assert boundary_accuracy(np.zeros_like(truth), truth) == pytest.approx(4 / 5)
    assert boundary_accuracy(~truth, truth) == 0


sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))
pairs = sizes.flatmap(
    lambda size: st.tuples(arrays.arrays(np.uint8, size), arrays.arrays(np.uint8, size, elements=st.integers(0, 255)))
)


@warnings_are_theirs
@settings(max_examples=150)
@given(pairs)
def test_any_map_against_any_mask(pair):
    assert_equal(*pair)


@warnings_are_theirs
@settings(max_examples=80)
@given(st.integers(0, 10**6), st.integers(8, 90), st.integers(8, 90), st.integers(1, 4))
def test_scenes_with_objects(seed, height, width, blobs):
    assert_equal(*scene(seed, height, width, blobs))


@warnings_are_theirs
@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize("truth", ["empty", "full", "object"])
def test_constant_maps(truth, level):
    mask = scene(3, 40, 50)[1] if truth == "object" else np.full((40, 50), 255 * (truth == "full"), np.uint8)
    assert_equal(np.full((40, 50), level, np.uint8), mask)


@warnings_are_theirs
def test_empty_and_full_truths_are_marked_and_scored_like_the_library():
    saliency, _ = scene(5, 37, 53)
    for level, name in ((0, "empty"), (255, "full")):
        truth = np.full(saliency.shape, level, np.uint8)
        assert_equal(saliency, truth)
        assert getattr(score_image(saliency, truth), name)


@warnings_are_theirs
def test_mask_of_seven_grey_levels_and_a_dark_map():
    """As PASCAL-S masks are, and as maps of scenes without an object are."""
    saliency, truth = scene(11, 375, 500)
    levels = np.array([0, 85, 113, 142, 199, 227, 255], np.uint8)
    assert_equal((saliency * (171 / 255)).astype(np.uint8), levels[cv2.GaussianBlur(truth, (0, 0), 9) // 37])


@warnings_are_theirs
def test_single_salient_pixels_and_bars_at_the_border():
    saliency, _ = scene(2, 30, 30)
    for where in (np.s_[0, 0], np.s_[29, 29], np.s_[14, 7], np.s_[:, 0], np.s_[0], np.s_[3:5, 28:]):
        truth = np.zeros((30, 30), np.uint8)
        truth[where] = 255
        assert_equal(saliency, truth)


@warnings_are_theirs
def test_the_library_leaves_s_undefined_where_the_centroid_is_in_the_last_row():
    saliency, _ = scene(2, 30, 30)
    truth = np.zeros((30, 30), np.uint8)
    truth[-1] = 255
    assert_equal(saliency, truth)
    assert np.isnan(score_image(saliency, truth).Sm)


@pytest.mark.parametrize("side", [int((EXACT_IN_FLOAT32 / 2) ** 0.5), int((EXACT_IN_FLOAT32 / 2) ** 0.5) + 2])
def test_distances_are_exact_up_to_the_largest_that_opencv_is_used_for(side):
    """On either side of the limit, from one corner to the other."""
    bg = np.ones((side, side), bool)
    bg[0, 0] = False
    y, x = np.ogrid[:side, :side]
    np.testing.assert_array_equal(_distance(bg), np.sqrt((y * y + x * x).astype(np.float64)))


def test_a_better_map_scores_better():
    saliency, truth = scene(8, 60, 80)
    good, poor = score_image(truth, truth), score_image(saliency, truth)
    assert good.mae == 0 < poor.mae
    for name in ("Sm", "adpEm", "adpFm", "wFm"):
        assert getattr(good, name) > getattr(poor, name)
        assert getattr(good, name) == pytest.approx(1, abs=1e-3)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match=r"\(4, 5\)"):
        score_image(np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8))
