"""Dice loss between boundaries that are thick at first and thin at the end."""

from torch import Tensor
from torch.nn import functional as F

from limelight.models.losses.dice import dice, dice_B
from limelight.models.losses.reduction import mean_over_samples

PUBLISHED_EPOCHS = 69


def boundary_kernel(epoch: int, epochs: int = PUBLISHED_EPOCHS) -> int:
    """Side in pixels, odd, of the square that thickens the boundaries: 13 - 2 floor((epoch + 1) / 10), at least 1.

    KD-SCFNet's schedule runs over 69 epochs, from 13 to 1; other lengths of training go through the same values.

    Args:
        epoch: from 0.
        epochs: length of the whole training.
    """
    return max(1, 13 - 2 * ((epoch + 1) * PUBLISHED_EPOCHS // (10 * epochs)))


def boundary(map_B1HW: Tensor, kernel: int) -> Tensor:
    """The inner boundary of a soft map, maxpool3(1 - z) - (1 - z), dilated by a `kernel` x `kernel` square.

    Args:
        map_B1HW: in [0, 1].
        kernel: odd, pixels; 1 = no dilation.

    Returns:
        Map in [0, 1] of the same size.
    """
    inverse = 1 - map_B1HW
    return F.max_pool2d(F.max_pool2d(inverse, 3, 1, 1) - inverse, kernel, 1, kernel // 2)


def boundary_dice(logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None, *, kernel: int) -> Tensor:
    """Dice loss between the dilated boundaries of prediction and target.

    The boundary supervision (PBSM) of KD-SCFNet, arXiv 2208.02178, as released.

    Args:
        logits_B1HW: any real numbers, any float type; computed in float32.
        target_B1HW: in [0, 1].
        weight_B: weight of each sample in the mean; None = all alike.
        kernel: of the dilation, see `boundary_kernel`.

    Returns:
        Scalar in [0, 1].
    """
    predicted = boundary(logits_B1HW.float().sigmoid(), kernel)
    return mean_over_samples(dice_B(predicted, boundary(target_B1HW.float(), kernel)), weight_B)


def dice_boundary(
    logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None, *, epoch: int, epochs: int
) -> Tensor:
    """KD-SCFNet's label loss: `dice` plus `boundary_dice`, whose boundaries become thinner from epoch to epoch.

    Args:
        logits_B1HW, target_B1HW, weight_B: as in `boundary_dice`.
        epoch, epochs: see `boundary_kernel`.

    Returns:
        Scalar in [0, 2].
    """
    kernel = boundary_kernel(epoch, epochs)
    return dice(logits_B1HW, target_B1HW, weight_B) + boundary_dice(logits_B1HW, target_B1HW, weight_B, kernel=kernel)
