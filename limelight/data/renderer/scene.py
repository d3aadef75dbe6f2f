"""Scenes and clips from a seed. Equal arguments give equal pixels, whatever was drawn before and in which process."""

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from limelight.data.renderer.plan import ScenePlan, plan_scene
from limelight.data.renderer.sensors import Camera, measure_depth, measure_heat
from limelight.data.renderer.stage import Layers, Stage

SUPERSAMPLE = 2
SMALLEST, LARGEST = 0.004, 0.65
"""Visible salient share of the picture; a scene outside it is drawn anew."""


@dataclass(frozen=True)
class Scene:
    """One rendered scene; all arrays are aligned, height = width = size.

    Args:
        image: uint8 HxWx3 RGB.
        mask: uint8 HxW, 255 on salient objects, else 0.
        depth: uint16 HxW relative depth, near = small, 65535 = the far limit, 0 = no reading.
        thermal: uint8 HxW, warm = bright.
        labels: uint8 HxW class ids (families.CLASSES); 0 = background. Every salient pixel has a class; objects that
            are not salient have theirs too.
        cue: what sets the salient objects apart in the image (colours.Cue).
    """

    image: np.ndarray
    mask: np.ndarray
    depth: np.ndarray
    thermal: np.ndarray
    labels: np.ndarray
    cue: str


def render_scene(
    seed: int, split: str, index: int, size: int, draw: Callable[[np.random.Generator], ScenePlan] = plan_scene
) -> Scene:
    """Draw one scene.

    Args:
        seed, split, index: which scene; scenes of different splits are independent.
        size: pixels, height = width, at least 32.
        draw: draws the plan of the scene.
    """
    for attempt in itertools.count():
        rng = _generator(seed, split, index, attempt)
        plan = draw(rng)
        stage = Stage(plan, rng, SUPERSAMPLE * size)
        layers = stage.shot()
        mask, labels = _annotate(layers)
        expected = any(actor.role == "salient" for actor in plan.actors)
        if _acceptable(mask) or not expected:
            break
    return Scene(
        image=Camera.draw(rng, night=plan.night).take(layers.colour_HW3, size, rng),
        mask=mask,
        depth=measure_depth(layers.depth_HW, size, rng),
        thermal=measure_heat(layers.heat_HW, size, rng),
        labels=labels,
        cue=plan.cue,
    )


def render_clip(
    seed: int, split: str, index: int, size: int, frames: int = 12
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draw a scene of its own (not the still of that index) in which objects and camera move.

    Returns:
        frames, uint8 HxWx3 RGB each, and their masks, uint8 HxW 0/255; no mask is empty.
    """
    for attempt in itertools.count():
        rng = _generator(seed, f"{split}/clips", index, attempt)
        plan = plan_scene(rng, salient=True)
        stage = Stage(plan, rng, SUPERSAMPLE * size)
        masks = [_annotate(stage.shot(frame))[0] for frame in (0, frames - 1)]
        if all(_acceptable(mask) for mask in masks):
            break
    camera = Camera.draw(rng, night=plan.night)
    images, masks = [], []
    for frame in range(frames):
        layers = stage.shot(frame)
        images.append(camera.take(layers.colour_HW3, size, rng))
        masks.append(_annotate(layers)[0])
    return images, masks


def _generator(seed: int, split: str, index: int, attempt: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64((seed, zlib.crc32(split.encode()), index, attempt)))


def _annotate(layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """Mask and class ids at the final size: a pixel is salient when at least half of it is."""
    step = SUPERSAMPLE
    quarters = [layers.salient_HW[row::step, column::step] for row in range(step) for column in range(step)]
    covered = [(quarter > 0).astype(np.uint8) for quarter in quarters]
    inside_HW = 2 * sum(covered[1:], start=covered[0]) >= len(quarters)
    labels_HW = np.where(inside_HW, np.maximum.reduce(quarters), layers.other_HW[::step, ::step])
    return inside_HW.astype(np.uint8) * 255, labels_HW


def _acceptable(mask: np.ndarray) -> bool:
    return SMALLEST <= cv2.countNonZero(mask) / mask.size <= LARGEST
