"""What a scene holds: which objects, where, how they stand out, how they move. Nothing is rendered yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np

from limelight.data.renderer.backgrounds import BACKGROUNDS, Background
from limelight.data.renderer.colours import (
    CUES,
    Cue,
    Tone,
    background_tone,
    dull_tone,
    free_tone,
    nearby,
    object_tone,
)
from limelight.data.renderer.contours import Shape
from limelight.data.renderer.families import FAMILIES, OCCLUDERS
from limelight.data.renderer.sprites import Light, coverage
from limelight.data.renderer.textures import KINDS, Material

T = TypeVar("T")

EMPTY_SHARE = 0.06
"""Share of scenes without any salient object."""


@dataclass(frozen=True)
class Motion:
    """Movement per frame: shares of the picture's side, radians, and the relative growth."""

    right: float = 0.0
    down: float = 0.0
    spin: float = 0.0
    growth: float = 0.0


@dataclass(frozen=True)
class Actor:
    """One object of a scene.

    Args:
        role: 'salient' objects make up the mask; 'distractor's do not, though they have a class; 'occluder's have
            neither.
        label: class id, 0 for occluders.
        scale: share of the picture's side per unit of the shape.
        area: of the whole silhouette, share of the picture.
        centre: (x, y), shares of the picture.
        depth: relative depth where it does not stand on the ground; None = that of the ground under its foot.
        warmth: added to the surroundings' heat.
        blur: on top of the lens's, share of the side.
    """

    role: Literal["salient", "distractor", "occluder"]
    label: int
    shape: Shape
    materials: list[Material]
    scale: float
    area: float
    centre: tuple[float, float]
    angle: float = 0.0
    stretch: float = 1.0
    mirror: bool = False
    depth: float | None = None
    warmth: float = 0.0
    blur: float = 0.0
    motion: Motion = Motion()


@dataclass(frozen=True)
class ScenePlan:
    """A whole scene."""

    background: Background
    horizon: float | None
    tone: Tone
    cue: Cue
    light: Light
    actors: list[Actor]
    aperture: float
    """Blur of the background: share of the side per unit of relative depth out of focus."""
    night: bool
    pan: Motion = field(default_factory=Motion)


def plan_scene(rng: np.random.Generator, *, salient: bool | None = None) -> ScenePlan:
    """Draw a scene.

    Args:
        salient: False for none, True for at least one salient object; None = random.
    """
    if salient is None:
        salient = rng.random() >= EMPTY_SHARE
    background = _weighted(rng, BACKGROUNDS, [background.share for background in BACKGROUNDS])
    horizon = rng.uniform(*background.horizon) if background.horizon else None
    tone, cue = background_tone(rng), _weighted(rng, list(CUES), list(CUES.values()))
    warm = rng.choice((0.28, 0.0, -0.12), p=(0.86, 0.09, 0.05))
    actors = _salient_actors(rng, tone, cue, warm, horizon) if salient else []
    smallest = min((actor.area for actor in actors), default=0.03)
    for _ in range(int(rng.choice(6, p=(0.22, 0.25, 0.22, 0.15, 0.1, 0.06)))):
        actors.append(_distractor(rng, tone, smallest, horizon))
    if rng.random() < 0.16:
        actors.append(_occluder(rng, tone, actors))
    light = draw_light(rng)
    aperture = rng.uniform(0.03, 0.09) if cue == "focus" else rng.choice((0.0, rng.uniform(0, 0.03)))
    right, down, spin = rng.normal(0, (0.006, 0.003, 0.004))
    pan = Motion(right, down, spin, growth=rng.normal(0, 0.003))
    return ScenePlan(
        background, horizon, tone, cue, light, actors, float(aperture), night=bool(rng.random() < 0.04), pan=pan
    )


def _weighted(rng: np.random.Generator, items: Sequence[T], shares: list[float]) -> T:
    return items[rng.choice(len(items), p=np.array(shares) / sum(shares))]


def draw_light(rng: np.random.Generator) -> Light:
    """From above, from the front or from a side, never from below."""
    turn, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.1)
    right, down = np.cos(turn) * np.cos(rise), -abs(np.sin(turn)) * np.cos(rise)
    return Light((float(right), float(down), float(np.sin(rise))), rng.uniform(0.3, 0.65))


def _salient_actors(rng: np.random.Generator, tone: Tone, cue: Cue, warm: float, horizon: float | None) -> list[Actor]:
    count = int(rng.choice((1, 2, 3, 4), p=(0.68, 0.2, 0.08, 0.04)))
    same_family = rng.random() < 0.6
    name = str(rng.choice(list(FAMILIES)))
    if rng.random() < 0.08:
        count, total = 1, rng.uniform(0.01, 0.03)
    else:
        total = float(np.exp(rng.uniform(np.log(0.05), np.log(0.5))))
    middle, spread = rng.normal(0.5, 0.1, 2), rng.uniform(0.1, 0.28)
    if rng.random() < 0.15:  # cut off by the picture's edge
        middle[rng.integers(2)] = rng.choice((rng.uniform(-0.02, 0.15), rng.uniform(0.85, 1.02)))
    actors = []
    for number in range(count):
        offset = (0.0, 0.0) if count == 1 else spread * np.array([np.cos(2.4 * number), 0.5 * np.sin(2.4 * number)])
        family = name if same_family else str(rng.choice(list(FAMILIES)))
        centre = (float(middle[0] + offset[0]), float(middle[1] + offset[1]))
        area = total / count * rng.uniform(0.7, 1.3)
        materials = draw_materials(rng, object_tone(rng, tone, cue), tone, cue)
        warmth = warm * rng.uniform(0.7, 1.3)
        actors.append(
            draw_actor(
                rng, "salient", family, materials, area, centre, horizon, warmth=warmth, motion=draw_motion(rng, centre)
            )
        )
    return actors


def _distractor(rng: np.random.Generator, tone: Tone, smallest: float, horizon: float | None) -> Actor:
    """Something of little weight: smaller than the salient objects, off the middle, dull or out of focus."""
    family = str(rng.choice(list(FAMILIES)))
    area = min(smallest * rng.uniform(0.04, 0.2), 0.03)
    turn, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.6)
    centre = (float(0.5 + reach * np.cos(turn)), float(0.55 + reach * np.sin(turn)))
    vivid = rng.random() < 0.25
    own = free_tone(rng) if vivid else dull_tone(rng, tone)
    materials = draw_materials(rng, own, tone, "camouflage" if not vivid else "free")
    warmth = rng.uniform(0.1, 0.3) if rng.random() < 0.08 else rng.uniform(-0.06, 0.04)
    blur = rng.uniform(0.004, 0.02) * min(1.0, np.sqrt(area) * 8) if vivid or rng.random() < 0.4 else 0.0
    return draw_actor(rng, "distractor", family, materials, area, centre, horizon, warmth=warmth, blur=blur)


def _occluder(rng: np.random.Generator, tone: Tone, actors: list[Actor]) -> Actor:
    """A dull thing near the camera that hides a part of the first actor."""
    shape = OCCLUDERS[rng.integers(len(OCCLUDERS))](rng)
    target = actors[0] if actors else None
    area = rng.uniform(0.2, 0.5) * (target.area if target else 0.08)
    x, y = target.centre if target else (0.5, 0.6)
    reach = np.sqrt(target.area) * 0.35 if target else 0.2
    centre = (x + rng.normal(0, reach), y + (rng.uniform(0, reach) if shape.upright else rng.normal(0, reach)))
    materials = draw_materials(rng, dull_tone(rng, tone), tone, "camouflage")
    blur = rng.uniform(0.0, 0.02)
    scale = float(np.sqrt(area / max(coverage(shape), 0.05)))
    return Actor("occluder", 0, shape, materials, scale, area, centre, depth=rng.uniform(0.06, 0.12), blur=blur)


def draw_actor(
    rng: np.random.Generator,
    role: Literal["salient", "distractor"],
    family: str,
    materials: list[Material],
    area: float,
    centre: tuple[float, float],
    horizon: float | None,
    *,
    warmth: float,
    blur: float = 0.0,
    motion: Motion = Motion(),
) -> Actor:
    shape = FAMILIES[family](rng)
    angle = rng.normal(0, 0.12) if shape.upright else rng.uniform(0, 2 * np.pi)
    floating = None if shape.upright or rng.random() < 0.6 else rng.uniform(0.25, 0.5)
    scale = float(np.sqrt(area / max(coverage(shape), 0.05)))
    if shape.upright and horizon is not None:
        centre = _grounded(rng, shape, scale, centre, horizon)
    return Actor(
        role,
        list(FAMILIES).index(family) + 1,
        shape,
        materials,
        scale,
        area,
        centre,
        angle=float(angle),
        stretch=float(np.exp(rng.normal(0, 0.12))),
        mirror=bool(rng.random() < 0.5),
        depth=floating,
        warmth=float(warmth),
        blur=blur,
        motion=motion,
    )


def _grounded(
    rng: np.random.Generator, shape: Shape, scale: float, centre: tuple[float, float], horizon: float
) -> tuple[float, float]:
    """The centre, moved down where the foot would hang above the horizon."""
    reach = scale * max(part.outline[:, 1].max() for part in shape.parts)
    if centre[1] + reach > horizon + 0.03:
        return centre
    return centre[0], float(rng.uniform(horizon + 0.03, 0.97) - reach)


def draw_materials(rng: np.random.Generator, tone: Tone, background: Tone, cue: Cue) -> list[Material]:
    """One per slot: the body, an accent, a second accent, and something dark."""
    contrast = {"texture": 2.2, "camouflage": 0.6}.get(cue, 1.0)
    period = rng.uniform(0.03, 0.12)
    kinds = KINDS[1:] if cue == "texture" else ("plain", "plain", *KINDS)
    gloss = rng.uniform(0.1, 0.6) if rng.random() < 0.35 else 0.0
    body = Material(
        str(rng.choice(kinds)), tone.rgb, nearby(rng, tone, contrast).rgb, period, rng.uniform(0, np.pi), gloss
    )
    accents = []
    for _ in range(2):
        if cue in ("camouflage", "luminance", "texture"):
            accent = nearby(rng, tone, contrast)
        else:
            accent = nearby(rng, tone, 1.5) if rng.random() < 0.5 else free_tone(rng)
        kind = "plain" if rng.random() < 0.6 else str(rng.choice(KINDS))
        accents.append(Material(kind, accent.rgb, nearby(rng, accent).rgb, period, rng.uniform(0, np.pi)))
    dark = (
        background.shifted(-0.1, -0.1) if cue == "camouflage" else Tone(rng.uniform(0.1, 0.3), 0.02, rng.uniform(0, 6))
    )
    return [body, *accents, Material("plain", dark.rgb, dark.rgb, period)]


def draw_motion(rng: np.random.Generator, centre: tuple[float, float]) -> Motion:
    """A drift across the picture, towards its middle when the object begins near an edge."""
    speed = rng.uniform(0.008, 0.022)
    to_middle = np.array([0.5, 0.5]) - centre
    near_edge = np.abs(to_middle).max() > 0.15
    heading = np.arctan2(*to_middle[::-1]) + rng.normal(0, 0.5) if near_edge else rng.uniform(0, 2 * np.pi)
    drift = speed * np.cos(heading), 0.5 * speed * np.sin(heading)
    return Motion(float(drift[0]), float(drift[1]), float(rng.normal(0, 0.02)), float(rng.normal(0, 0.008)))
