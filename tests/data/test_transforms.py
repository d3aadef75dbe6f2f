import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limelight.config import Augment
from limelight.data.samples import Decoded, shrink
from limelight.data.transforms import Draw, apply, draw, inverted
from limelight.imaging.companions import NEAREST, spread
from limelight.imaging.feeds import levels
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD

KD_SCFNET = Augment(blur=0.1, contrast=0.5, brightness=15 / 255, crop=0.125, flip_horizontal=0.5, flip_vertical=0.2)
SDNET = Augment(crop_pixels=14, flip_horizontal=0.25, flip_vertical=0.25)
EVERYTHING = Augment(crop=0.3, crop_pixels=9, flip_horizontal=0.5, flip_vertical=0.5, rotate=180)


def scene(height: int, width: int, seed: int = 0) -> Decoded:
    """A picture whose mask and companion show the same as the picture."""
    blobs = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1), np.uint8)
    grey = cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC)
    return Decoded(np.repeat(grey[..., None], 3, 2), grey, grey.astype(np.uint16) * 257)


@settings(max_examples=80)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(16, 80),
    st.integers(0, 9999),
    st.sampled_from([KD_SCFNET.model_copy(update={"blur": 0.0}), SDNET, EVERYTHING]),
)
def test_image_mask_and_companion_move_together(height, width, size, seed, augment):
    drawn = draw(augment, (height, width), np.random.default_rng(seed))
    moved = apply(scene(height, width), drawn, (size, size))
    assert moved.image_HW3.shape == (size, size, 3)
    np.testing.assert_array_equal(moved.image_HW3[..., 0], moved.mask_HW)
    difference = moved.companion_HW / 257 - moved.mask_HW
    assert np.abs(difference).max() <= 1.5  # 8 bits round after every step


@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
@pytest.mark.parametrize("side", [1, 2, 5, 64])
def test_blur_softens_the_image_alone(kernel, side):
    noise = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    still = Decoded(np.repeat(noise[..., None], 3, 2), noise, None)
    blurred = apply(still, Draw(blur=kernel), (side, side))
    np.testing.assert_array_equal(blurred.mask_HW, still.mask_HW)
    assert blurred.image_HW3.std() < still.image_HW3.std() or side == 1


def test_the_default_draw_only_stretches():
    still = scene(30, 40)
    same = apply(still, Draw(), (50, 50))
    np.testing.assert_array_equal(same.mask_HW, cv2.resize(still.mask_HW, (50, 50)))
    assert draw(Augment(flip_horizontal=0), (30, 40), np.random.default_rng(0)) == Draw((0, 30), (0, 40))


def corner(decoded: Decoded) -> tuple[int, int]:
    """Which quadrant is white."""
    return divmod(int(cv2.resize(decoded.mask_HW, (2, 2), interpolation=cv2.INTER_AREA).argmax()), 2)


@pytest.mark.parametrize(
    ("drawn", "quadrant"),
    [
        (Draw(), (0, 0)),
        (Draw(mirror=True), (0, 1)),
        (Draw(upside_down=True), (1, 0)),
        (Draw(mirror=True, upside_down=True), (1, 1)),
        (Draw(angle=90), (1, 0)),
        (Draw(angle=-90), (0, 1)),
        (Draw(angle=180), (1, 1)),
    ],
)
def test_flips_and_rotation_go_where_they_say(drawn, quadrant):
    mask = np.zeros((20, 20), np.uint8)
    mask[:10, :10] = 255
    assert corner(apply(Decoded(np.zeros((20, 20, 3), np.uint8), mask, None), drawn, (20, 20))) == quadrant


def test_a_crop_keeps_its_window():
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 10:20] = 200
    kept = apply(Decoded(np.zeros((20, 30, 3), np.uint8), mask, None), Draw((5, 15), (10, 20)), (16, 16))
    assert (kept.mask_HW == 200).all() and kept.companion_HW is None


def test_rotation_leaves_black_corners():
    white = Decoded(np.full((40, 40, 3), 255, np.uint8), np.full((40, 40), 255, np.uint8), None)
    turned = apply(white, Draw(angle=45), (40, 40))
    assert turned.image_HW3[0, 0, 0] == turned.mask_HW[0, 0] == 0 and turned.mask_HW[20, 20] == 255


def many(augment: Augment, size: tuple[int, int], count: int = 2000) -> list[Draw]:
    return [draw(augment, size, np.random.default_rng(seed)) for seed in range(count)]


def test_draws_of_kd_scfnet_have_the_published_distribution():
    draws = many(KD_SCFNET, (300, 400))
    widths = [drawn.columns[1] - drawn.columns[0] for drawn in draws]
    assert 351 <= min(widths) <= 353 and max(widths) == 400  # less than 1/8 goes
    assert min(drawn.rows[0] for drawn in draws) == 0 and max(drawn.rows[1] for drawn in draws) == 300
    assert np.mean([drawn.mirror for drawn in draws]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([drawn.upside_down for drawn in draws]) == pytest.approx(0.2, abs=0.05)
    assert np.mean([drawn.blur > 0 for drawn in draws]) == pytest.approx(0.1, abs=0.03)
    assert {drawn.blur for drawn in draws} == {0, 3, 5, 7, 9}
    contrasts = [drawn.contrast for drawn in draws]
    assert 0.5 <= min(contrasts) < 0.51 and 1.49 < max(contrasts) <= 1.5
    assert max(abs(drawn.brightness) for drawn in draws) <= 15 / 255
    assert all(drawn.angle == 0 for drawn in draws)


def test_draws_of_sdnet_crop_each_side_by_itself():
    draws = many(SDNET, (300, 400))
    for removed in (
        [drawn.rows[0] for drawn in draws],
        [300 - drawn.rows[1] for drawn in draws],
        [drawn.columns[0] for drawn in draws],
        [400 - drawn.columns[1] for drawn in draws],
    ):
        assert set(removed) == set(range(15))
    flipped = [drawn.mirror or drawn.upside_down for drawn in draws]
    assert np.mean(flipped) == pytest.approx(1 - 0.75**2, abs=0.05)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 999))
def test_a_crop_never_takes_everything(width, height, seed):
    drawn = draw(Augment(crop=0.49, crop_pixels=30), (height, width), np.random.default_rng(seed))
    assert 0 <= drawn.rows[0] < drawn.rows[1] <= height
    assert 0 <= drawn.columns[0] < drawn.columns[1] <= width


def test_a_companion_of_the_other_polarity():
    metres = np.float32([[0, 1.0, 2.5], [4.0, 0, 3.0]])
    near_small = spread(metres / 10, "rgbd")
    near_large = spread(np.where(metres > 0, (5 - metres) / 10, 0).astype(np.float32), "rgbd")
    stored = np.rint(near_small * 65535).astype(np.uint16)
    np.testing.assert_allclose(inverted(stored, "rgbd") / 65535, near_large, atol=2e-5)
    assert (inverted(stored, "rgbd") == 0).sum() == 2 and NEAREST * 65535 > 1
    np.testing.assert_allclose(inverted(inverted(stored, "rgbd"), "rgbd"), stored, atol=1)
    np.testing.assert_array_equal(inverted(stored, "rgbt"), 65535 - stored)


def test_levels_are_the_normalised_values():
    value = np.arange(256) / 255
    plain = levels(IMAGENET_MEAN, IMAGENET_STD)[0]
    np.testing.assert_allclose(plain[:, 1], (value - 0.456) / 0.224, rtol=1e-5, atol=1e-6)
    changed = levels((0, 0, 0), (1, 1, 1), contrast=1.5, brightness=-0.1)[0, :, 2]
    np.testing.assert_allclose(changed, np.clip(1.5 * value - 0.1, 0, 1), atol=1e-6)


def test_shrink_averages_and_keeps_proportions():
    checks = np.indices((400, 600)).sum(0) % 2 * 255
    small = shrink(Decoded(np.repeat(checks[..., None], 3, 2).astype(np.uint8), checks.astype(np.uint8), None), 100)
    assert small.size == small.mask_HW.shape == (100, 150)
    assert np.abs(small.image_HW3.astype(int) - 127.5).max() <= 1  # a plain subsample would be black or white
    assert shrink(small, 100) is small
