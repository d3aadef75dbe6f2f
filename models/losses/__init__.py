"""Losses, by the names that params.yaml knows.

Each is a function (logits_B1HW, target_B1HW, weight_B=None) -> scalar, computed in float32 whatever the logits' type,
and finite, with finite gradients, on empty and on full masks.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.models.losses.balanced_bce import balanced_bce
from limelight.models.losses.bce import bce
from limelight.models.losses.bce_iou import bce_iou
from limelight.models.losses.boundary_dice import PUBLISHED_EPOCHS, boundary_dice, boundary_kernel
from limelight.models.losses.dice import dice

Loss = Callable[..., Tensor]

__all__ = ["Loss", "deep_supervision", "distil_loss", "make_loss"]


def make_loss(name: str, *, epoch: int, epochs: int = PUBLISHED_EPOCHS) -> Loss:
    """The label loss of one epoch.

    Args:
        name: 'dice-boundary' (KD-SCFNet), 'balanced-bce' (SDNet) or 'bce-iou'.
        epoch: from 0; 'dice-boundary' thins its boundaries as training proceeds.
        epochs: length of the whole training, over which that schedule is spread.

    Raises:
        UserError: another name.
    """
    kernel = boundary_kernel(epoch, epochs)
    losses = {"dice-boundary": partial(_dice_boundary, kernel=kernel), "balanced-bce": balanced_bce, "bce-iou": bce_iou}
    return _choose("loss", name, losses)


def distil_loss(name: str) -> Loss:
    """The loss of a student's logits against a teacher's probability map.

    Args:
        name: 'dice' (KD-SCFNet, arXiv 2208.02178) or 'bce'.

    Raises:
        UserError: another name.
    """
    return _choose("distil", name, {"dice": dice, "bce": bce})


def deep_supervision(
    loss: Loss,
    logits: Sequence[Tensor],
    target_B1HW: Tensor,
    level_weights: Sequence[float] = (),
    weight_B: Tensor | None = None,
) -> Tensor:
    """Sum over the levels of weight * loss(logits, target); every level is compared with the same full-size target.

    Args:
        logits: logits_B1HW at the target's size, finest first.
        level_weights: one per level; empty = all 1.
        weight_B: weight of each sample; None = all alike.

    Raises:
        UserError: another number of weights than of levels.
    """
    level_weights = level_weights or [1.0] * len(logits)
    if len(level_weights) != len(logits):
        raise UserError(
            f"level_weights has {len(level_weights)} numbers, the network {len(logits)} outputs; give as many"
        )
    terms = [weight * loss(level, target_B1HW, weight_B) for weight, level in zip(level_weights, logits, strict=True)]
    return sum(terms[1:], start=terms[0])


def _dice_boundary(logits_B1HW: Tensor, target_B1HW: Tensor, weight_B: Tensor | None = None, *, kernel: int) -> Tensor:
    return dice(logits_B1HW, target_B1HW, weight_B) + boundary_dice(logits_B1HW, target_B1HW, weight_B, kernel=kernel)


def _choose(what: str, name: str, losses: dict[str, Loss]) -> Loss:
    if name not in losses:
        raise UserError(f"unknown {what} {name!r}; choose one of: {', '.join(losses)}")
    return losses[name]
