"""From one loss per sample to one loss per batch."""

from torch import Tensor


def mean_over_samples(loss_B: Tensor, weight_B: Tensor | None) -> Tensor:
    """Mean of `loss_B`, or its mean weighted by `weight_B` (any non-negative numbers; bool too).

    Returns a scalar; 0 with zero gradients where every weight is 0, so that a batch without a labelled sample needs no
    special case.
    """
    if weight_B is None:
        return loss_B.mean()
    weight_B = weight_B.to(loss_B.dtype)
    return (loss_B * weight_B).sum() / weight_B.sum().clamp(min=1e-6)
