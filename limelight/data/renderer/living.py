"""Shapes of living things: animals, people and plants, each a random member of its family."""

import numpy as np

from limelight.data.renderer.contours import (
    Part,
    Shape,
    bezier,
    ellipse,
    fourier_blob,
    limb,
    ribbon,
    rotated,
)


def quadruped(rng: np.random.Generator) -> Shape:
    """Dog, horse, cow or cat: body, four legs, neck, head, ears, tail."""
    length, depth, leg = rng.uniform(0.5, 0.7), rng.uniform(0.2, 0.34), rng.uniform(0.3, 0.75)
    thick, hip = rng.uniform(0.05, 0.1), -0.05
    head = (length + rng.uniform(0.1, 0.3), hip - rng.uniform(0.15, 0.6))
    foot = hip + depth * 0.6 + leg
    parts = []
    for x, far in ((-0.72, True), (0.62, True), (-0.8, False), (0.75, False)):
        step = rng.uniform(-0.16, 0.16)
        legs = limb((x * length, hip + depth * 0.3), (x * length + step, foot), 1.5 * thick, thick)
        parts.append(Part(legs, 1 if far and rng.random() < 0.5 else 0))
    tail = bezier(
        (-length, hip - 0.1),
        (-length - rng.uniform(0.1, 0.4), hip - rng.uniform(-0.2, 0.5)),
        (-length - 0.3, hip + rng.uniform(-0.5, 0.4)),
    )
    parts.append(Part(ribbon(tail, np.linspace(0.07, rng.uniform(0.02, 0.08), len(tail)))))
    parts.append(Part(ellipse((0, hip), (length * 1.1, depth), rng.uniform(-0.08, 0.08))))
    parts.append(Part(limb((length * 0.75, hip - 0.05), head, depth * 0.75, 0.13)))
    skull = rng.uniform(0.13, 0.2)
    parts.append(Part(ellipse((head[0] + 0.06, head[1]), (skull * rng.uniform(1.1, 1.5), skull), rng.uniform(0, 0.5))))
    for shift in (-0.1, 0.02):
        tip = (head[0] + shift - 0.03, head[1] - skull - rng.uniform(0.05, 0.2))
        parts.append(Part(limb((head[0] + shift, head[1] - skull * 0.6), tip, 0.06, 0.02), 1))
    parts.append(Part(ellipse((head[0] + 0.1, head[1] - 0.04), (0.03, 0.03)), 3, "decal"))
    if rng.random() < 0.4:
        parts.append(Part(fourier_blob(rng, 0.5) * (0.3, 0.16) + (rng.uniform(-0.3, 0.3), hip), 2, "decal"))
    return Shape(parts, relief=0.9)


def bird(rng: np.random.Generator) -> Shape:
    """A standing bird, or in a third of the cases a flying one."""
    flying = rng.random() < 0.35
    plump = rng.uniform(0.24, 0.42)
    tilt = rng.uniform(-0.5, 0.1)
    parts = []
    if not flying:
        for x in (-0.05, 0.1):
            parts.append(Part(limb((x, plump * 0.7), (x + rng.uniform(-0.1, 0.1), plump + 0.35), 0.03, 0.025), 2))
    tail = np.array([(-0.5, -0.05), (-1.0, rng.uniform(-0.25, 0.25)), (-0.95, rng.uniform(0.05, 0.4)), (-0.45, 0.12)])
    parts.append(Part(tail, 1))
    parts.append(Part(ellipse((0, 0), (0.62, plump), tilt)))
    head = (0.52 + rng.uniform(-0.05, 0.1), -plump * rng.uniform(0.7, 1.5))
    parts.append(Part(limb((0.35, -0.1), head, plump * 0.6, 0.17)))
    parts.append(Part(ellipse(head, (0.2, 0.18))))
    beak = rng.uniform(0.14, 0.4)
    parts.append(
        Part(
            np.array(
                [
                    (head[0] + 0.14, head[1] - 0.06),
                    (head[0] + 0.16 + beak, head[1] + 0.03),
                    (head[0] + 0.14, head[1] + 0.09),
                ]
            ),
            2,
        )
    )
    parts.append(Part(ellipse((head[0] + 0.07, head[1] - 0.04), (0.035, 0.035)), 3, "decal"))
    if flying:
        sweep = rng.uniform(-0.5, 0.3)
        wing = np.concatenate(
            [
                bezier((0.3, -0.05), (0.2 + sweep, -0.7), (sweep - 0.1, -1.1)),
                bezier((sweep - 0.1, -1.1), (sweep - 0.35, -0.5), (-0.3, 0.0)),
            ]
        )
        parts.append(Part(wing, 1))
    else:
        wing = np.concatenate(
            [
                bezier((0.28, -0.12), (-0.2, -plump), (-0.75, 0.05)),
                bezier((-0.75, 0.05), (-0.1, plump * 0.9), (0.28, -0.05)),
            ]
        )
        parts.append(Part(wing, 1, "solid"))
    return Shape(parts, upright=not flying, relief=0.8)


def fish(rng: np.random.Generator) -> Shape:
    """Body, tail fin, back and belly fins."""
    height = rng.uniform(0.24, 0.5)
    body = np.concatenate(
        [bezier((0.85, 0), (0.3, -1.6 * height), (-0.55, -0.06)), bezier((-0.55, 0.06), (0.3, 1.6 * height), (0.85, 0))]
    )
    fork = rng.uniform(-0.85, -0.65)
    span = rng.uniform(0.2, 0.45)
    tail = np.array([(-0.5, -0.05), (-1, -span), (fork, 0), (-1, span * rng.uniform(0.7, 1.1)), (-0.5, 0.05)])
    back = np.concatenate(
        [bezier((0.4, -height * 0.6), (0.0, -height * rng.uniform(1.5, 2.2)), (-0.4, -0.15)), [(0, 0)]]
    )
    belly = np.array([(0.2, height * 0.5), (-0.1, height * rng.uniform(1.0, 1.6)), (-0.2, height * 0.4)])
    side = ellipse((0.15, 0.08), (0.16, 0.08), 0.5)
    parts = [Part(tail, 1), Part(back, 1), Part(belly, 1), Part(body), Part(side, 1, "decal")]
    if rng.random() < 0.5:
        parts += [Part(ellipse((x, 0), (0.05, height)), 2, "decal") for x in (-0.3, 0.0, 0.35)]
    parts.append(Part(ellipse((0.62, -0.07), (0.05, 0.05)), 3, "decal"))
    return Shape(parts, upright=False, relief=0.7)


def person(rng: np.random.Generator) -> Shape:
    """Head, torso, two arms, two legs in a random pose; trousers and shirt of their own colours."""
    shoulder, hip, foot = -0.45, 0.15, 1.0
    broad, stout = rng.uniform(0.2, 0.28), rng.uniform(0.07, 0.12)
    parts = []
    for side in (-1, 1):
        knee = (side * rng.uniform(0.08, 0.3), 0.58)
        ankle = (knee[0] + rng.uniform(-0.2, 0.2), foot)
        parts.append(Part(limb((side * 0.1, hip), knee, stout * 1.1, stout * 0.9), 1))
        parts.append(Part(limb(knee, ankle, stout * 0.9, stout * 0.7), 1))
        parts.append(Part(limb(ankle, (ankle[0] + 0.1, foot + 0.02), stout * 0.7, stout * 0.6), 3))
    torso = np.array([(-broad, shoulder), (broad, shoulder), (broad * 0.8, hip + 0.08), (-broad * 0.8, hip + 0.08)])
    parts.append(Part(torso))
    for side in (-1, 1):
        elbow = (side * rng.uniform(0.3, 0.5), rng.uniform(-0.45, 0.0))
        hand = (elbow[0] + side * rng.uniform(-0.25, 0.25), elbow[1] + rng.uniform(-0.4, 0.35))
        parts.append(Part(limb((side * broad * 0.9, shoulder + 0.06), elbow, stout * 0.8, stout * 0.65)))
        parts.append(Part(limb(elbow, hand, stout * 0.65, stout * 0.6), 2))
    parts.append(Part(limb((0, shoulder), (0, shoulder - 0.12), 0.07, 0.07), 2))
    parts.append(Part(ellipse((0, shoulder - 0.27), (0.14, 0.17)), 2))
    parts.append(Part(ellipse((0, shoulder - 0.35), (0.15, 0.11)), 3))
    return Shape(parts, relief=0.8)


def leaf(rng: np.random.Generator) -> Shape:
    """One broad leaf with veins, or a compound one of small leaflets."""
    stem = ribbon(bezier((0, 0.6), (rng.uniform(-0.1, 0.1), 0.9), (rng.uniform(-0.2, 0.2), 1.2)), 0.03)
    parts = [Part(stem, 1)]
    width = rng.uniform(0.3, 0.7)
    if rng.random() < 0.35:
        parts.append(Part(ribbon(bezier((0, -0.8), (0.05, 0), (0, 0.7)), 0.025), 1))
        for y in np.linspace(-0.75, 0.45, int(rng.integers(3, 6))):
            for side in (-1, 1):
                blade = ellipse((0.32, 0), (0.33, 0.13 + 0.06 * width)) * (side, 1)
                parts.append(Part(rotated(blade, side * -0.5) + np.array((0, y))))
        return Shape(parts, upright=False, relief=0.25)
    blade = np.concatenate(
        [
            bezier((0, -1), (width * 1.6, rng.uniform(-0.3, 0.5)), (0, 0.7)),
            bezier((0, 0.7), (-width * 1.6, rng.uniform(-0.3, 0.5)), (0, -1)),
        ]
    )
    parts.append(Part(blade))
    parts.append(Part(ribbon(np.array([(0.0, -0.9), (0, 0), (0, 0.7)]), 0.02), 1, "decal"))
    for y in np.linspace(-0.5, 0.5, 5):
        for side in (-1, 1):
            parts.append(
                Part(
                    ribbon(np.array([(0, y), (side * width * 0.3, y - 0.12), (side * width * 0.6, y - 0.3)]), 0.012),
                    1,
                    "decal",
                )
            )
    return Shape(parts, upright=False, relief=0.3)


def flower(rng: np.random.Generator) -> Shape:
    """Petals around a heart, with or without a stem and leaves."""
    petals, reach = int(rng.integers(5, 13)), rng.uniform(0.28, 0.42)
    stemmed = rng.random() < 0.55
    centre, scale = ((0, -0.45), 0.6) if stemmed else ((0, 0), 1.0)
    parts = []
    if stemmed:
        path = bezier((0, -0.4), (rng.uniform(-0.3, 0.3), 0.3), (rng.uniform(-0.15, 0.15), 1.1))
        parts.append(Part(ribbon(path, 0.04), 2))
        for side in (-1, 1):
            parts.append(
                Part(rotated(ellipse((0.3, 0), (0.3, 0.09)), -0.5) * (side, 1) + (path[10][0], path[10][1]), 2)
            )
    breadth = rng.uniform(0.8, 1.3) * np.pi * (1 - reach) / petals
    for turn in np.arange(petals) * 2 * np.pi / petals + rng.uniform(0, 1):
        petal = rotated(ellipse((1 - reach, 0), (reach, breadth)), turn)
        parts.append(Part(petal * scale + centre))
    core = rng.uniform(0.2, 0.4)
    parts.append(Part(ellipse(centre, ((1 - reach) * scale * (0.6 + core), (1 - reach) * scale * (0.6 + core))), 0))
    parts.append(Part(ellipse(centre, (core * scale, core * scale)), 1))
    return Shape(parts, upright=stemmed, relief=0.5)


def fruit(rng: np.random.Generator) -> Shape:
    """Apple, pear, lemon or a bunch of berries, with a stalk."""
    stalk = ribbon(bezier((0, -0.6), (0.02, -0.8), (rng.uniform(-0.2, 0.2), -1.0)), 0.04)
    parts = [Part(stalk, 1)]
    if rng.random() < 0.35:
        for y, count in ((-0.45, 3), (-0.1, 4), (0.22, 3), (0.52, 2), (0.8, 1)):
            for x in (np.arange(count) - (count - 1) / 2) * 0.36 + rng.uniform(-0.05, 0.05):
                parts.append(Part(ellipse((x, y), (0.22, 0.22))))
        return Shape(parts, relief=1.0)
    neck, width = rng.uniform(0.25, 0.75), rng.uniform(0.65, 0.9)
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = np.where(np.sin(turn) < 0, width * (1 - (1 - neck) * np.sin(turn) ** 2 * 0.6), width)
    body = np.stack([radius * np.cos(turn), 0.15 + 0.8 * np.sin(turn)], 1)
    parts.append(Part(body))
    if rng.random() < 0.6:
        parts.append(Part(rotated(ellipse((0.3, 0), (0.3, 0.12)), -0.4) + np.array((0.02, -0.7)), 2))
    return Shape(parts, relief=1.0)
