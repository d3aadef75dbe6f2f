"""IoU, boundary IoU and thin IoU: by hand, by their definitions at single thresholds, and what must hold of any map."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import distance_transform_cdt

from limelight.evaluation import levels
from limelight.evaluation.levels import at_thresholds, histogram
from limelight.evaluation.overlap import boundary_iou_curve, iou_curve, thin_iou_curve

BOTH = (boundary_iou_curve, thin_iou_curve)


def square(top, left, side=4, size=(10, 10)):
    mask = np.zeros(size, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def as_map(mask, level=255):
    return (mask * level).astype(np.uint8)


def at(curve_256, threshold):
    return curve_256[255 - threshold]


def whole_iou_curve(levels_HW, truth_HW):
    return iou_curve(
        at_thresholds(histogram(levels_HW, truth_HW)),
        at_thresholds(histogram(levels_HW)),
        np.count_nonzero(truth_HW),
    )


EVERY = (whole_iou_curve, *BOTH)

# -------------------------------------------------------------------------------------------------------------- by hand


def test_a_square_moved_by_one_pixel():
    """Bands are one pixel wide here. Of 4 x 4 pixels 12 are shared, 4 missed, 4 false: 12 / 20. The rings of 12 pixels
    share three of the upper and three of the lower row: 6 / 18. Near the true boundary (its ring of 12 and the 20
    pixels around the square) 8 of the ring are found, and the 4 false ones are near: 8 / (12 + 4)."""
    truth, moved = square(3, 3), as_map(square(3, 4))
    assert at(whole_iou_curve(moved, truth), 255) == 12 / 20
    assert at(boundary_iou_curve(moved, truth), 255) == 6 / 18
    assert at(thin_iou_curve(moved, truth), 255) == 8 / 16


def test_a_hole_that_only_the_whole_mask_shows():
    """The hole of 2 x 2 pixels leaves a ring one pixel wide, which is all boundary: the true one."""
    truth = square(3, 3)
    holed = as_map(truth & ~square(4, 4, side=2))
    assert at(whole_iou_curve(holed, truth), 255) == 12 / 16
    assert at(boundary_iou_curve(holed, truth), 255) == 1
    assert at(thin_iou_curve(holed, truth), 255) == 1


def test_the_picture_edge_bounds_what_it_cuts_off():
    """A full mask has the picture's border of 36 pixels as its boundary. A map without the last column shares 26 of
    them, and has 8 of its own."""
    truth = np.ones((10, 10), bool)
    without = as_map(truth)
    without[:, 9] = 0
    assert at(boundary_iou_curve(as_map(truth), truth), 255) == 1
    assert at(boundary_iou_curve(without, truth), 255) == 26 / (36 + 8)
    assert at(thin_iou_curve(without, truth), 255) == 26 / 36


def test_bands_are_two_percent_and_a_thousandth_of_the_diagonal():
    """Of 600 x 800, whose diagonal is 1000: 20 pixels, and 1 pixel. A frame as wide as the band is all of it."""
    truth = np.ones((600, 800), bool)

    def frame(width):
        frame_HW = truth.copy()
        frame_HW[width:-width, width:-width] = False
        return frame_HW

    for width in (19, 20, 21):
        smaller, larger = sorted((np.count_nonzero(frame(width)), np.count_nonzero(frame(20))))
        assert at(boundary_iou_curve(as_map(frame(width)), truth), 255) == smaller / larger
    assert at(thin_iou_curve(as_map(frame(1)), truth), 255) == 1
    assert at(thin_iou_curve(as_map(~frame(1)), truth), 255) == 0


def test_each_threshold_has_the_boundary_of_its_own_mask():
    """A soft edge: the object at 255, a wider one at 100. Thresholding the map's difference with its grey-level
    erosion, as InSPyReNet does, would leave nothing of the object's boundary above 155."""
    truth = square(8, 8, side=6, size=(22, 22))
    soft = np.maximum(as_map(truth), as_map(square(5, 5, side=12, size=(22, 22)), 100))
    curve = boundary_iou_curve(soft, truth)
    assert (curve[:155] == 1).all()
    assert (curve[155:] < 1).all()


def test_thin_iou_of_a_white_map_is_the_share_of_the_inner_side():
    """It would be 1 if only the inner side of the boundary counted."""
    truth = square(3, 3)
    assert at(thin_iou_curve(np.full((10, 10), 255, np.uint8), truth), 255) == 12 / (12 + 20)


# --------------------------------------------------------------------------------------------------- by the definitions
def near(mask_HW, reach):
    """Pixels of a mask within `reach` of its outside, which begins at the picture's edge, in chessboard distance."""
    distance = distance_transform_cdt(np.pad(mask_HW, 1), "chessboard")[1:-1, 1:-1]
    return mask_HW & (distance <= reach)


def plain_iou(one, other):
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 0


def plain_boundary_iou(called, truth):
    reach = max(1, round(0.02 * np.hypot(*truth.shape)))
    return plain_iou(near(called, reach), near(truth, reach))


def plain_thin_iou(called, truth):
    reach = max(1, round(0.001 * np.hypot(*truth.shape)))
    outside = ~truth & (distance_transform_cdt(~truth, "chessboard") <= reach) if truth.any() else truth
    band = near(truth, reach) | outside
    return plain_iou(called & band, truth & band)


PLAIN = dict(zip(EVERY, (plain_iou, plain_boundary_iou, plain_thin_iou), strict=True))


def blobs(seed, height, width):
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 12 + 2, width // 12 + 2)).repeat(12, 0).repeat(12, 1)[:height, :width]
    noisy = np.clip(255 * coarse + rng.normal(0, 20, (height, width)), 0, 255)
    return noisy.astype(np.uint8), np.roll(coarse, 3, 1) > 0.6


@pytest.mark.parametrize("measure", EVERY)
@pytest.mark.parametrize("size", [(60, 83), (240, 320), (31, 7)])
def test_curves_are_the_definition_at_every_threshold(measure, size):
    levels_HW, truth = blobs(sum(size), *size)
    expected = [PLAIN[measure](levels_HW >= threshold, truth) for threshold in range(255, -1, -1)]
    np.testing.assert_array_equal(measure(levels_HW, truth), expected)


sizes = st.tuples(st.integers(1, 14), st.integers(1, 14))
pairs = sizes.flatmap(
    lambda size: st.tuples(
        arrays.arrays(np.uint8, size),
        arrays.arrays(np.bool_, size) | st.booleans().map(partial(np.full, size)),
    )
)


@settings(max_examples=60)
@given(pairs, st.integers(0, 255))
def test_any_map_against_any_mask(pair, threshold):
    levels_HW, truth = pair
    for measure, plain in PLAIN.items():
        assert at(measure(levels_HW, truth), threshold) == plain(levels_HW >= threshold, truth)


# ----------------------------------------------------------------------------------------------- what holds of any map
@settings(max_examples=60)
@given(pairs)
def test_flips_and_turns_change_nothing_and_values_are_shares(pair):
    levels_HW, truth = pair
    for measure in EVERY:
        curve = measure(levels_HW, truth)
        assert ((curve >= 0) & (curve <= 1)).all()
        for turned in (np.fliplr, np.flipud, np.rot90):
            other = measure(np.ascontiguousarray(turned(levels_HW)), np.ascontiguousarray(turned(truth)))
            np.testing.assert_array_equal(other, curve)


@settings(max_examples=60)
@given(pairs)
def test_the_mask_itself_as_map_is_perfect(pair):
    _, truth = pair
    for measure in EVERY:
        assert (measure(as_map(truth), truth)[:-1] == truth.any()).all()


@settings(max_examples=60)
@given(pairs, st.integers(0, 255))
def test_boundary_iou_does_not_depend_on_which_mask_is_the_truth(pair, threshold):
    levels_HW, truth = pair
    called = levels_HW >= threshold
    assert boundary_iou_curve(as_map(called), truth)[0] == boundary_iou_curve(as_map(truth), called)[0]


@pytest.mark.parametrize("measure", EVERY)
@pytest.mark.parametrize("level", [0, 90, 255])
def test_nothing_salient_and_nothing_predicted(measure, level):
    """As PySODMetrics' IoU: 0 at every threshold of a picture without an object."""
    assert not measure(np.full((12, 9), level, np.uint8), np.zeros((12, 9), bool)).any()


# ----------------------------------------------------------------------------------------------------------- histograms
def test_histograms_are_exact_however_large_the_picture(monkeypatch):
    """Counted in parts of fewer pixels than OpenCV's 32-bit floats can count."""
    rng = np.random.default_rng(0)
    levels_HW, where = rng.integers(0, 256, (37, 11), np.uint8), rng.random((37, 11)) > 0.4
    monkeypatch.setattr(levels, "MOST_PIXELS", 50)
    np.testing.assert_array_equal(histogram(levels_HW), np.bincount(levels_HW.ravel(), minlength=256))
    np.testing.assert_array_equal(histogram(levels_HW, where), np.bincount(levels_HW[where], minlength=256))
    assert at_thresholds(histogram(levels_HW))[255 - 200] == np.count_nonzero(levels_HW >= 200)
