"""Dice loss."""

from torch import Tensor

from limelight.models.losses.reduction import mean_over_samples


def dice(logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """Mean over the samples of 1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1), p = sigmoid(logits).

    Milletari et al., 'V-Net' (3DV 2016), with the sums and the smoothing of KD-SCFNet (arXiv 2208.02178).

    Args:
        logits_B1HW: any real numbers, any float type; the sums are taken in float32.
        target_B1HW: in [0, 1]; soft targets, such as a teacher's map, are allowed.
        weight_B: weight of each sample in the mean; None = all alike.

    Returns:
        Scalar in [0, 1].
    """
    return mean_over_samples(dice_B(logits_B1HW.float().sigmoid(), target_B1HW.float()), weight_B)


def dice_B(probability_B1HW: Tensor, target_B1HW: Tensor) -> Tensor:
    """`dice` of two float32 maps in [0, 1], one number per sample."""
    overlap_B = (probability_B1HW * target_B1HW).sum((1, 2, 3))
    total_B = (probability_B1HW + target_B1HW).sum((1, 2, 3))
    return 1 - (2 * overlap_B + 1) / (total_B + 1)
