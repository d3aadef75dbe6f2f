"""Binary cross-entropy."""

from torch import Tensor
from torch.nn import functional as F

from limelight.models.losses.reduction import mean_over_samples


def bce(
    logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None, valid_B1HW: Tensor | None = None
) -> Tensor:
    """Mean over samples and pixels of -t log p - (1 - t) log(1 - p), p = sigmoid(logits).

    Args:
        logits_B1HW: any real numbers, any float type; computed in float32, stable at large logits.
        target_B1HW: in [0, 1]; soft targets, such as a teacher's map, are allowed.
        weight_B: weight of each sample in the mean; None = all alike.
        valid_B1HW: bool, the pixels that count; None = all.

    Returns:
        Scalar >= 0.
    """
    loss_B1HW = F.binary_cross_entropy_with_logits(logits_B1HW.float(), target_B1HW.float(), reduction="none")
    if valid_B1HW is None:
        return mean_over_samples(loss_B1HW.mean((1, 2, 3)), weight_B)
    counted_B = valid_B1HW.sum((1, 2, 3)).clamp(min=1)
    return mean_over_samples((loss_B1HW * valid_B1HW).sum((1, 2, 3)) / counted_B, weight_B)
