"""Colours by lightness, chroma and hue, and how an object's colour stands out from its background's.

A saliency set in which the object is always the saturated patch teaches a threshold. Each scene therefore draws the
*cue* that sets its objects apart, and only one of the cues is colour.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

RGB = tuple[float, float, float]
Cue = Literal["colour", "luminance", "texture", "focus", "free", "camouflage"]
CUES: dict[Cue, float] = {
    "colour": 0.27,
    "luminance": 0.20,
    "texture": 0.11,
    "focus": 0.14,
    "free": 0.22,
    "camouflage": 0.06,
}
"""Share of scenes by cue. With 'camouflage', only form, shading and shadow show in RGB; depth and heat show more."""


@dataclass(frozen=True)
class Tone:
    """A colour in OKLCh: lightness and chroma in [0, 1] and [0, 0.3], hue in radians."""

    lightness: float
    chroma: float
    hue: float

    def shifted(self, lightness: float = 0.0, chroma: float = 0.0, hue: float = 0.0) -> "Tone":
        """The colour that far away; kept within what a photo shows."""
        return Tone(
            float(np.clip(self.lightness + lightness, 0.12, 0.96)),
            float(np.clip(self.chroma + chroma, 0.0, 0.24)),
            self.hue + hue,
        )

    @property
    def rgb(self) -> RGB:
        """sRGB in [0, 1], clipped to the gamut. Ottosson, 'A perceptual color space for image processing', 2020."""
        a, b = self.chroma * np.cos(self.hue), self.chroma * np.sin(self.hue)
        long = (self.lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
        medium = (self.lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
        short = (self.lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
        linear = np.array(
            [
                4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
                -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
                -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
            ]
        ).clip(0.0, 1.0)
        encoded = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
        red, green, blue = encoded.tolist()
        return red, green, blue


def background_tone(rng: np.random.Generator) -> Tone:
    """A background's main colour: mostly of earth, plants, sky or grey, sometimes as vivid as any object."""
    if rng.random() < 0.3:
        return Tone(rng.uniform(0.35, 0.85), rng.uniform(0.03, 0.16), rng.uniform(0, 2 * np.pi))
    hue = rng.choice((1.0, 1.4, 2.2, 4.4), p=(0.3, 0.3, 0.25, 0.15)) + rng.normal(0, 0.2)
    return Tone(rng.uniform(0.35, 0.88), rng.uniform(0.0, 0.1), hue)


def nearby(rng: np.random.Generator, tone: Tone, spread: float = 1.0) -> Tone:
    """A colour of the same family: the second colour of a texture, a neighbouring surface."""
    return tone.shifted(*(spread * rng.normal(0.0, (0.09, 0.02, 0.25))))


def free_tone(rng: np.random.Generator) -> Tone:
    """Any colour at all."""
    return Tone(rng.uniform(0.2, 0.93), rng.uniform(0.0, 0.2), rng.uniform(0, 2 * np.pi))


def dull_tone(rng: np.random.Generator, background: Tone) -> Tone:
    """Draw a colour close to the background's, for objects that must not stand out."""
    return background.shifted(rng.uniform(-0.12, 0.12), rng.uniform(-0.04, 0.02), rng.uniform(-0.5, 0.5))


def object_tone(rng: np.random.Generator, background: Tone, cue: Cue) -> Tone:
    """The main colour of a salient object, apart from the background's in the way the scene's cue says."""
    side = rng.choice((-1.0, 1.0))
    if cue == "colour":
        chroma = rng.uniform(0.09, 0.2) - background.chroma
        return background.shifted(rng.uniform(-0.12, 0.12), chroma, side * rng.uniform(1.6, np.pi))
    if cue == "luminance":
        direction = -1.0 if background.lightness > 0.55 else 1.0
        return background.shifted(direction * rng.uniform(0.22, 0.45), rng.uniform(-0.03, 0.02), rng.normal(0, 0.3))
    if cue == "texture":
        return background.shifted(*rng.normal(0.0, (0.05, 0.015, 0.2)))
    if cue == "camouflage":
        return background.shifted(side * rng.uniform(0.02, 0.09), rng.uniform(-0.02, 0.02), rng.normal(0, 0.2))
    return free_tone(rng)
