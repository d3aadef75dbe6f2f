"""One object drawn by itself: colour, coverage, relief; shaded by one distant light."""

from dataclasses import dataclass

import cv2
import numpy as np

from limelight.data.renderer.contours import Shape
from limelight.data.renderer.textures import Material, albedo, soft_blur, spread

_SHIFT = 4
"""Fractional bits of the polygon coordinates handed to OpenCV."""


@dataclass(frozen=True)
class Pose:
    """How a shape stands: unit coordinates -> pixels.

    Args:
        scale: pixels per unit.
        angle: radians, clockwise.
        stretch: horizontal over vertical scale.
        mirror: left and right swapped.
    """

    scale: float
    angle: float = 0.0
    stretch: float = 1.0
    mirror: bool = False

    def place(self, outline: np.ndarray) -> np.ndarray:
        """Nx2 unit coordinates -> Nx2 pixels around the shape's origin."""
        sign = -1.0 if self.mirror else 1.0
        scaled = outline * (sign * self.scale * np.sqrt(self.stretch), self.scale / np.sqrt(self.stretch))
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return scaled @ np.array([(cosine, sine), (-sine, cosine)])


@dataclass(frozen=True)
class Light:
    """A distant light: direction towards it (x right, y down, z to the viewer), and the share that comes from all
    around."""

    direction: tuple[float, float, float]
    ambient: float


@dataclass(frozen=True)
class Sprite:
    """A drawn object, height x width pixels; all arrays float32 in [0, 1]."""

    colour_HW3: np.ndarray
    """sRGB."""
    soft_HW: np.ndarray
    """Coverage as the lens sees it: blurred where the object is out of focus."""
    solid_HW: np.ndarray
    """Coverage proper; masks come from it."""
    height_HW: np.ndarray
    """Bulge towards the viewer."""
    origin: tuple[int, int]
    """The pixel (x, y) of the shape's own origin."""
    foot: int
    """The lowest covered row."""


def coverage(shape: Shape, stretch: float = 1.0, resolution: int = 24) -> float:
    """The silhouette's area in square units, measured on a coarse raster."""
    pose = Pose(resolution, stretch=stretch)
    alpha_HW, _, _, _ = _rasterise(shape, pose, limit=8 * resolution)
    return float(alpha_HW.sum(dtype=np.float64)) / 255 / resolution**2


def draw(
    shape: Shape, pose: Pose, materials: list[Material], light: Light, rng: np.random.Generator, side: int
) -> Sprite:
    """Draw a shape in its materials.

    Args:
        materials: one per slot.
        side: of the whole picture, pixels; textures and the largest sprite are scaled by it.
    """
    alpha_HW, slots_HW, relief_HW, origin = _rasterise(shape, pose, limit=3 * side)
    height, width = alpha_HW.shape
    colour_HW3 = albedo(materials[0], rng, height, width, side)
    for slot, material in enumerate(materials[1:], start=1):
        chosen_HW = slots_HW == slot
        if chosen_HW.any():
            cv2.copyTo(albedo(material, rng, height, width, side), chosen_HW.astype(np.uint8), colour_HW3)
    height_HW = _bulge(relief_HW, shape.relief)
    _shade(colour_HW3, height_HW, light, materials[0].gloss)
    rows = np.flatnonzero(alpha_HW.any(axis=1))
    bulge_HW = height_HW / max(float(height_HW.max()), 1e-6)
    solid_HW = alpha_HW.astype(np.float32) / 255
    return Sprite(colour_HW3, solid_HW, solid_HW, bulge_HW, origin, int(rows[-1]) if len(rows) else 0)


def _rasterise(shape: Shape, pose: Pose, limit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Coverage 0-255, material slots, and the relief's support (parts separated by lines), uint8 HxW; the origin."""
    outlines = [pose.place(part.outline) for part in shape.parts]
    solid = np.concatenate([o for o, part in zip(outlines, shape.parts, strict=True) if part.kind == "solid"])
    low = np.maximum(np.floor(solid.min(0)).astype(int) - 2, -limit)
    high = np.minimum(np.ceil(solid.max(0)).astype(int) + 3, limit)
    width, height = (high - low).tolist()
    alpha_HW, slots_HW, relief_HW = (np.zeros((height, width), np.uint8) for _ in range(3))
    for outline, part in zip(outlines, shape.parts, strict=True):
        points = [np.round((outline - low) * (1 << _SHIFT)).astype(np.int32)]
        if part.kind == "decal":
            cv2.fillPoly(slots_HW, points, part.slot, cv2.LINE_8, _SHIFT)
            continue
        covered = 0 if part.kind == "hole" else 255
        cv2.fillPoly(alpha_HW, points, covered, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(relief_HW, points, covered, cv2.LINE_8, _SHIFT)
        cv2.polylines(relief_HW, points, True, 0, 1, cv2.LINE_8, _SHIFT)
        if part.kind == "solid":
            cv2.fillPoly(slots_HW, points, part.slot, cv2.LINE_8, _SHIFT)
    return alpha_HW, slots_HW, relief_HW, (-int(low[0]), -int(low[1]))


def _bulge(relief_HW: np.ndarray, relief: float) -> np.ndarray:
    """Height in pixels: each part rises from its outline as a round of the part's own half thickness."""
    distance_HW = cv2.distanceTransform(relief_HW, cv2.DIST_L2, 3)
    radius = max(float(distance_HW.max()), 1.0)
    inside_HW = np.minimum(distance_HW, radius)
    round_HW = np.sqrt(inside_HW * (2 * radius - inside_HW))
    return cv2.GaussianBlur(round_HW * np.float32(relief), (0, 0), 1.0 + 0.06 * radius)


def _shade(colour_HW3: np.ndarray, height_HW: np.ndarray, light: Light, gloss: float) -> None:
    """Lambert plus a Blinn-Phong highlight, in place; a surface that faces the viewer keeps its albedo."""
    slope_x = cv2.Sobel(height_HW, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    slope_y = cv2.Sobel(height_HW, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    length_HW = np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
    x, y, z = (np.float32(component) for component in light.direction)
    facing_HW = np.maximum((z - slope_x * x - slope_y * y) / length_HW, 0)
    ambient = np.float32(light.ambient)
    colour_HW3 *= spread(ambient + (1 - ambient) * facing_HW / max(z, np.float32(0.35)))
    if gloss > 0:
        half = np.array([x, y, z + 1], np.float32)
        half /= np.linalg.norm(half)
        mirror_HW = np.maximum((half[2] - slope_x * half[0] - slope_y * half[1]) / length_HW, 0)
        colour_HW3 += spread(np.float32(gloss) * mirror_HW**40)
    np.clip(colour_HW3, 0, 1, out=colour_HW3)


def blurred(sprite: Sprite, sigma: float) -> Sprite:
    """The sprite out of focus by `sigma` pixels, its frame grown so that the blur is not cut off."""
    if sigma < 0.3:
        return sprite
    pad = int(np.ceil(2.5 * sigma))
    widths = ((pad, pad), (pad, pad))
    solid_HW = np.pad(sprite.solid_HW, widths)
    soft_HW = soft_blur(solid_HW, sigma)
    premultiplied_HW3 = np.pad(sprite.colour_HW3 * spread(sprite.solid_HW), (*widths, (0, 0)))
    colour_HW3 = soft_blur(premultiplied_HW3, sigma) / spread(np.maximum(soft_HW, 1e-3))
    origin = (sprite.origin[0] + pad, sprite.origin[1] + pad)
    return Sprite(colour_HW3, soft_HW, solid_HW, np.pad(sprite.height_HW, widths), origin, sprite.foot + pad)
