"""Cross-entropy that weighs boundaries, and the intersection over union of single pixels: InSPyReNet's."""

from torch import Tensor
from torch.nn import functional as F

from limelight.models.losses.boundaries import boundary_weight
from limelight.models.losses.reduction import mean_over_samples


def weighted_bce_iou(logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """Return the mean of w * bce + 1 - (p t + 1) / (p + t - p t + 1) over the pixels, w = 1 + 5 |mean31(t) - t|.

    Of Wei et al., 'F3Net' (AAAI 2020), as InSPyReNet trains with it: not divided by the sum of w, and the second term
    of each pixel by itself.

    Args:
        logits_B1HW: any real numbers, any float type; computed in float32.
        target_B1HW: in [0, 1].
        weight_B: weight of each sample in the mean; None = all alike.

    Returns:
        Scalar >= 0.
    """
    logits, target = logits_B1HW.float(), target_B1HW.float()
    cross_entropy = boundary_weight(target) * F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    product, total = logits.sigmoid() * target, logits.sigmoid() + target
    overlap = 1 - (product + 1) / (total - product + 1)
    return mean_over_samples((cross_entropy + overlap).mean((1, 2, 3)), weight_B)
