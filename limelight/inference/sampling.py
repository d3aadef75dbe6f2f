"""Sampling settings of networks that generate their maps from noise."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from limelight.foundation.errors import UserError
from limelight.models.card import Card

MAX_MEMBERS = 1000


@dataclass(frozen=True)
class Sampling:
    """Sampling settings of a diffusion network; the published setting is Sampling(10, 10).

    Raises:
        UserError: fewer than one step or member, or more than `MAX_MEMBERS`.
    """

    steps: int | None = None
    """Denoising steps, a divisor of 1000. None = the network's `forward`: one step, no noise."""
    ensemble_size: int = 1
    """Predictions per picture; the result is their median."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise UserError(
                f"denoising takes at least 1 step, got {self.steps}; leave it out for the network's default"
            )
        if not 1 <= self.ensemble_size <= MAX_MEMBERS:
            raise UserError(f"an ensemble must have 1 to {MAX_MEMBERS} members, got {self.ensemble_size}")

    def for_weights(self, card: Card) -> "Sampling":
        """Fill in the steps that the weights were trained for, where none are requested.

        Raises:
            UserError: several ensemble members with a single step, which would all be equal.
        """
        resolved = replace(self, steps=self.steps or card.use.denoise_steps)
        if resolved.ensemble_size > 1 and resolved.steps is None:
            raise UserError(
                f"without denoising steps all {resolved.ensemble_size} members of an ensemble are equal; ask for "
                "denoising steps too, or leave the ensemble out"
            )
        return resolved

    @property
    def note(self) -> str:
        """Describe the settings in a few words; empty for the single step."""
        return "" if self.steps is None else f"{self.steps} steps x {self.ensemble_size}, seed {self.seed}"

    def seeds(self, images: Sequence[np.ndarray]) -> list[int]:
        """Derive a seed for each uint8 HxWx3 picture from `seed` and its pixels, whatever the order, batch or name."""
        return [_seed(self.seed, image_HW3) for image_HW3 in images]


ONE_STEP = Sampling()


def _seed(seed: int, image_HW3: np.ndarray) -> int:
    digest = hashlib.sha256(f"{seed} {image_HW3.shape} ".encode())
    digest.update(np.ascontiguousarray(image_HW3).data)
    return int.from_bytes(digest.digest()[:8]) >> 1  # PyTorch's generators take 63 bits
