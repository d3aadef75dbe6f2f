"""Noise to start from, and noise to train with."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def seeded_noise(shape_CHW: Sequence[int], seeds: Sequence[int], members: int = 1) -> Tensor:
    """Standard normal noise that depends on an image's seed and a member's number alone.

    It does not depend on the batch's order or size, the number of members, or the device: it is drawn on the CPU.

    Args:
        shape_CHW: of one latent.
        seeds: one per image.
        members: latents per image.

    Returns:
        noise_BCHW on the CPU, len(seeds) * members of them, an image's members one after the other.
    """
    noise = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        # One call per member: a longer call's first numbers are not always those of a shorter one.
        noise += [torch.randn(tuple(shape_CHW), generator=generator) for _ in range(members)]
    return torch.stack(noise)


def pyramid_noise(latent_BCHW: Tensor, *, levels: int = 6, discount: float = 0.3) -> Tensor:
    """Multi-resolution noise, normalised to a standard deviation of 1 over the batch.

    Level i adds normal noise times discount^i, drawn on a grid whose sides were divided by r^i, r uniform in [2, 4], at
    every level up to it, and enlarged bilinearly; it ends with a grid one pixel wide. Level 0 is at full size, so its
    weight is sqrt(2). All is drawn from torch's generators.

    Args:
        latent_BCHW: gives shape, type and device.
    """
    noise_BCHW = torch.randn_like(latent_BCHW)
    height, width = latent_BCHW.shape[-2:]
    for level in range(levels):
        ratio = (2 + 2 * torch.rand(()).item()) ** level
        height, width = max(1, int(height / ratio)), max(1, int(width / ratio))
        coarse_BChw = torch.randn_like(latent_BCHW[..., :height, :width])
        noise_BCHW += discount**level * F.interpolate(
            coarse_BChw, size=latent_BCHW.shape[-2:], mode="bilinear", align_corners=False
        )
        if 1 in (height, width):
            break
    return noise_BCHW / noise_BCHW.std()
