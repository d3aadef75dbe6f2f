"""Sizes that networks get, and resizing with aligned corners."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from limelight.imaging.geometry import RESIZE, aligned, network_size
from limelight.models.card import Prepare


@pytest.mark.parametrize(
    ("source", "target"), [((7, 5), (23, 41)), ((40, 30), (11, 9)), ((1, 4), (6, 1)), ((8, 8), (8, 8))]
)
def test_aligned_corners_are_torchs(source: tuple[int, int], target: tuple[int, int]) -> None:
    map_hw = np.random.default_rng(0).random(source, dtype=np.float32)
    expected = F.interpolate(torch.from_numpy(map_hw)[None, None], target, mode="bilinear", align_corners=True)[0, 0]
    np.testing.assert_allclose(aligned(map_hw, target), expected.numpy(), atol=2e-6)


def test_antialiased_is_pillow_s() -> None:
    waves_hw = (np.indices((8, 8)).sum(0) % 8 / 7).astype(np.float32)
    expected = np.asarray(Image.fromarray(waves_hw).resize((4, 4), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(RESIZE["bilinear-antialiased"](waves_hw, (4, 4)), expected, atol=1e-6)


def test_aligned_pictures_stay_pictures() -> None:
    picture_HW3 = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    enlarged = aligned(picture_HW3, (17, 13))
    assert enlarged.dtype == np.uint8 and np.array_equal(enlarged[::2, ::2], picture_HW3)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [((600, 800), (608, 800)), ((2000, 3001), (1280, 1920)), ((3000, 1400), (2752, 1280)), ((5, 900), (32, 896))],
)
def test_the_shorter_side_decides(picture: tuple[int, int], expected: tuple[int, int]) -> None:
    """As transparent-background's dynamic sizes; it fails on the last."""
    prepare = Prepare(size=(1280, 1280), policy="shorter", divisor=32, rounding="nearest")
    assert network_size(picture, prepare) == expected


def test_policies() -> None:
    def size(policy: str, picture: tuple[int, int]) -> tuple[int, int]:
        return network_size(picture, Prepare(size=(64, 64), policy=policy, divisor=16))

    assert size("stretch", (50, 200)) == (64, 64)
    assert size("longest", (50, 200)) == (16, 64) and size("longest", (50, 20)) == (64, 32)
    assert size("longest", (30, 20)) == (32, 32), "small pictures are not enlarged"
    assert size("shorter", (100, 200)) == (64, 128) and size("shorter", (50, 200)) == (64, 208)
    assert size("native", (50, 200)) == (64, 208)
