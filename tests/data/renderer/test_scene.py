"""Scenes: the same from the same seed, aligned in all their pictures, and a fair task."""

from dataclasses import fields
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limelight.data.renderer import CLASSES, Scene, render_clip, render_scene
from limelight.data.renderer.colours import CUES

pytestmark = pytest.mark.slow

PICTURES = ("image", "mask", "depth", "thermal", "labels")


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(5, "train", index, 64) for index in range(160)]


def equal(one: Scene, other: Scene) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Scene))


def test_same_arguments_give_the_same_pixels():
    np.random.seed(1)
    first = render_scene(0, "train", 3, 64)
    np.random.seed(2)
    render_scene(0, "train", 4, 64)
    assert equal(first, render_scene(0, "train", 3, 64))


@pytest.mark.parametrize("other", [(0, "train", 4), (0, "test", 3), (1, "train", 3)])
def test_seed_split_and_index_each_give_another_scene(other):
    assert not np.array_equal(render_scene(0, "train", 3, 64).image, render_scene(*other, 64).image)


@settings(max_examples=25)
@given(size=st.integers(32, 256), index=st.integers(0, 10_000))
def test_every_size_and_index(size, index):
    scene = render_scene(0, "train", index, size)
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == scene.mask.dtype == scene.thermal.dtype == scene.labels.dtype == np.uint8
    assert scene.depth.dtype == np.uint16
    assert all(getattr(scene, name).shape == (size, size) for name in PICTURES[1:])
    assert set(np.unique(scene.mask)) <= {0, 255}
    assert set(np.unique(scene.labels)) <= {0, *CLASSES}
    assert (scene.labels[scene.mask > 0] > 0).all()


def test_masks_are_distributed_as_promised(scenes):
    shares = np.array([np.mean(scene.mask > 0) for scene in scenes])
    assert 0.01 <= np.mean(shares == 0) <= 0.13
    drawn = shares[shares > 0]
    assert drawn.min() >= 0.004 and drawn.max() <= 0.65
    assert 0.04 < np.median(drawn) < 0.25
    assert np.mean(drawn < 0.03) > 0.05, "no small objects"
    on_border = [_border(scene.mask).any() for scene in scenes]
    assert 0.08 < np.mean(on_border) < 0.5
    # Several objects are drawn in a third of the scenes; most of them touch.
    several = [cv2.connectedComponents(cv2.dilate(scene.mask, np.ones((3, 3))))[0] > 2 for scene in scenes]
    assert np.mean(several) > 0.05


def test_every_class_and_every_cue_is_drawn(scenes):
    assert set(np.unique(np.stack([scene.labels for scene in scenes]))) == {0, *CLASSES}
    assert {scene.cue for scene in scenes} == set(CUES)


def test_distractors_have_a_class_but_no_part_in_the_mask(scenes):
    assert np.mean([((scene.labels > 0) & (scene.mask == 0)).any() for scene in scenes]) > 0.4


def test_salient_objects_are_nearer_than_what_is_around_them(scenes):
    nearer = []
    for scene in scenes:
        seen = scene.depth > 0
        inside, around = (scene.mask > 0) & seen, _ring(scene.mask) & seen
        if inside.any() and around.any():
            nearer.append(np.median(scene.depth[inside]) < np.median(scene.depth[around]))
    assert np.mean(nearer) > 0.9


def test_depth_has_holes_in_some_scenes_only(scenes):
    missing = np.array([np.mean(scene.depth == 0) for scene in scenes])
    assert 0.1 < np.mean(missing == 0) < 0.8
    assert missing.max() < 0.35


def test_salient_objects_are_warmer_in_most_scenes_not_in_all(scenes):
    drawn = [scene for scene in scenes if scene.mask.any() and _ring(scene.mask).any()]
    warmer = [scene.thermal[scene.mask > 0].mean() > scene.thermal[_ring(scene.mask)].mean() + 8 for scene in drawn]
    assert 0.7 < np.mean(warmer) < 0.97


def test_thermal_tells_where_the_image_does_not(scenes):
    """In camouflaged scenes a threshold on heat beats colour contrast."""
    hidden = [scene for scene in scenes if scene.cue == "camouflage" and scene.mask.any()]
    colour = _max_f([(_contrast(scene.image), scene.mask) for scene in hidden])
    heat = _max_f([(scene.thermal.astype(np.float32), scene.mask) for scene in hidden])
    assert heat > colour + 0.15


def test_no_threshold_solves_the_set(scenes):
    """Colour contrast (Achanta et al., 'Frequency-tuned salient region detection', 2009), with and without a bias to
    the middle, saturation and brightness: each is worth something, none is enough."""
    size = len(scenes[0].mask)
    from_middle = np.hypot(*np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j])
    middle = np.exp(-2 * from_middle**2)
    drawn = [scene for scene in scenes if scene.mask.any()]
    contrast = _max_f([(_contrast(scene.image), scene.mask) for scene in drawn])
    assert 0.3 < contrast < 0.7
    assert _max_f([(_contrast(scene.image) * middle, scene.mask) for scene in drawn]) < 0.75
    for channel in (1, 2):
        maps = [(cv2.cvtColor(scene.image, cv2.COLOR_RGB2HSV)[..., channel], scene.mask) for scene in drawn]
        assert _max_f(maps) < 0.6


def test_clips_move():
    for index in range(4):
        frames, masks = render_clip(0, "train", index, 64, frames=8)
        assert len(frames) == len(masks) == 8
        assert all(frame.shape == (64, 64, 3) and frame.dtype == np.uint8 for frame in frames)
        assert all(set(np.unique(mask)) == {0, 255} for mask in masks)
        steps = [_overlap(before, after) for before, after in pairwise(masks)]
        assert _overlap(masks[0], masks[-1]) < min(steps), "the last mask is farther from the first than a step is"
        assert np.mean(steps) > 0.5, "a step is small"


def test_clips_are_the_same_from_the_same_seed():
    one, other = render_clip(0, "test", 1, 48, frames=3), render_clip(0, "test", 1, 48, frames=3)
    assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


def _ring(mask: np.ndarray) -> np.ndarray:
    """Pixels 2 to 5 away from the mask."""
    near, far = (cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1))) > 0 for reach in (1, 5))
    return far & ~near


def _border(mask: np.ndarray) -> np.ndarray:
    return np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.logical_and(one, other).sum() / np.logical_or(one, other).sum())


def _contrast(image: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(cv2.GaussianBlur(image, (5, 5), 0).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.linalg.norm(lab - lab.mean(axis=(0, 1)), axis=2)


def _max_f(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Largest F-measure (beta^2 = 0.3) of the mean precision and recall over 256 thresholds."""
    precisions, recalls = [], []
    for saliency, mask in pairs:
        levels = cv2.normalize(saliency.astype(np.float32), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        above = np.bincount(levels.ravel(), minlength=256)[::-1].cumsum()
        hits = np.bincount(levels[mask > 0], minlength=256)[::-1].cumsum()
        precisions.append(hits / np.maximum(above, 1))
        recalls.append(hits / np.count_nonzero(mask))
    precision, recall = np.mean(precisions, axis=0), np.mean(recalls, axis=0)
    return float(np.max(1.3 * precision * recall / (0.3 * precision + recall + 1e-9)))
