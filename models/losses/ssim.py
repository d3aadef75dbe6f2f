"""Structural similarity of maps and masks, and the loss that STDNet learns clips with."""

import torch
from torch import Tensor
from torch.nn import functional as F

from limelight.models.losses.bce import bce
from limelight.models.losses.bce_iou import soft_iou
from limelight.models.losses.reduction import mean_over_samples

WINDOW, SIGMA = 11, 1.5
"""Side of the window and width of its Gaussian, pixels."""
C1, C2 = 0.01**2, 0.03**2
_KEPT = ("enabled", "benchmark", "benchmark_limit", "deterministic", "fp32_precision")
"""cuDNN flags that `torch.backends.cudnn.flags` leaves as they are when they are None."""


def ssim_loss(logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """Return 1 - SSIM(sigmoid(logits), target), a mean over pixels and samples (Wang et al., TIP 2004, eq. 13).

    Windows reach beyond the border, into zeros.

    Args, returns: as `bce_ssim_iou`; the value lies in [0, 2].
    """
    probability, target = logits_B1HW.float().sigmoid(), target_B1HW.float()
    mean_p, mean_t = _blurred(probability), _blurred(target)
    variance_p = _blurred(probability**2) - mean_p**2
    variance_t = _blurred(target**2) - mean_t**2
    covariance = _blurred(probability * target) - mean_p * mean_t
    similarity = (2 * mean_p * mean_t + C1) * (2 * covariance + C2)
    similarity = similarity / ((mean_p**2 + mean_t**2 + C1) * (variance_p + variance_t + C2))
    return mean_over_samples(1 - similarity.mean((1, 2, 3)), weight_B)


def bce_ssim_iou(logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """bce + ssim_loss + soft_iou, equally weighted: STDNet's (Su et al., TPAMI 2025), after BASNet (CVPR 2019).

    Args:
        logits_B1HW: any real numbers, any float type; computed in float32.
        target_B1HW: in [0, 1].
        weight_B: weight of each sample in the mean; None = all alike.

    Returns:
        Scalar >= 0.
    """
    given = (logits_B1HW, target_B1HW, weight_B)
    return bce(*given) + ssim_loss(*given) + soft_iou(*given)


def _blurred(map_B1HW: Tensor) -> Tensor:
    """Weigh each pixel's window by the Gaussian: rows, then columns.

    In full fp32: a variance is a small difference of two blurred maps, which the 10 bits of TF32 (a GPU's default for
    convolutions) or of fp16 swamp; the denominator then becomes negative.
    """
    offsets = torch.arange(WINDOW, device=map_B1HW.device, dtype=map_B1HW.dtype) - WINDOW // 2
    weights = torch.softmax(-(offsets**2) / (2 * SIGMA**2), 0)
    full_precision = torch.backends.cudnn.flags(**dict.fromkeys(_KEPT), allow_tf32=False)
    with torch.autocast(map_B1HW.device.type, enabled=False), full_precision:
        rows = F.conv2d(map_B1HW, weights.view(1, 1, 1, -1), padding=(0, WINDOW // 2))
        return F.conv2d(rows, weights.view(1, 1, -1, 1), padding=(WINDOW // 2, 0))
