"""Combination of several predictions of one image, with a map of their disagreement."""

from torch import Tensor


def ensemble(probability_EBHW: Tensor) -> tuple[Tensor, Tensor]:
    """The members' median at every pixel, and the median of their distances to it.

    Members are probabilities of the same thing on the same scale, so they are not aligned to one another first: fitting
    scales and shifts, as for relative depth, would stretch an empty picture to full contrast.

    Args:
        probability_EBHW: in [0, 1], any trailing dimensions.

    Returns:
        median_BHW in [0, 1], and uncertainty_BHW in [0, 0.5], 0 where all members agree.
    """
    median_BHW = _median(probability_EBHW)
    return median_BHW, _median((probability_EBHW - median_BHW).abs())


def _median(values_EBHW: Tensor) -> Tensor:
    """The mean of the middle two where their number is even; torch.median takes the lower one."""
    ascending = values_EBHW.sort(dim=0).values
    count = len(ascending)
    return (ascending[(count - 1) // 2] + ascending[count // 2]) / 2
