"""Losses, by the names that params.yaml knows. A new one is a file here and a line of `LOSSES`.

Each is a function (logits_B1HW, target_B1HW, weight_B=None) -> scalar, computed in float32 whatever the logits' type,
and finite, with finite gradients, on empty and on full masks. PyTorch is imported only when a loss is made, so that
settings can be checked without it.
"""

import importlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from limelight.foundation.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LOSSES", "Loss", "check_loss", "check_soft_loss", "deep_supervision", "make_loss"]


class Loss(Protocol):
    """Logits against a target in [0, 1], a mean over the samples."""

    def __call__(
        self, logits_B1HW: "Tensor", target_B1HW: "Tensor", weight_B: "Tensor | None" = None, /
    ) -> "Tensor": ...


@dataclass(frozen=True)
class LossEntry:
    """One name that `make_loss` knows."""

    function: str
    """'module:function' in this folder."""
    summary: str
    soft: bool = False
    """Its targets may be soft, such as a teacher's map."""
    changes: bool = False
    """It takes `epoch` and `epochs` too, and changes as training proceeds."""


LOSSES = {
    "bce-iou": LossEntry("bce_iou:bce_iou", "binary cross-entropy plus soft IoU", soft=True),
    "bce": LossEntry("bce:bce", "binary cross-entropy", soft=True),
    "weighted-bce-iou": LossEntry(
        "weighted_bce_iou:weighted_bce_iou",
        "cross-entropy weighted at boundaries plus pixels' IoU (InSPyReNet)",
        soft=True,
    ),
    "structure": LossEntry(
        "structure:structure", "cross-entropy and soft IoU, both weighted at boundaries (F3Net)", soft=True
    ),
    "bce-ssim-iou": LossEntry(
        "ssim:bce_ssim_iou", "cross-entropy plus structural similarity plus soft IoU (STDNet)", soft=True
    ),
    "dice": LossEntry("dice:dice", "Dice (KD-SCFNet's distillation)", soft=True),
    "dice-boundary": LossEntry(
        "boundary_dice:dice_boundary", "Dice of maps and of their boundaries (KD-SCFNet)", changes=True
    ),
    "balanced-bce": LossEntry("balanced_bce:balanced_bce", "class-balanced cross-entropy, summed over pixels (SDNet)"),
}


def check_loss(name: str) -> str:
    """Check the name of a loss against labels, and return it.

    Raises:
        ValueError: there is no such loss.
    """
    return _check(name, LOSSES)


def check_soft_loss(name: str) -> str:
    """Check the name of a loss against a teacher's map, and return it.

    Raises:
        ValueError: there is no such loss, or its targets must be masks.
    """
    return _check(name, [known for known, entry in LOSSES.items() if entry.soft])


def make_loss(name: str, *, epoch: int, epochs: int) -> Loss:
    """Make the loss of one epoch.

    Args:
        epoch: from 0; some losses change as training proceeds.
        epochs: length of the whole training.

    Raises:
        UserError: no loss has that name.
    """
    try:
        entry = LOSSES[check_loss(name)]
    except ValueError as error:
        raise UserError(str(error)) from None
    module, _, attribute = entry.function.partition(":")
    function: Any = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    loss: Loss = partial(function, epoch=epoch, epochs=epochs) if entry.changes else function
    return loss


def deep_supervision(
    loss: Loss,
    logits: Sequence["Tensor"],
    target: "Tensor | Sequence[Tensor]",
    level_weights: Sequence[float] = (),
    weight_B: "Tensor | None" = None,
) -> "Tensor":
    """Sum over the levels of weight * loss(logits, target).

    Args:
        logits: logits_B1HW of each level, finest first.
        target: target_B1HW that every level is compared with, or one per level, each at its level's size.
        level_weights: one per level; empty = all 1.
        weight_B: weight of each sample; None = all alike.

    Raises:
        UserError: the number of weights or of targets differs from that of levels.
    """
    level_weights = level_weights or [1.0] * len(logits)
    if len(level_weights) != len(logits):
        raise UserError(
            f"level_weights has {len(level_weights)} numbers, the network {len(logits)} outputs; give one per output"
        )
    targets = list(target) if isinstance(target, Sequence) else [target] * len(logits)
    if len(targets) != len(logits):
        raise UserError(
            f"there are {len(targets)} targets for the network's {len(logits)} outputs; give one per output"
        )
    levels = zip(level_weights, logits, targets, strict=True)
    terms = [weight * loss(level_B1HW, target_B1HW, weight_B) for weight, level_B1HW, target_B1HW in levels]
    return sum(terms[1:], start=terms[0])


def _check(name: str, known: Collection[str]) -> str:
    if name not in known:
        raise ValueError(f"unknown loss {name!r}; choose one of: {', '.join(known)}")
    return name
