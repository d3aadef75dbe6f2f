"""What stands behind the objects: rooms, landscapes, water, streets, shelves, surfaces seen from above.

Every one gives colour, relative depth and warmth, pixel for pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from limelight.data.renderer.colours import Tone, dull_tone, free_tone, nearby
from limelight.data.renderer.contours import box, ellipse, rotated
from limelight.data.renderer.textures import KINDS, Material, albedo, fractal_noise, soft_blur, spread

FARTHEST_DEPTH = 0.97
NEAR_GROUND = 0.16
"""Relative depth at the horizon's far side, and of the ground at the picture's lower edge."""


@dataclass(frozen=True)
class Backdrop:
    """A picture without objects.

    Args:
        colour_HW3: float32 sRGB in [0, 1].
        depth_HW: float32 in (0, 1], near = small.
        heat_HW: float32 in [0, 1].
    """

    colour_HW3: np.ndarray
    depth_HW: np.ndarray
    heat_HW: np.ndarray


def material_near(
    rng: np.random.Generator, tone: Tone, kinds: tuple[str, ...] = KINDS, spread: float = 1.0
) -> Material:
    """A surface in colours of `tone`'s family."""
    second = nearby(rng, tone, 1.3 * spread)
    kind = str(rng.choice(kinds))
    return Material(kind, tone.rgb, second.rgb, rng.uniform(0.05, 0.3), rng.uniform(0, np.pi))


def room(rng: np.random.Generator, tone: Tone, side: int, horizon: float) -> Backdrop:
    """A wall with pictures, windows or shelves, above a floor or a table."""
    wall_kinds = ("plain", "noise", "stripes", "bricks", "gradient", "plaid", "speckle", "spots")
    colour_HW3 = albedo(material_near(rng, tone, wall_kinds, 0.5), rng, side, side, side)
    for _ in range(int(rng.integers(0, 5))):
        _hang(rng, colour_HW3, tone, horizon, side)
    floor_tone = nearby(rng, tone, 1.8) if rng.random() < 0.6 else free_tone(rng)
    floor = material_near(rng, floor_tone, ("wood", "checks", "noise", "plain", "speckle", "stripes", "marble"))
    depth_HW = _ground(rng, colour_HW3, floor, horizon, side, wall_depth=rng.uniform(0.6, 0.85))
    row = int(horizon * side)
    if rng.random() < 0.5:
        colour_HW3[max(row - side // 40, 0) : row] = nearby(rng, tone, 1.5).rgb
    return Backdrop(colour_HW3, depth_HW, _ambient_heat(rng, side))


def landscape(rng: np.random.Generator, tone: Tone, side: int, horizon: float) -> Backdrop:
    """Sky, hills and open ground."""
    colour_HW3 = _sky(rng, side, horizon)
    depth_HW = np.full((side, side), FARTHEST_DEPTH, np.float32)
    heat_HW = _ambient_heat(rng, side)
    heat_HW[: int(horizon * side)] *= np.float32(rng.uniform(0.2, 0.6))
    for layer in range(int(rng.integers(0, 4))):
        profile = fractal_noise(rng, 1, side, (1, side / rng.uniform(1.5, 6)), octaves=5)[0]
        top = (horizon - 0.03 - (0.32 - 0.08 * layer) * profile) * side
        hill_HW = np.arange(side)[:, None] > top[None]
        hill_tone = dull_tone(rng, tone).shifted(lightness=0.12 - 0.06 * layer)
        surface = material_near(rng, hill_tone, ("noise", "speckle", "patches", "plain"), 0.5)
        cv2.copyTo(albedo(surface, rng, side, side, side), hill_HW.astype(np.uint8), colour_HW3)
        depth_HW[hill_HW] = 0.93 - 0.05 * layer
    ground = material_near(rng, tone, ("noise", "speckle", "patches", "fur", "plain", "stripes"))
    ground_depth_HW = _ground(rng, colour_HW3, ground, horizon, side, wall_depth=FARTHEST_DEPTH)
    below = int(horizon * side)
    depth_HW[below:] = ground_depth_HW[below:]
    return Backdrop(colour_HW3, depth_HW, heat_HW)


def water(rng: np.random.Generator, tone: Tone, side: int, horizon: float) -> Backdrop:
    """Waves under a sky, or water all over."""
    colour_HW3 = _sky(rng, side, horizon)
    row = int(horizon * side)
    ripple_HW = fractal_noise(rng, side - row, side, (side / 25, side / 5), octaves=3, gain=0.7)
    perspective = np.linspace(0.5, 1.6, side - row, dtype=np.float32)[:, None]
    sparkle_HW3 = spread(((ripple_HW - 0.5) * perspective + 0.5).clip(0, 1))
    crest_tone = nearby(rng, tone, 1.5).shifted(lightness=0.1)
    deep, crest = np.array(tone.rgb, np.float32), np.array(crest_tone.rgb, np.float32)
    colour_HW3[row:] = deep + (crest - deep) * sparkle_HW3
    depth_HW = np.full((side, side), FARTHEST_DEPTH, np.float32)
    depth_HW[row:] = _ground_depth(side - row, FARTHEST_DEPTH)[:, None]
    heat_HW = _ambient_heat(rng, side) * np.float32(0.7)
    return Backdrop(colour_HW3, depth_HW, heat_HW)


def street(rng: np.random.Generator, tone: Tone, side: int, horizon: float) -> Backdrop:
    """House fronts with rows of windows, above a pavement."""
    colour_HW3 = _sky(rng, side, horizon)
    depth_HW = np.full((side, side), FARTHEST_DEPTH, np.float32)
    left = -int(rng.uniform(0, 0.08) * side)
    while left < side:
        right = left + int(rng.uniform(0.12, 0.4) * side)
        top = int(rng.uniform(-0.3, 0.85) * horizon * side)
        front = material_near(rng, nearby(rng, tone, 1.5) if rng.random() < 0.7 else free_tone(rng), spread=0.5)
        rows, columns = slice(max(top, 0), side), slice(max(left, 0), min(right, side))
        block_HW3 = colour_HW3[rows, columns]
        block_HW3[:] = albedo(front, rng, block_HW3.shape[0], block_HW3.shape[1], side)
        depth_HW[rows, columns] = rng.uniform(0.62, 0.85)
        pane = np.array(free_tone(rng).shifted(lightness=-0.3).rgb, np.float32)
        pitch_x, pitch_y = rng.uniform(0.05, 0.12, 2) * side
        across = (np.arange(block_HW3.shape[1]) % pitch_x) / pitch_x
        down = (np.arange(block_HW3.shape[0]) % pitch_y) / pitch_y
        panes_HW = (np.abs(down - 0.5) < 0.3)[:, None] & (np.abs(across - 0.5) < rng.uniform(0.15, 0.35))[None]
        block_HW3[panes_HW] = pane
        left = right
    road = material_near(rng, dull_tone(rng, tone), ("noise", "speckle", "plain", "bricks", "checks"))
    ground_HW = _ground(rng, colour_HW3, road, horizon, side, wall_depth=0.85)
    below = int(horizon * side)
    depth_HW[below:] = ground_HW[below:]
    return Backdrop(colour_HW3, depth_HW, _ambient_heat(rng, side))


def surface(rng: np.random.Generator, tone: Tone, side: int, _: float) -> Backdrop:
    """Cloth, planks, sand, grass from above, strewn with crumbs, pebbles or petals."""
    colour_HW3 = albedo(material_near(rng, tone), rng, side, side, side)
    if rng.random() < 0.5:
        other_HW3 = albedo(material_near(rng, nearby(rng, tone)), rng, side, side, side)
        patch_HW = fractal_noise(rng, side, side, side / 2, octaves=5)
        colour_HW3 += (other_HW3 - colour_HW3) * spread(((patch_HW - 0.5) * 5 + 0.5).clip(0, 1))
    _strew(rng, colour_HW3, tone, int(rng.integers(0, 60)), 0.006, 0.03, vivid=0.2)
    return Backdrop(colour_HW3, _tilted(rng, side), _ambient_heat(rng, side))


def foliage(rng: np.random.Generator, tone: Tone, side: int, _: float) -> Backdrop:
    """Leaves upon leaves: clutter as sharp as any object."""
    colour_HW3 = albedo(material_near(rng, tone.shifted(lightness=-0.2), ("noise",)), rng, side, side, side)
    _strew(rng, colour_HW3, tone, int(rng.integers(80, 200)), 0.02, 0.09, vivid=0.08)
    return Backdrop(colour_HW3, _tilted(rng, side), _ambient_heat(rng, side))


def shelf(rng: np.random.Generator, tone: Tone, side: int, _: float) -> Backdrop:
    """Rows of books or boxes in all colours, with a board to stand on."""
    colour_HW3 = np.empty((side, side, 3), np.float32)
    colour_HW3[:] = tone.shifted(lightness=-0.25).rgb
    rows = int(rng.integers(2, 5))
    muted = rng.uniform(0.2, 1.0)
    for shelf_row in range(rows):
        bottom = (shelf_row + 1) * side // rows - side // 30
        left = 0.0
        while left < side:
            width = rng.uniform(0.02, 0.12) * side
            top = bottom - int(rng.uniform(0.5, 0.95) * side / rows)
            back = free_tone(rng) if rng.random() < 0.7 else nearby(rng, tone)
            colour_HW3[max(top, 0) : bottom, int(left) : int(left + width)] = back.shifted(chroma=-0.15 * muted).rgb
            left += width + (rng.uniform(0, 0.1) * side if rng.random() < 0.15 else side / 160)
        colour_HW3[bottom : bottom + side // 30] = tone.rgb
    colour_HW3 *= spread(fractal_noise(rng, side, side, side / 8, octaves=3) * np.float32(0.5) + np.float32(0.7))
    return Backdrop(colour_HW3.clip(0, 1), _tilted(rng, side), _ambient_heat(rng, side))


def haze(rng: np.random.Generator, tone: Tone, side: int, _: float) -> Backdrop:
    """A studio sweep or soft lights far out of focus."""
    edge = tone.shifted(lightness=rng.uniform(-0.35, 0.1))
    gradient = Material("gradient", tone.rgb, edge.rgb, 1.0, rng.uniform(0, 2 * np.pi))
    colour_HW3 = albedo(gradient, rng, side, side, side)
    if rng.random() < 0.7:
        _strew(rng, colour_HW3, tone, int(rng.integers(4, 40)), 0.02, 0.12, vivid=0.5)
        colour_HW3 = soft_blur(colour_HW3, rng.uniform(0.01, 0.05) * side)
    depth_HW = np.full((side, side), rng.uniform(0.7, 0.95), np.float32)
    return Backdrop(colour_HW3, depth_HW, _ambient_heat(rng, side))


@dataclass(frozen=True)
class Background:
    """A kind of backdrop.

    Args:
        draw: (generator, main colour, side in pixels, horizon) -> Backdrop.
        share: of the scenes.
        horizon: range of the row, as a share of the height, below which things stand on the ground; None where all
            lies on one surface seen from above or in front.
    """

    draw: Callable[[np.random.Generator, Tone, int, float], Backdrop]
    share: float
    horizon: tuple[float, float] | None = None


BACKGROUNDS = (
    Background(room, 0.24, (0.35, 0.72)),
    Background(landscape, 0.20, (0.25, 0.60)),
    Background(surface, 0.18),
    Background(foliage, 0.10),
    Background(street, 0.10, (0.50, 0.75)),
    Background(water, 0.07, (0.15, 0.50)),
    Background(haze, 0.06),
    Background(shelf, 0.05),
)


def _sky(rng: np.random.Generator, side: int, horizon: float) -> np.ndarray:
    zenith = Tone(rng.uniform(0.45, 0.85), rng.uniform(0.0, 0.13), rng.normal(4.3, 0.5))
    low = Tone(rng.uniform(0.7, 0.95), rng.uniform(0.0, 0.1), rng.uniform(0, 2 * np.pi))
    down = np.linspace(0, 1 / horizon, side, dtype=np.float32).clip(0, 1)[:, None]
    above, below = np.array(zenith.rgb, np.float32), np.array(low.rgb, np.float32)
    column_H3 = above + (below - above) * down
    colour_HW3 = np.repeat(column_H3[:, None], side, axis=1)
    cloud_HW = fractal_noise(rng, side, side, (side / 5, side / 2), octaves=5)
    cover_HW = ((cloud_HW - np.float32(rng.uniform(0.45, 0.8))) * 4).clip(0, 1)
    return colour_HW3 + (np.float32(0.93) - colour_HW3) * spread(cover_HW)


def _ground_depth(rows: int, far: float) -> np.ndarray:
    """Depth of a plane down from its horizon; flattened against the true 1/y, which would leave no middle ground."""
    down = np.linspace(0, 1, rows, dtype=np.float32)
    return NEAR_GROUND + (far - NEAR_GROUND) * (1 - down) ** 1.6


def _ground(
    rng: np.random.Generator, colour_HW3: np.ndarray, ground: Material, horizon: float, side: int, wall_depth: float
) -> np.ndarray:
    """Lay a plane in perspective below the horizon, in place; returns the depth of wall and plane."""
    row = int(horizon * side)
    flat_HW3 = albedo(ground, rng, side, side, side)
    spread = rng.uniform(0.2, 0.8) * side
    source = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    target = np.array([(0, row), (side, row), (side + spread, side), (-spread, side)], np.float32)
    warp = cv2.getPerspectiveTransform(source, target)
    plane_HW3 = cv2.warpPerspective(flat_HW3, warp, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    falloff = np.linspace(rng.uniform(0.75, 1.1), 1.0, side - row, dtype=np.float32)[:, None, None]
    colour_HW3[row:] = plane_HW3[row:] * falloff
    depth_HW = np.full((side, side), wall_depth, np.float32)
    depth_HW[row:] = _ground_depth(side - row, wall_depth)[:, None]
    return depth_HW


def _hang(rng: np.random.Generator, colour_HW3: np.ndarray, tone: Tone, horizon: float, side: int) -> None:
    """A picture, a window or a cupboard on the wall, in place; often the most vivid thing in the scene."""
    width, height = rng.uniform(0.08, 0.35, 2) * side
    left, top = rng.uniform(-0.1, 0.95) * side, rng.uniform(-0.1, max(horizon - 0.15, 0.05)) * side
    inner = free_tone(rng) if rng.random() < 0.5 else nearby(rng, tone, 1.5)
    rows = slice(max(int(top), 0), max(int(top + height), 1))
    columns = slice(max(int(left), 0), max(int(left + width), 1))
    frame_HW3 = colour_HW3[rows, columns]
    frame_HW3[:] = nearby(rng, tone, 2.0).rgb
    rim = max(side // 60, 1)
    inside_HW3 = frame_HW3[rim:-rim, rim:-rim]
    if inside_HW3.size:
        inside_HW3[:] = albedo(material_near(rng, inner), rng, inside_HW3.shape[0], inside_HW3.shape[1], side)


def _strew(
    rng: np.random.Generator, colour_HW3: np.ndarray, tone: Tone, count: int, low: float, high: float, vivid: float
) -> None:
    """Scatter `count` small ellipses and chips of radius low..high (shares of the side), in place."""
    side = len(colour_HW3)
    for _ in range(count):
        radius = rng.uniform(low, high) * side
        radii = (radius, radius * rng.uniform(0.3, 0.9))
        outline = ellipse((0, 0), radii, points=12) if rng.random() < 0.7 else box(-radii[0], -radii[1], *radii)
        placed = rotated(outline, rng.uniform(0, np.pi)) + rng.uniform(0, side, 2)
        colour = free_tone(rng) if rng.random() < vivid else nearby(rng, tone, 1.5)
        cv2.fillPoly(colour_HW3, [np.round(placed * 16).astype(np.int32)], colour.rgb, cv2.LINE_8, 4)


def _tilted(rng: np.random.Generator, side: int) -> np.ndarray:
    """Depth of a surface seen from above or in front, a little aslant."""
    slope = rng.uniform(-0.12, 0.12, 2)
    centred = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    depth_HW = np.float32(slope[0]) * centred[:, None] + np.float32(slope[1]) * centred[None]
    return depth_HW + np.float32(rng.uniform(0.55, 0.8))


def _ambient_heat(rng: np.random.Generator, side: int) -> np.ndarray:
    """Uneven warmth of a scene without objects, float32 HxW around 0.2 to 0.45."""
    drift_HW = fractal_noise(rng, side, side, side / 2, octaves=3)
    return np.float32(rng.uniform(0.12, 0.35)) + drift_HW * np.float32(rng.uniform(0.05, 0.25))
