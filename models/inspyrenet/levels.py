"""What one pass of InSPyReNet gives."""

from typing import NamedTuple

from torch import Tensor

COARSEST = 8
"""Pixels of the picture, along a side, for one of the coarsest map."""


class Levels(NamedTuple):
    """Logits of one pass, coarse to fine."""

    saliency: tuple[Tensor, Tensor, Tensor, Tensor]
    """map_B1hw at 1/8, 1/4, 1/2 and full size."""
    laplacian: tuple[Tensor, Tensor, Tensor]
    """map_B1hw at 1/4, 1/2 and full size."""
