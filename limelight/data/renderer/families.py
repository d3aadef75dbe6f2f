"""The families of objects that scenes are made of; their order gives the class ids of label maps."""

from collections.abc import Callable

import numpy as np

from limelight.data.renderer import living, made
from limelight.data.renderer.contours import Part, Shape, bezier, limb, ribbon, rotated

FAMILIES: dict[str, Callable[[np.random.Generator], Shape]] = {
    "animal": living.quadruped,
    "bird": living.bird,
    "fish": living.fish,
    "person": living.person,
    "leaf": living.leaf,
    "flower": living.flower,
    "fruit": living.fruit,
    "blob": made.blob,
    "tile": made.tile,
    "bottle": made.bottle,
    "mug": made.mug,
    "car": made.car,
    "ring": made.ring,
    "chair": made.chair,
    "bicycle": made.bicycle,
    "lamp": made.lamp,
    "boat": made.boat,
}
CLASSES: dict[int, str] = {number: name for number, name in enumerate(FAMILIES, start=1)}
"""Class id -> name; 0 is the background."""


def pole(rng: np.random.Generator) -> Shape:
    """Something long that crosses the picture in front of the object. No class, never salient."""
    lean = rng.uniform(-0.25, 0.25)
    parts = [Part(limb((-lean, -3.0), (lean, 3.0), 0.1, rng.uniform(0.08, 0.14)))]
    if rng.random() < 0.3:
        parts.append(Part(limb((-3.0, rng.uniform(-1, 1)), (3.0, rng.uniform(-1, 1)), 0.08, 0.08)))
    return Shape(parts, relief=0.8)


def grass(rng: np.random.Generator) -> Shape:
    """A tuft of blades. No class, never salient."""
    parts = []
    for _ in range(int(rng.integers(8, 20))):
        foot, lean = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6)
        blade = bezier((foot, 1.0), (foot + lean * 0.3, 0.2), (foot + lean, rng.uniform(-1.0, 0.3)))
        parts.append(Part(ribbon(blade, np.linspace(0.06, 0.01, len(blade))), int(rng.integers(0, 2))))
    return Shape(parts, relief=0.3)


def twig(rng: np.random.Generator) -> Shape:
    """A branch with leaves, from the side. No class, never salient."""
    path = bezier((-1.6, rng.uniform(-0.5, 0.5)), (0.0, rng.uniform(-0.4, 0.4)), (1.2, rng.uniform(-0.6, 0.6)))
    parts = [Part(ribbon(path, np.linspace(0.07, 0.02, len(path))), 1)]
    for at in path[3::2]:
        blade = rotated(_blade(rng.uniform(0.3, 0.5)), rng.uniform(0, 2 * np.pi))
        parts.append(Part(blade + at))
    return Shape(parts, upright=False, relief=0.3)


def _blade(length: float) -> np.ndarray:
    return np.concatenate(
        [bezier((0, 0), (length / 2, -length / 3), (length, 0)), bezier((length, 0), (length / 2, length / 3), (0, 0))]
    )


OCCLUDERS = (pole, grass, twig)
