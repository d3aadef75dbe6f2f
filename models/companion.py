"""The companion (second picture: depth, thermal) as further input channels of a network made for images.

Each kind of companion has its own channel, so that a network that takes both can tell them apart.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.models.card import MODALITIES, companions_of
from limelight.models.inputs import IMAGE, WITH_COMPANION, Input

CENTRE, SCALE = 0.5, 0.25
"""A companion in [0, 1] becomes (c - CENTRE) / SCALE, about the range of a normalised image; where there is none, 0."""


def checked_modalities(modalities: Sequence[str] | None) -> tuple[str, ...]:
    """Validate a network's option `modalities`, and order it as `MODALITIES`; None stands for images alone.

    Raises:
        UserError: an unknown one, one named twice, or none at all.
    """
    if modalities is None:
        return ("rgb",)
    if isinstance(modalities, str) or not modalities or not set(modalities) <= set(MODALITIES):
        raise UserError(f"modalities must be a list of {', '.join(MODALITIES)}, got {modalities!r}")
    if len(set(modalities)) < len(modalities):
        raise UserError(f"modalities {list(modalities)} name one twice; name each once")
    return tuple(modality for modality in MODALITIES if modality in modalities)


def inputs_of(modalities: Sequence[str]) -> tuple[Input, ...]:
    """The inputs that a network which takes `modalities` declares."""
    return WITH_COMPANION if companions_of(modalities) else (IMAGE,)


def with_companion(
    image_B3HW: Tensor, companion_B1HW: Tensor | None, modality_B: Tensor | None, modalities: Sequence[str]
) -> Tensor:
    """Build the input of a network that takes `modalities`: the image, and a channel for each kind of companion.

    Args:
        companion_B1HW: float in [0, 1]; None where no picture of the batch has one.
        modality_B: int64, indices into `MODALITIES`. What `modalities` does not name counts as an image alone. May be
            None where only one kind of companion is possible.

    Returns:
        features_BCHW with C = 3 + number of kinds; a kind's channel is zero where a picture is not of that kind.

    Raises:
        UserError: companions without `modality_B`, for a network that takes several kinds.
    """
    kinds = companions_of(modalities)
    if not kinds:
        return image_B3HW
    if companion_B1HW is None:
        batch, _, height, width = image_B3HW.shape
        return torch.cat([image_B3HW, image_B3HW.new_zeros(batch, len(kinds), height, width)], 1)
    centred_B1HW = (companion_B1HW.to(image_B3HW.dtype) - CENTRE) / SCALE
    if modality_B is None:
        if len(kinds) > 1:
            raise UserError(f"a companion may be {' or '.join(kinds)} here; say which with modality_B")
        return torch.cat([image_B3HW, centred_B1HW], 1)
    is_kind_BK11 = torch.stack([modality_B == MODALITIES.index(kind) for kind in kinds], 1)[:, :, None, None]
    # Not a product: the values in the row of a picture without a companion must have no effect, NaN included.
    return torch.cat([image_B3HW, torch.where(is_kind_BK11, centred_B1HW, torch.zeros_like(centred_B1HW))], 1)


def fitted_channels(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], old_companions: Sequence[str], new_companions: Sequence[str]
) -> dict[str, Tensor]:
    """Adapt a network's weights to one that differs from it only in the companions that it takes.

    Weights of a new kind are zero, so that it has no effect at first; those of a kind that is no longer taken are left
    out.

    Args:
        state: the other network's.
        own: the state of the network that they are for, of which only shapes are read.
        old_companions, new_companions: the two networks' modalities.
    """
    old, new = companions_of(old_companions), companions_of(new_companions)
    kept = [(kind, old.index(kind)) for kind in new if kind in old]
    fitted = dict(state)
    for key, value in state.items():
        target_shape = own[key].shape if key in own else value.shape
        # Of several pixels at once where the layer sees blocks of them, one input channel after another.
        pixels = value.shape[1] // (3 + len(old)) if value.ndim == 4 else 0
        channels = (*value.shape[:1], pixels * (3 + len(new)), *value.shape[2:])
        if old == new or not pixels or value.shape[1] != pixels * (3 + len(old)) or target_shape != channels:
            continue  # not a first layer, or another difference, which loading will report
        fitted[key] = value.new_zeros(target_shape)
        given, own_weight = value.unflatten(1, (-1, pixels)), fitted[key].unflatten(1, (-1, pixels))
        own_weight[:, :3] = given[:, :3]
        for kind, place in kept:
            own_weight[:, 3 + new.index(kind)] = given[:, 3 + place]
    return fitted
