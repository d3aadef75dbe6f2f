"""High resolution by tiles: sharper borders, no seams, nothing found that the whole picture does not show."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight import load
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.inference.refinement import levels, refine, spans
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD
from limelight.models.weights import CARD, read_card

TILE = (64, 64)


def disk(height: int, width: int) -> np.ndarray:
    """A white disk on black, uint8 RGB."""
    image_HW3 = np.zeros((height, width, 3), np.uint8)
    return cv2.circle(image_HW3, (width // 2, height // 2), min(height, width) // 3, (255,) * 3, -1)


def brightness(picture_hw3: np.ndarray) -> np.ndarray:
    """A network that finds what is white, at the resolution of a tile."""
    grey_hw = picture_hw3.mean(axis=2, dtype=np.float32) / 255
    return cv2.resize(grey_hw, TILE[::-1], interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("size", [(500, 700), (257, 64), (1000, 90)])
def test_borders_become_as_sharp_as_the_picture(size: tuple[int, int]) -> None:
    image_HW3 = disk(*size)
    truth_HW = image_HW3[..., 0] / np.float32(255)
    coarse_hw = brightness(image_HW3)
    refined_HW = refine(image_HW3, coarse_hw.copy(), brightness, TILE)
    enlarged_HW = cv2.resize(coarse_hw, size[::-1], interpolation=cv2.INTER_LINEAR)
    assert refined_HW.shape == size and refined_HW.dtype == np.float32
    assert np.abs(refined_HW - truth_HW).mean() < 0.2 * np.abs(enlarged_HW - truth_HW).mean()


def test_tiles_leave_no_seams() -> None:
    """Networks answer differently for each tile; what they disagree about fades over the overlaps.

    Here about brightness, and about a grain that is the same along each row, so that only seams make steps in it.
    """
    image_HW3 = cv2.GaussianBlur(disk(400, 400), (0, 0), 25)
    generator = np.random.default_rng(0)
    grain_h1 = np.resize(np.float32([1, -1]), (TILE[0], 1))

    def uncertain(picture_hw3: np.ndarray) -> np.ndarray:
        found_hw = brightness(picture_hw3) * generator.uniform(0.8, 1.2) + generator.uniform(-0.1, 0.1) * grain_h1
        return np.clip(found_hw, 0, 1).astype(np.float32)

    refined_HW = refine(image_HW3, brightness(image_HW3), uncertain, TILE)
    starts = {span.start for size in levels((400, 400), TILE)[-1:] for span in spans(size[0], 64)[0]} - {0}
    steps_HW = np.abs(np.diff(refined_HW, axis=1))
    across = steps_HW[:, [start - 1 for start in starts]].max()
    assert across <= steps_HW.max() and across < 0.03, "without fading it is 0.09"


def test_what_only_a_tile_finds_is_not_taken() -> None:
    """A second disk that the pass over the whole picture does not show."""
    image_HW3 = disk(500, 700)
    coarse_hw = brightness(image_HW3)
    cv2.circle(image_HW3, (60, 60), 40, (255,) * 3, -1)
    assert refine(image_HW3, coarse_hw, brightness, TILE)[20:100, 20:100].max() < 0.02


def test_flat_tiles_are_not_computed() -> None:
    calls = []

    def counted(picture_hw3: np.ndarray) -> np.ndarray:
        calls.append(picture_hw3.shape)
        return brightness(picture_hw3)

    for value in (0, 1):
        refine(np.zeros((640, 640, 3), np.uint8), np.full(TILE, value, np.float32), counted, TILE)
    assert not calls
    image_HW3 = disk(640, 640)
    refine(image_HW3, brightness(image_HW3), counted, TILE)
    every = sum(len(spans(size[0], 64)[0]) * len(spans(size[1], 64)[0]) for size in levels((640, 640), TILE))
    assert 0 < len(calls) < 0.8 * every


@given(st.integers(1, 3000), st.integers(8, 400))
def test_weights_of_tiles_sum_to_one(side: int, length: int) -> None:
    tiles, weights = spans(side, length)
    total = np.zeros(side)
    for span, weight in zip(tiles, weights, strict=True):
        assert len(weight) == span.stop - span.start == min(side, length)
        total[span] += weight
    np.testing.assert_allclose(total, 1, atol=1e-5)
    overlaps = [before.stop - after.start for before, after in itertools.pairwise(tiles)]
    assert all(overlap >= length // 4 - 1 for overlap in overlaps)


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_levels_double_up_to_the_picture(height: int, width: int) -> None:
    sizes = levels((height, width), (320, 320))
    longest = [320, *(max(size) for size in sizes)]
    assert all(before < after <= 2 * before for before, after in itertools.pairwise(longest))
    assert not sizes or sizes[-1] == (height, width)
    assert bool(sizes) == (max(height, width) > 320)


def test_a_predictor_refines(untrained: Path) -> None:
    picture_HW3 = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    plain, high = load(untrained), load(untrained, high_resolution=True)
    assert "refined by tiles" in high.description and "tiles" not in plain.description
    small_HW3 = picture_HW3[:60, :60]
    assert np.array_equal(*(each.predict([small_HW3])[0].saliency_HW for each in (plain, high)))
    one, other = (each.predict([picture_HW3])[0].saliency_HW for each in (plain, high))
    assert one.shape == other.shape and not np.array_equal(one, other)
    with pytest.raises(UserError, match="leave the other sizes out"):
        load(untrained, high_resolution=True, processing_res=128)


def test_companions_are_not_refined(taking: Callable[..., Path]) -> None:
    predictor = load(taking("rgb", "rgbd"), device="cpu", high_resolution=True)
    image_HW3, depth_HW = np.zeros((40, 40, 3), np.uint8), np.eye(40, dtype=np.uint8)
    with pytest.raises(UserError, match="high resolution is for pictures alone; leave the companions or the high res"):
        predictor.predict([image_HW3], [depth_HW])


def test_tiles_are_normalised_as_the_whole_picture(untrained: Path, tmp_path: Path) -> None:
    """Where the maximum is divided by, a dark tile stays dark beside a bright one."""
    weights = shutil.copytree(untrained, tmp_path / "weights")
    write_json(weights / CARD, read_card(untrained).derived(divide_by="maximum").model_dump(mode="json"))
    predictor = load(weights, high_resolution=True)
    image_HW3 = np.random.default_rng(0).integers(0, 100, (128, 128, 3), np.uint8)
    image_HW3[:40, :40] = 255  # at the network's 64 pixels too
    seen, run = [], predictor._backend.run
    predictor._backend.run = lambda feeds, seeds=None: seen.append(feeds["image"]) or run(feeds, seeds)
    predictor.predict([image_HW3])
    mean, std = (np.array(value, np.float32)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
    brightest = [float((each_13HW[0] * std + mean).max()) for each_13HW in seen]
    assert len(brightest) > 5 and max(brightest) == pytest.approx(1, abs=1e-3)
    assert min(brightest) == pytest.approx(99 / 255, abs=0.02)
