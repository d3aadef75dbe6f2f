"""Feature maps of timm's networks at given strides, as backbones."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from limelight.foundation.errors import UserError
from limelight.models.light_timm import timm
from limelight.models.padding import with_known_padding
from limelight.models.pretrained import Origin, timm_name, timm_network

DEEPEST = 32
"""Stride of the deepest features that a backbone is built for."""


class TimmFeatures(nn.Module):
    """Any network of timm that offers features at the strides. `forward(image_BCHW) -> [features_BChw]`, finest first.

    Args:
        name: timm's, or one of `limelight.models.pretrained.PACKAGED`.
        pretrained: see `timm_network`; `origin` says where the weights are from.
        strides: ascending; stages behind the last are left out.

    Raises:
        UserError: timm does not know the name, its network has no features at the strides, or there are no weights.
    """

    def __init__(self, name: str, pretrained: bool | str, in_channels: int, strides: Sequence[int]) -> None:
        super().__init__()
        check_backbone(name)
        network: Any
        # The getter leaves out the stages behind the last that is wanted; it names the others differently.
        cut = {} if strides[-1] == DEEPEST else {"feature_cls": "getter", "out_indices": _indices(name, strides)}
        self.origin: Origin | None
        network, self.origin = timm_network(name, pretrained, features_only=True, in_chans=in_channels, **cut)
        reductions = network.feature_info.reduction()
        if not set(strides) <= set(reductions):
            raise UserError(
                f"backbone {name!r} has features at strides {reductions}, needed are {list(strides)}; "
                "choose a convolutional network such as 'resnet18'"
            )
        self.picks = [reductions.index(stride) for stride in strides]
        self.channels = tuple(network.feature_info.channels()[pick] for pick in self.picks)
        self.network = network
        self.divisor = strides[-1] if with_known_padding(network) else 1
        """Sides of the image are multiples of it."""

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        features = self.network(image_BCHW)
        return [features[pick] for pick in self.picks]


def check_backbone(name: str, *others: str) -> None:
    """Check that timm knows a backbone.

    Args:
        others: names that the network knows besides, for the message.

    Raises:
        UserError: it does not.
    """
    if not timm.is_model(timm_name(name).partition(".")[0]):
        known = "".join(f"{other!r}, " for other in others)
        raise UserError(
            f"unknown backbone {name!r}; choose {known}'efficientnet-lite0' or a name of timm.list_models()"
        )


def _indices(name: str, strides: Sequence[int]) -> tuple[int, ...]:
    """Places of the features at these strides among all that timm's network offers."""
    with torch.device("meta"):
        reductions = timm.create_model(timm_name(name), features_only=True).feature_info.reduction()
    return tuple(place for place, stride in enumerate(reductions) if stride in strides)
