"""Shapes of made things: vessels, vehicles, furniture, rings and tools, each a random member of its family."""

import numpy as np

from limelight.data.renderer.contours import (
    Part,
    Shape,
    bezier,
    box,
    ellipse,
    fourier_blob,
    jagged,
    lathe,
    limb,
    ribbon,
    rotated,
    star,
    superformula,
)


def blob(rng: np.random.Generator) -> Shape:
    """Stones, dough, cushions: a smooth closed curve, or a superformula figure."""
    outline = fourier_blob(rng, rng.uniform(0.1, 0.5)) if rng.random() < 0.6 else superformula(rng)
    parts = [Part(outline)]
    for _ in range(int(rng.integers(0, 4))):
        parts.append(Part(fourier_blob(rng) * rng.uniform(0.1, 0.3) + rng.uniform(-0.5, 0.5, 2), 1, "decal"))
    return Shape(parts, upright=False, relief=rng.uniform(0.4, 1.0))


def tile(rng: np.random.Generator) -> Shape:
    """Stars, signs and broken slabs: straight-edged and flat."""
    kind = rng.integers(3)
    if kind == 0:
        outline = star(int(rng.integers(4, 9)), rng.uniform(0.35, 0.7))
    elif kind == 1:
        outline = jagged(rng, int(rng.integers(5, 9)))
    else:
        outline = rotated(star(int(rng.integers(3, 9)), 1.0)[::2], rng.uniform(0, 1))
    parts = [Part(outline)]
    if rng.random() < 0.6:
        parts.append(Part(outline * rng.uniform(0.45, 0.75), 1, "decal"))
    return Shape(parts, upright=False, relief=0.25)


def bottle(rng: np.random.Generator) -> Shape:
    """Body, shoulder, neck, cap and label."""
    body, neck = rng.uniform(0.24, 0.45), rng.uniform(0.08, 0.14)
    shoulder, top = rng.uniform(-0.45, 0.0), -0.85
    profile = [(neck, top), (neck, shoulder - 0.25), (body, shoulder), (body, 0.9), (body * 0.9, 1.0), (0.0, 1.0)]
    parts = [Part(lathe(profile)), Part(box(-neck * 1.3, top - 0.15, neck * 1.3, top + 0.05), 1)]
    if rng.random() < 0.7:
        low = shoulder + 0.15
        parts.append(Part(box(-body, low, body, low + rng.uniform(0.3, 0.6)), 2, "decal"))
    return Shape(parts, relief=1.0)


def mug(rng: np.random.Generator) -> Shape:
    """A cup or a jug with a handle one can look through, and its dark mouth."""
    top, foot = rng.uniform(0.5, 0.7), rng.uniform(0.35, 0.65)
    height = rng.uniform(0.5, 0.85)
    grip, thick = rng.uniform(0.28, 0.42), rng.uniform(0.07, 0.11)
    handle = bezier(
        (foot, -height * 0.6), (top + 1.6 * grip, -height * 0.7), (top + 1.6 * grip, height * 0.6), (foot, height * 0.6)
    )
    parts = [
        Part(ribbon(handle, thick)),
        Part(lathe([(top, -height), (foot, height * 0.85), (foot * 0.9, height), (0, height)])),
    ]
    parts.append(Part(ellipse((0, -height), (top, 0.14)), 0))
    parts.append(Part(ellipse((0, -height), (top * 0.88, 0.1)), 3, "decal"))
    if rng.random() < 0.6:
        parts.append(Part(box(-top, -0.12 * height, top, rng.uniform(0.1, 0.5) * height), 1, "decal"))
    return Shape(parts, relief=1.0)


def car(rng: np.random.Generator) -> Shape:
    """Car, van or truck from the side: body, cabin, windows, wheels."""
    long, deck = 1.0, rng.uniform(-0.05, 0.1)
    roof = deck - rng.uniform(0.3, 0.6)
    back, front = rng.uniform(-0.95, -0.5), rng.uniform(0.15, 0.6)
    slope = rng.uniform(0.08, 0.3)
    cabin = np.array([(back, deck + 0.02), (back + slope * 0.5, roof), (front, roof), (front + slope, deck + 0.02)])
    body = np.array(
        [
            (-long, deck + 0.06),
            (-long + 0.08, deck),
            (long - 0.2, deck + 0.02),
            (long, deck + 0.14),
            (long, 0.42),
            (-long, 0.42),
        ]
    )
    parts = [Part(cabin), Part(body)]
    middle = (back + front) / 2 + rng.uniform(-0.1, 0.1)
    inset = (deck - roof) * 0.15
    parts.append(
        Part(
            np.array(
                [
                    (back + slope * 0.7, deck - inset),
                    (back + slope * 0.7, roof + inset),
                    (middle - 0.03, roof + inset),
                    (middle - 0.03, deck - inset),
                ]
            ),
            1,
            "decal",
        )
    )
    parts.append(
        Part(
            np.array(
                [
                    (middle + 0.03, deck - inset),
                    (middle + 0.03, roof + inset),
                    (front - 0.02, roof + inset),
                    (front + slope * 0.75, deck - inset),
                ]
            ),
            1,
            "decal",
        )
    )
    radius = rng.uniform(0.17, 0.25)
    for x in (-0.6, 0.58):
        parts.append(Part(ellipse((x, 0.42), (radius, radius)), 3))
        parts.append(Part(ellipse((x, 0.42), (radius * 0.5, radius * 0.5)), 2, "decal"))
    return Shape(parts, relief=0.5)


def ring(rng: np.random.Generator) -> Shape:
    """Tyres, doughnuts, frames and cog wheels: things with a hole."""
    inner = rng.uniform(0.35, 0.75)
    kind = rng.integers(3)
    if kind == 0:
        squash = (1.0, rng.uniform(0.5, 1.0))
        outer, hole = ellipse((0, 0), squash, points=60), ellipse((0, 0), squash, points=60) * inner
    elif kind == 1:
        outer, hole = star(int(rng.integers(8, 15)), 0.82), ellipse((0, 0), (inner * 0.8, inner * 0.8))
    else:
        corners = int(rng.integers(3, 7))
        outer = star(corners, np.cos(np.pi / corners))
        hole = outer * inner
    parts = [Part(outer), Part(hole, kind="hole")]
    if rng.random() < 0.3:
        parts += [Part(limb((0, 0), tuple(0.9 * outer[i]), 0.06, 0.05)) for i in range(0, len(outer), len(outer) // 3)]
    return Shape(parts, upright=False, relief=0.9)


def chair(rng: np.random.Generator) -> Shape:
    """Chair, stool or table: thin legs, gaps between them."""
    seat, half = rng.uniform(-0.05, 0.2), rng.uniform(0.4, 0.6)
    thin = rng.uniform(0.035, 0.06)
    skew = rng.uniform(0.08, 0.22)
    parts = [Part(limb((x, seat), (x * rng.uniform(0.95, 1.15), 1.0), thin, thin * 0.8)) for x in (-half, half)]
    parts += [Part(limb((x + skew, seat), (x * 0.9 + skew, 0.84), thin, thin * 0.8)) for x in (-half, half)]
    parts.append(
        Part(
            np.array(
                [
                    (-half - 0.05, seat),
                    (-half + skew, seat - 0.16),
                    (half + skew, seat - 0.16),
                    (half + 0.05, seat),
                    (half + 0.05, seat + 0.08),
                    (-half - 0.05, seat + 0.08),
                ]
            ),
            1,
        )
    )
    if rng.random() < 0.75:
        top, tilt = -1.0, rng.uniform(-0.1, 0.2)
        for x in (-half + skew, half + skew):
            parts.append(Part(limb((x, seat - 0.1), (x + tilt, top), thin, thin)))
        rails = (-0.95, -0.7, -0.45) if rng.random() < 0.6 else (-0.9,)
        for y in rails:
            parts.append(
                Part(limb((-half + skew + tilt * 0.8, y), (half + skew + tilt * 0.8, y), thin * 1.3, thin * 1.3))
            )
    return Shape(parts, relief=0.6)


def bicycle(rng: np.random.Generator) -> Shape:
    """Two spoked wheels and a frame: thin structures, mostly holes."""
    radius, thin = rng.uniform(0.36, 0.44), rng.uniform(0.025, 0.045)
    parts = []
    for x in (-0.62, 0.62):
        rim = ellipse((x, 0.4), (radius, radius), points=60)
        parts += [
            Part(rim, 3),
            Part(ellipse((x, 0.4), (radius - 2.2 * thin, radius - 2.2 * thin), points=60), kind="hole"),
        ]
        for turn in np.linspace(0, np.pi, 4, endpoint=False) + rng.uniform(0, 1):
            hub, spoke = np.array((x, 0.4)), np.array([np.cos(turn), np.sin(turn)]) * (radius - thin)
            parts.append(Part(limb(tuple(hub - spoke), tuple(hub + spoke), thin * 0.3, thin * 0.3), 2))
    pedal, saddle, bar = (-0.05, 0.42), (-0.25, -0.3), (0.45, -0.3)
    for start, end in (((-0.62, 0.4), pedal), (pedal, bar), (saddle, pedal), (saddle, (-0.62, 0.4)), (saddle, bar)):
        parts.append(Part(limb(start, end, thin, thin)))
    grip = (bar[0] - 0.05, bar[1] - 0.18)
    parts += [
        Part(limb(grip, (0.62, 0.4), thin, thin)),
        Part(limb(grip, (grip[0] - 0.2, grip[1] - 0.05), thin, thin), 3),
    ]
    parts.append(Part(ellipse((saddle[0], saddle[1] - 0.08), (0.16, 0.05)), 1))
    return Shape(parts, relief=0.6)


def lamp(rng: np.random.Generator) -> Shape:
    """A lamp, a parasol or a mushroom: cap, stalk, foot."""
    cap, stalk = rng.uniform(0.45, 0.9), rng.uniform(0.04, 0.16)
    brim = rng.uniform(-0.35, 0.1)
    parts = [Part(limb((0, brim), (0, 0.95), stalk * rng.uniform(0.6, 1), stalk), 1)]
    if rng.random() < 0.6:
        parts.append(Part(ellipse((0, 0.95), (rng.uniform(0.2, 0.45), 0.08)), 1))
    if rng.random() < 0.5:
        dome = np.concatenate(
            [bezier((-cap, brim), (-cap, -1.1), (cap, -1.1), (cap, brim), points=30), [(0.0, brim + 0.1)]]
        )
    else:
        peak = cap * rng.uniform(0.2, 0.7)
        dome = np.array([(-peak, -0.9), (peak, -0.9), (cap, brim), (-cap, brim)])
    parts.append(Part(dome))
    for _ in range(int(rng.integers(0, 5))):
        spot = (rng.uniform(-0.5, 0.5) * cap, brim - rng.uniform(0.1, 0.5))
        parts.append(Part(ellipse(spot, (0.1, 0.08)), 2, "decal"))
    return Shape(parts, relief=0.9)


def boat(rng: np.random.Generator) -> Shape:
    """A hull with sails, or with a cabin and a funnel."""
    hull = np.array([(-0.95, 0.45), (1.0, rng.uniform(0.35, 0.45)), (0.65, 0.9), (-0.75, 0.9)])
    if rng.random() < 0.6:
        mast = rng.uniform(-0.15, 0.2)
        parts = [Part(limb((mast, 0.5), (mast, -1.0), 0.035, 0.025), 3)]
        parts.append(
            Part(
                np.concatenate(
                    [
                        bezier((mast + 0.04, -0.95), (mast + 0.7, -0.2), (mast + rng.uniform(0.5, 0.75), 0.35)),
                        [(mast + 0.04, 0.32)],
                    ]
                ),
                1,
            )
        )
        parts.append(
            Part(np.array([(mast - 0.05, -0.8), (mast - rng.uniform(0.4, 0.7), 0.35), (mast - 0.05, 0.32)]), 1)
        )
    else:
        parts = [
            Part(box(-0.55, 0.05, 0.35, 0.5), 1),
            Part(box(-0.35, -0.25, 0.05, 0.08), 1),
            Part(box(-0.25, -0.7, -0.05, -0.2), 2),
        ]
        parts += [Part(ellipse((x, 0.25), (0.07, 0.07)), 3, "decal") for x in (-0.4, -0.1, 0.2)]
    return Shape([*parts, Part(hull)], relief=0.5)
