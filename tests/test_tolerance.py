"""The bound that results are held to lets rounding pass and nothing else."""

import copy

import pytest
import torch
from torch import Tensor, nn

from limelight.models.base import Network
from limelight.models.registry import create_model
from tests.tolerance import assert_agree


def computed(network: Network) -> Tensor:
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        given = {"image": image}
        if network.capabilities.task == "open-vocabulary":
            given["prompt"] = network.encode_prompts(["a red cup"])
        dtype = next(network.parameters()).dtype
        return network.logits({name: each.to(dtype) for name, each in given.items()})[0]


@pytest.mark.parametrize("name", ["sdnet", "scfnet-mobilenetv3", "diffsod-tiny", "segdiffusion-tiny"])
def test_rounding_passes_and_one_layer_in_bfloat16_does_not(name: str) -> None:
    torch.manual_seed(0)
    network = create_model(name).eval()
    logits = computed(network)
    assert_agree(logits, computed(copy.deepcopy(network).double()), network)
    convolution = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    convolution.weight.data = convolution.weight.bfloat16().float()
    with pytest.raises(AssertionError, match="not close"):
        assert_agree(computed(network), logits, network)
