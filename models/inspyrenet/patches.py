"""Patch merging, the seed's way to large pictures (`InSPyReNet_PM`), before the paper had pyramid blending."""

from collections.abc import Callable, Iterator
from types import EllipsisType

import torch
from torch import Tensor

from limelight.models.inspyrenet.levels import COARSEST, Levels
from limelight.models.pyramid import ImagePyramid


def merge_patches(
    image_BCHW: Tensor, run: Callable[[Tensor], Levels], pyramid: ImagePyramid, side: int, stride: int
) -> Levels:
    """Merge the levels of overlapping patches of a picture, computed one by one.

    The coarsest map is at each pixel the most salient patch's. Each finer one adds the Laplacian of the patch that is
    the most salient there at the next coarser level.

    Args:
        image_BCHW: height and width are multiples of 8, and at least `side`.
        run: computes a patch.
        side: of the patches, pixels.
        stride: from one patch to the next, a multiple of 8; the last one ends where the picture does.
    """
    height, width = image_BCHW.shape[-2:]
    sizes = [(height // scale, width // scale) for scale in (COARSEST >> level for level in range(4))]
    largest = [image_BCHW.new_full((len(image_BCHW), 1, *size), -torch.inf) for size in sizes]
    laplacians = [image_BCHW.new_zeros((len(image_BCHW), 1, *size)) for size in sizes[1:]]
    for row, column in _corners(height, width, side, stride):
        levels = run(image_BCHW[..., row : row + side, column : column + side])
        for level, own in enumerate(levels.saliency):
            part = _part(row, column, side, COARSEST >> level)
            won = own > largest[level][part]
            largest[level][part] = torch.where(won, own, largest[level][part])
            if level < len(laplacians):
                part, won = _part(row, column, side, COARSEST >> level + 1), _doubled(won)
                laplacians[level][part] = torch.where(won, levels.laplacian[level], laplacians[level][part])
    saliency = [largest[0]]
    for laplacian in laplacians:
        saliency.append(pyramid.reconstruct(saliency[-1], laplacian))
    d3, d2, d1, d0 = saliency
    p2, p1, p0 = laplacians
    return Levels((d3, d2, d1, d0), (p2, p1, p0))


def _corners(height: int, width: int, side: int, stride: int) -> Iterator[tuple[int, int]]:
    for row in (*range(0, height - side, stride), height - side):
        for column in (*range(0, width - side, stride), width - side):
            yield row, column


def _part(row: int, column: int, side: int, scale: int) -> tuple[EllipsisType, slice, slice]:
    """A patch's place in a map whose pixels are `scale` of the picture's."""
    return ..., slice(row // scale, (row + side) // scale), slice(column // scale, (column + side) // scale)


def _doubled(chosen_B1hw: Tensor) -> Tensor:
    return chosen_B1hw.repeat_interleave(2, -1).repeat_interleave(2, -2)
