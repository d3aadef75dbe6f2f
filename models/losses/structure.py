"""Cross-entropy and intersection over union, both weighted at boundaries: F3Net's."""

from torch import Tensor
from torch.nn import functional as F

from limelight.models.losses.boundaries import boundary_weight
from limelight.models.losses.reduction import mean_over_samples


def structure(logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """Return sum(w bce) / sum(w) + 1 - (sum(w p t) + 1) / (sum(w (p + t - p t)) + 1), sums over a sample's pixels.

    The pixel position aware loss of Wei et al., 'F3Net' (AAAI 2020), eq. 10 to 12; w is `boundary_weight`.

    Args:
        logits_B1HW: any real numbers, any float type; computed in float32.
        target_B1HW: in [0, 1].
        weight_B: weight of each sample in the mean; None = all alike.

    Returns:
        Scalar >= 0.
    """
    logits, target = logits_B1HW.float(), target_B1HW.float()
    weight = boundary_weight(target)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy_B = (weight * entropy).sum((1, 2, 3)) / weight.sum((1, 2, 3))
    probability = logits.sigmoid()
    overlap_B = (weight * probability * target).sum((1, 2, 3))
    union_B = (weight * (probability + target)).sum((1, 2, 3)) - overlap_B
    return mean_over_samples(entropy_B + 1 - (overlap_B + 1) / (union_B + 1), weight_B)
