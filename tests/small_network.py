"""A network of two layers, for tests of what is done with any network: it is exported in a tenth of SDNet's time."""

import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limelight.models.base import Capabilities
from limelight.models.card import companions_of
from limelight.models.companion import checked_modalities, inputs_of, with_companion
from limelight.models.entry import PACKAGE, Entry
from limelight.models.registry import REGISTRY, create_model
from limelight.models.sdnet.blocks import WIDE, difference_conv
from limelight.models.sdnet.reparameterize import MergingNetwork

NAME = "small"


class Small(MergingNetwork):
    """A difference layer with batch norm, which merges to a convolution, and the layer of the logits."""

    capabilities = Capabilities(merge=True)
    score_layers = ("head",)

    def __init__(self, *, merged: bool = False, modalities: Sequence[str] | None = None) -> None:
        super().__init__()
        takes = checked_modalities(modalities)
        self.capabilities, self.inputs = replace(type(self).capabilities, modalities=takes), inputs_of(takes)
        self.layer = difference_conv(3 + len(companions_of(takes)), 6, WIDE, batch_norm=True, merged=merged)
        self.head = nn.Conv2d(6, 1, 3, padding=1)

    def forward(
        self, image_B3HW: Tensor, companion_B1HW: Tensor | None = None, modality_B: Tensor | None = None
    ) -> list[Tensor]:
        seen_BCHW = with_companion(image_B3HW, companion_B1HW, modality_B, self.capabilities.modalities)
        return [self.head(F.relu(self.layer(seen_BCHW)))]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"conv": [*self.parameters()]}


def register(patch: pytest.MonkeyPatch) -> None:
    """Let `create_model` and weights folders know it, in this process."""
    patch.setitem(sys.modules, f"{PACKAGE}.sdnet.small", sys.modules[__name__])
    patch.setitem(REGISTRY, NAME, Entry("sdnet.small:Small", "two layers, for tests", {}, 64))


def create(**options: object) -> Small:
    """In evaluation mode, as initialised with seed 0, with statistics of its own; of a registered one."""
    torch.manual_seed(0)
    network = create_model(NAME, **options).train()
    assert isinstance(network, Small)
    with torch.no_grad():
        network.layer(torch.randn(4, network.layer.weight.shape[1], 16, 16))
    return network.eval()
