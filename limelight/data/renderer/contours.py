"""Closed outlines, float64 Nx2 arrays of (x, y) with y pointing down, and what a shape made of them is.

A shape lives in the square [-1, 1] x [-1, 1], more or less; the sprite that draws it chooses the scale.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """One outline of a shape.

    Args:
        kind: 'solid' adds to the silhouette and bulges by itself; 'decal' only changes the material of what is below
            it; 'hole' cuts.
        slot: index of the shape's material, 0 being the main one.
    """

    outline: np.ndarray
    slot: int = 0
    kind: Literal["solid", "decal", "hole"] = "solid"


@dataclass(frozen=True)
class Shape:
    """Parts from back to front. Upright ones stand on the ground; the others may lie at any angle."""

    parts: list[Part]
    upright: bool = True
    relief: float = 1.0
    """How much it bulges: 0 = a flat cut-out, 1 = as deep as it is thick."""


def ellipse(centre: Point, radii: Point, angle: float = 0.0, points: int = 40) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return rotated(np.stack([radii[0] * np.cos(turn), radii[1] * np.sin(turn)], 1), angle) + centre


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def rotated(outline: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return outline @ np.array([(cosine, sine), (-sine, cosine)])


def limb(start: Point, end: Point, start_radius: float, end_radius: float) -> np.ndarray:
    """A tapered capsule: legs, arms, necks, poles."""
    first, last = np.array(start, float), np.array(end, float)
    heading = np.arctan2(*(last - first)[::-1])
    half = np.linspace(np.pi / 2, 3 * np.pi / 2, 9) + heading
    arc = np.stack([np.cos(half), np.sin(half)], 1)
    return np.concatenate([first + start_radius * arc, last - end_radius * arc])


def ribbon(path: np.ndarray, widths: np.ndarray | float) -> np.ndarray:
    """A band of half-width `widths` along `path` (Nx2): tails, handles, stems, wires."""
    tangent = np.gradient(path, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / (np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9)
    offset = normal * np.broadcast_to(widths, len(path))[:, None]
    return np.concatenate([path + offset, (path - offset)[::-1]])


def bezier(*controls: Point, points: int = 16) -> np.ndarray:
    """A Bezier curve by De Casteljau's construction, points x 2."""
    share = np.linspace(0, 1, points)[:, None]
    layer = [np.broadcast_to(np.array(control, float), (points, 2)) for control in controls]
    while len(layer) > 1:
        layer = [(1 - share) * a + share * b for a, b in pairwise(layer)]
    return layer[0]


def lathe(profile: list[Point]) -> np.ndarray:
    """Mirror a right-hand profile of (radius, y), from top to bottom, around the vertical axis; rounded corners."""
    knots = np.array(profile, float)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    at = np.linspace(0, length[-1], 40)
    right = np.stack([np.interp(at, length, knots[:, axis]) for axis in (0, 1)], 1)
    right[1:-1] = (right[:-2] + 2 * right[1:-1] + right[2:]) / 4
    return np.concatenate([right, (right * (-1, 1))[::-1]])


def superformula(rng: np.random.Generator) -> np.ndarray:
    """Gielis, 'A generic geometric transformation that unifies a wide range of natural and abstract shapes', 2003,
    eq. 1 with a = b = 1; scaled to radius 1."""
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    symmetry = int(rng.integers(2, 8))
    n1, n2, n3 = rng.uniform(0.6, 3.5), rng.uniform(1.0, 5.0), rng.uniform(1.0, 5.0)
    radius = (np.abs(np.cos(symmetry * turn / 4)) ** n2 + np.abs(np.sin(symmetry * turn / 4)) ** n3 + 1e-6) ** (-1 / n1)
    radius /= radius.max()
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)


def fourier_blob(rng: np.random.Generator, roughness: float = 0.25) -> np.ndarray:
    """A closed curve of a few random harmonics around the unit circle."""
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = np.ones(len(turn))
    for harmonic in range(2, 7):
        amplitude = rng.normal(0, roughness / harmonic)
        radius += amplitude * np.cos(harmonic * turn + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.25, None) / radius.max()
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)


def star(points: int, inner: float) -> np.ndarray:
    """A regular star; inner = radius of the notches."""
    turn = np.arange(2 * points) * np.pi / points - np.pi / 2
    radius = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)


def jagged(rng: np.random.Generator, corners: int) -> np.ndarray:
    """An irregular polygon around the origin."""
    turn = np.sort((np.arange(corners) + rng.uniform(0.1, 0.9, corners)) * 2 * np.pi / corners)
    radius = rng.uniform(0.55, 1.0, corners)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)
