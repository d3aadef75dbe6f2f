"""Class-balanced binary cross-entropy."""

import torch
from torch import Tensor
from torch.nn import functional as F

from limelight.models.losses.reduction import mean_over_samples

SALIENT, BACKGROUND = 0.8, 0.01
BACKGROUND_EMPHASIS = 1.1


def balanced_bce(logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """SDNet's loss (Su et al., arXiv 2507.01182): class-weighted cross-entropy, summed over pixels, mean over samples.

    Per image, with P pixels of target > 0.8 and N of target < 0.01, salient pixels weigh N / (P + N), background
    ones 1.1 P / (P + N), and those between the mean of the two. From edge detection: Xie & Tu, 'HED' (ICCV 2015),
    eq. 2. An image with an empty or a full mask therefore weighs nothing.

    Args:
        logits_B1HW: any real numbers, any float type; computed in float32.
        target_B1HW: in [0, 1].
        weight_B: weight of each sample in the mean; None = all alike.

    Returns:
        Scalar >= 0; of the order of the number of pixels, so no other loss's learning rate carries over.
    """
    target = target_B1HW.float()
    salient, background = target > SALIENT, target < BACKGROUND
    positive_B111 = salient.sum((1, 2, 3), keepdim=True, dtype=torch.float32)
    negative_B111 = background.sum((1, 2, 3), keepdim=True, dtype=torch.float32)
    total_B111 = (positive_B111 + negative_B111).clamp(min=1)
    on_salient = negative_B111 / total_B111
    on_background = BACKGROUND_EMPHASIS * positive_B111 / total_B111
    pixel_weight = torch.where(
        salient, on_salient, torch.where(background, on_background, (on_salient + on_background) / 2)
    )
    loss_B1HW = pixel_weight * F.binary_cross_entropy_with_logits(logits_B1HW.float(), target, reduction="none")
    return mean_over_samples(loss_B1HW.sum((1, 2, 3)), weight_B)
