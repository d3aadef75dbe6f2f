"""Binary cross-entropy plus the soft intersection over union."""

from torch import Tensor

from limelight.models.losses.bce import bce
from limelight.models.losses.reduction import mean_over_samples


def soft_iou(
    logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None, valid_B1HW: Tensor | None = None
) -> Tensor:
    """Mean over the samples of 1 - (sum(p t) + 1) / (sum(p) + sum(t) - sum(p t) + 1), p = sigmoid(logits).

    The IoU term of Qin et al., 'BASNet' (CVPR 2019); the two ones keep it finite on empty masks.

    Args, returns: as `bce_iou`; the value lies in [0, 1].
    """
    probability, target = logits_B1HW.float().sigmoid(), target_B1HW.float()
    if valid_B1HW is not None:
        probability, target = probability * valid_B1HW, target * valid_B1HW
    overlap_B = (probability * target).sum((1, 2, 3))
    union_B = (probability + target).sum((1, 2, 3)) - overlap_B
    return mean_over_samples(1 - (overlap_B + 1) / (union_B + 1), weight_B)


def bce_iou(
    logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None, valid_B1HW: Tensor | None = None
) -> Tensor:
    """bce + soft_iou, equally weighted: the per-pixel term gives a gradient even if the maps do not overlap at all.

    Args:
        logits_B1HW: any real numbers, any float type; computed in float32.
        target_B1HW: in [0, 1].
        weight_B: weight of each sample in the mean; None = all alike.
        valid_B1HW: bool, the pixels that count; None = all.

    Returns:
        Scalar >= 0.
    """
    given = (logits_B1HW, target_B1HW, weight_B, valid_B1HW)
    return bce(*given) + soft_iou(*given)
