"""Few plain things in named colours on dull ground: scenes that a network of a million parameters learns in minutes.

Where the full scenes ask whether a method works, these ask whether its code does. A class is a colour and a thing, so
that a network that knows 'red fish' and 'blue mug' can be asked for a 'red mug'.
"""

from dataclasses import replace

import numpy as np

from limelight.data.renderer.backgrounds import BACKGROUNDS, haze, surface
from limelight.data.renderer.colours import Cue, Tone, object_tone
from limelight.data.renderer.plan import Actor, ScenePlan, draw_actor, draw_light, draw_materials, draw_motion

TOYS_REVISION = 2
"""Incremented whenever the same settings draw other toys."""
COLOURS: dict[str, Tone] = {
    "red": Tone(0.58, 0.22, 0.48),
    "yellow": Tone(0.87, 0.17, 1.85),
    "green": Tone(0.66, 0.19, 2.45),
    "blue": Tone(0.52, 0.20, 4.60),
}
THINGS = ("fish", "fruit", "mug", "bottle")
NAMES = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
TOY_CLASSES: dict[int, str] = dict(enumerate(NAMES, start=1))
"""Class id -> name; 0 is the background."""

GROUND = [background for background in BACKGROUNDS if background.draw in (surface, haze)]
"""Without foliage, which a tiny autoencoder cannot reproduce."""
MIN_DISTANCE = 0.42
"""Between two things' centres, share of the side."""


def plan_toys(rng: np.random.Generator, hidden: float) -> ScenePlan:
    """Draw a scene of one to three things, all salient.

    Args:
        hidden: share of scenes whose things are of the ground's colour, so that the image hardly shows what depth and
            heat show. Their class ids still say the colour that they would have had.
    """
    tone = Tone(rng.uniform(0.35, 0.8), rng.uniform(0.0, 0.035), rng.uniform(0, 2 * np.pi))
    cue: Cue = "camouflage" if rng.random() < hidden else "colour"
    actors: list[Actor] = []
    for _ in range(int(rng.choice((1, 2, 3), p=(0.4, 0.4, 0.2)))):
        centre = _free_place(rng, actors)
        if centre is None:
            break
        name = str(rng.choice(NAMES))
        colour, thing = name.split()
        own = COLOURS[colour].shifted(rng.normal(0, 0.03), 0, rng.normal(0, 0.05))
        shown = own if cue == "colour" else object_tone(rng, tone, "camouflage")
        materials = draw_materials(rng, shown, tone, "luminance" if cue == "colour" else cue)
        area = rng.uniform(0.09, 0.18)
        warmth = 0.28 * rng.uniform(0.7, 1.3)
        drawn = draw_actor(
            rng, "salient", thing, materials, area, centre, None, warmth=warmth, motion=draw_motion(rng, centre)
        )
        actors.append(replace(drawn, label=NAMES.index(name) + 1, depth=rng.uniform(0.25, 0.45)))
    background = GROUND[rng.integers(len(GROUND))]
    return ScenePlan(background, None, tone, cue, draw_light(rng), actors, aperture=0.0, night=False)


def _free_place(rng: np.random.Generator, actors: list[Actor]) -> tuple[float, float] | None:
    """A centre away from the others', if a few tries find one."""
    for _ in range(20):
        x, y = rng.uniform(0.2, 0.8, 2)
        if all(np.hypot(x - actor.centre[0], y - actor.centre[1]) >= MIN_DISTANCE for actor in actors):
            return float(x), float(y)
    return None
