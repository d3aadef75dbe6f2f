"""The second picture (depth, thermal) as further input channels of a network that was made for images.

Each kind of second picture has a channel of its own, so that a network of both can tell them apart.
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
    """A network's option `modalities` in the order of `MODALITIES`; None stands for images alone.

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
    """What a network that takes `modalities` declares."""
    return WITH_COMPANION if companions_of(modalities) else (IMAGE,)


def with_companion(
    image_B3HW: Tensor, companion_B1HW: Tensor | None, modality_B: Tensor | None, modalities: Sequence[str]
) -> Tensor:
    """The input of a network that takes `modalities`: the image, and a channel for each kind of second picture.

    Args:
        companion_B1HW: float in [0, 1]; None where no picture of the batch has one.
        modality_B: int64, indices into `MODALITIES`. What `modalities` does not name counts as an image alone. May be
            None where only one kind of second picture can be meant.

    Returns:
        features_BCHW with C = 3 + number of kinds; a kind's channel is zero where a picture is not of that kind.

    Raises:
        UserError: companions of a network that takes several kinds, without `modality_B`.
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
    # Not a product: whatever stands in the row of a picture that has no companion must not matter, NaN included.
    return torch.cat([image_B3HW, torch.where(is_kind_BK11, centred_B1HW, torch.zeros_like(centred_B1HW))], 1)


def fitted_channels(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], had: Sequence[str], takes: Sequence[str]
) -> dict[str, Tensor]:
    """Weights of a network that takes other second pictures, for one that differs from it in nothing else.

    Weights of a kind that is new are zero, so that at first it does not matter; those of a kind that is not taken any
    more are left out.

    Args:
        state: the other network's.
        own: the state of the network that they are for, of which only shapes are read.
        had, takes: the two networks' modalities.
    """
    old, new = companions_of(had), companions_of(takes)
    kept = [(kind, old.index(kind)) for kind in new if kind in old]
    fitted = dict(state)
    for key, value in state.items():
        wanted = own[key].shape if key in own else value.shape
        channels = (*value.shape[:1], 3 + len(new), *value.shape[2:])
        if old == new or value.ndim != 4 or value.shape[1] != 3 + len(old) or wanted != channels:
            continue  # no first layer, or a network that differs otherwise, which loading it will say
        fitted[key] = value.new_zeros(wanted)
        fitted[key][:, :3] = value[:, :3]
        for kind, place in kept:
            fitted[key][:, 3 + new.index(kind)] = value[:, 3 + place]
    return fitted
