"""A planned scene built once and rendered at any frame: painter's algorithm from far to near, with shadows and blur."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from limelight.data.renderer.backgrounds import NEAR_GROUND, Backdrop
from limelight.data.renderer.plan import Actor, Motion, ScenePlan
from limelight.data.renderer.sprites import Pose, Sprite, blurred, draw
from limelight.data.renderer.textures import soft_blur, spread


@dataclass
class Layers:
    """One frame, pixel for pixel: float32 colour (HxWx3), depth and heat as in Backdrop; uint8 class ids."""

    colour_HW3: np.ndarray
    depth_HW: np.ndarray
    heat_HW: np.ndarray
    salient_HW: np.ndarray
    """Class ids of salient objects, 0 elsewhere."""
    other_HW: np.ndarray
    """Class ids of distractors, 0 elsewhere."""


@dataclass(frozen=True)
class Prop:
    """An actor's sprite in its place.

    Args:
        centre: (x, y), pixels.
        depth: relative, at its rim.
        ambient: heat of the backdrop behind it.
        grounded: stands on the floor and throws its shadow there.
    """

    actor: Actor
    sprite: Sprite
    centre: tuple[float, float]
    depth: float
    ambient: float
    grounded: bool


class Stage:
    """Backdrop and sprites of one plan, drawn at `side` pixels."""

    def __init__(self, plan: ScenePlan, rng: np.random.Generator, side: int):
        self.plan, self.side = plan, side
        backdrop = plan.background.draw(rng, plan.tone, side, plan.horizon or 0.0)
        props = [self._prop(actor, backdrop, rng) for actor in plan.actors]
        focus = next((prop.depth for prop in props if prop.actor.role == "salient"), 0.4)
        self.props = sorted((self._focused(prop, focus) for prop in props), key=lambda prop: -prop.depth)
        self.backdrop = Backdrop(self._defocused(backdrop, focus), backdrop.depth_HW, backdrop.heat_HW)

    def shot(self, frame: int = 0) -> Layers:
        """The picture at frame number `frame`."""
        camera = self._camera(frame)
        layers = Layers(
            _moved(self.backdrop.colour_HW3, camera),
            _moved(self.backdrop.depth_HW, camera),
            _moved(self.backdrop.heat_HW, camera),
            np.zeros((self.side, self.side), np.uint8),
            np.zeros((self.side, self.side), np.uint8),
        )
        for prop in self.props:
            self._paint(layers, prop, camera @ self._place(prop, frame))
        return layers

    def _prop(self, actor: Actor, backdrop: Backdrop, rng: np.random.Generator) -> Prop:
        pose = Pose(actor.scale * self.side, actor.angle, actor.stretch, actor.mirror)
        sprite = draw(actor.shape, pose, actor.materials, self.plan.light, rng, self.side)
        centre = (actor.centre[0] * self.side, actor.centre[1] * self.side)
        foot = centre[1] + sprite.foot - sprite.origin[1]
        row, column = (int(np.clip(value, 0, self.side - 1)) for value in (foot, centre[0]))
        background_depth = float(backdrop.depth_HW[row, column])
        standing = self.plan.horizon is not None and foot > self.plan.horizon * self.side
        if actor.depth is not None:
            depth = min(actor.depth, 0.9 * background_depth)
        elif standing:
            # Beyond the lower edge the ground comes nearer still; the foot's row says by how much.
            depth = background_depth - 0.01 if foot < self.side else NEAR_GROUND * self.side / foot
        else:
            depth = (0.92 if self.plan.horizon is None else 0.65) * background_depth
        ambient = float(backdrop.heat_HW[row, column])
        return Prop(actor, sprite, centre, depth, ambient, grounded=standing and actor.depth is None)

    def _focused(self, prop: Prop, focus: float) -> Prop:
        share = self.plan.aperture * abs(prop.depth - focus)
        if prop.actor.role == "salient":
            share *= 0.4
        sprite = blurred(prop.sprite, (share + prop.actor.blur) * self.side)
        return replace(prop, sprite=sprite)

    def _defocused(self, backdrop: Backdrop, focus: float) -> np.ndarray:
        """The backdrop's colours through the lens: one strong blur, laid over by how far each pixel is from focus."""
        away_HW = np.abs(backdrop.depth_HW - np.float32(focus))
        most = float(away_HW.max())
        sigma = self.plan.aperture * most * self.side
        if sigma < 0.3:
            return backdrop.colour_HW3
        soft_HW3 = soft_blur(backdrop.colour_HW3, sigma)
        return backdrop.colour_HW3 + (soft_HW3 - backdrop.colour_HW3) * spread(away_HW / most)

    def _camera(self, frame: int) -> np.ndarray:
        """Pixels at frame 0 -> pixels at `frame`, 3x3."""
        middle = self.side / 2
        return _similarity(self.plan.pan, frame, self.side, (middle, middle))

    def _place(self, prop: Prop, frame: int) -> np.ndarray:
        """Sprite pixels -> picture pixels before the camera moves, 3x3."""
        x, y = prop.centre[0] - prop.sprite.origin[0], prop.centre[1] - prop.sprite.origin[1]
        translation = np.array([(1, 0, round(x)), (0, 1, round(y)), (0, 0, 1)], float)
        return _similarity(prop.actor.motion, frame, self.side, prop.centre) @ translation

    def _paint(self, layers: Layers, prop: Prop, place: np.ndarray) -> None:
        """Lay one object over what is there: shadow, colour, depth, heat, class."""
        actor, sprite = prop.actor, prop.sprite
        self._shadow(layers, prop, place)
        region = _region(sprite.solid_HW.shape, place, self.side, 0)
        if region is None:
            return
        window, matrix, size = region
        soft_HW, solid_HW, height_HW = (
            cv2.warpAffine(plane, matrix, size[::-1]) for plane in (sprite.soft_HW, sprite.solid_HW, sprite.height_HW)
        )
        colour_HW3 = cv2.warpAffine(sprite.colour_HW3, matrix, size[::-1], borderMode=cv2.BORDER_REPLICATE)
        below_HW3 = layers.colour_HW3[window]
        below_HW3 += (colour_HW3 - below_HW3) * spread(soft_HW)
        inside_HW = solid_HW > 0.5
        thickness = np.float32(0.12 * np.sqrt(actor.area) * actor.shape.relief)
        surface_HW = np.maximum(np.float32(prop.depth) - thickness * height_HW, np.float32(0.02))
        np.copyto(layers.depth_HW[window], surface_HW, where=inside_HW)
        heat_HW = layers.heat_HW[window]
        own_HW = np.float32(prop.ambient) + np.float32(actor.warmth) * (np.float32(0.7) + np.float32(0.3) * height_HW)
        heat_HW += (own_HW - heat_HW) * solid_HW
        layers.salient_HW[window][inside_HW] = actor.label if actor.role == "salient" else 0
        layers.other_HW[window][inside_HW] = actor.label if actor.role == "distractor" else 0

    def _shadow(self, layers: Layers, prop: Prop, place: np.ndarray) -> None:
        """Darken what the object keeps the light from: flattened on the floor, or shifted on the surface behind it."""
        floating = prop.actor.depth is not None or (self.plan.horizon is not None and not prop.grounded)
        if floating:
            return
        x, y, z = self.plan.light.direction
        thrown = np.eye(3)
        if prop.grounded:
            foot, lean = prop.sprite.foot, float(np.clip(x / z, -1.5, 1.5))
            flat = 0.22 + 0.2 * abs(y)
            # (column, row) -> column moved away from the light by the height over the foot, row pressed to the foot.
            thrown[0, 1], thrown[0, 2] = 0.7 * lean, -0.7 * lean * foot
            thrown[1, 1], thrown[1, 2] = flat, (1 - flat) * foot
        else:
            lift = 0.10 * np.sqrt(prop.actor.area) * self.side * prop.actor.shape.relief
            thrown[0, 2], thrown[1, 2] = -lift * x / z, -lift * y / z
        sigma = 0.008 * self.side + 0.04 * np.sqrt(prop.actor.area) * self.side
        region = _region(prop.sprite.solid_HW.shape, place @ thrown, self.side, int(2 * sigma))
        if region is None:
            return
        window, matrix, size = region
        dark_HW = soft_blur(cv2.warpAffine(prop.sprite.solid_HW, matrix, size[::-1]), sigma)
        layers.colour_HW3[window] *= spread(1 - np.float32(0.9 * (1 - self.plan.light.ambient)) * dark_HW)


def _similarity(motion: Motion, frame: int, side: int, centre: tuple[float, float]) -> np.ndarray:
    """`frame` steps of a motion about `centre` (pixels), 3x3."""
    scale, angle = (1 + motion.growth) ** frame, motion.spin * frame
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([(cosine, -sine), (sine, cosine)])
    shift = np.array(centre) - turn @ centre + frame * side * np.array([motion.right, motion.down])
    return np.vstack([np.column_stack([turn, shift]), (0, 0, 1)])


def _moved(plane: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """The backdrop through a moved camera; mirrored at its edges, where there is nothing else to show."""
    if np.array_equal(camera, np.eye(3)):
        return plane.copy()
    height, width = plane.shape[:2]
    return cv2.warpAffine(plane, camera[:2], (width, height), borderMode=cv2.BORDER_REFLECT)


def _region(
    shape: tuple[int, int], place: np.ndarray, side: int, margin: int
) -> tuple[tuple[slice, slice], np.ndarray, tuple[int, int]] | None:
    """Where a placed sprite touches the picture.

    Returns:
        The window, the matrix from sprite to window pixels (2x3), and the window's (height, width); None when outside.
    """
    height, width = shape
    corners = place @ np.array([(0, width, width, 0), (0, 0, height, height), (1, 1, 1, 1)], float)
    low = np.maximum(np.floor(corners[:2].min(1)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(corners[:2].max(1)).astype(int) + margin, side)
    if (high <= low).any():
        return None
    matrix = place[:2].copy()
    matrix[:, 2] -= low
    window = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    return window, matrix, (int(high[1] - low[1]), int(high[0] - low[0]))
