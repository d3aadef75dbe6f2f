"""How far two computations of one network may be apart.

The order in which terms are summed is the processor's, the memory layout's, the batch's, the runtime's and the merged
form's own, and so is the last bit of every sum.
"""

from functools import cache
from typing import Any

import torch
from torch import nn

from limelight.models.registry import create_model

EPSILON = 2.0**-23
"""Of float32."""


def rounding(expected: Any, network: nn.Module | str | int, *, steps: int = 1) -> float:
    """The largest difference that rounding explains between two float32 computations of `expected`.

    Each layer rounds what it is given and what it makes, to an epsilon of its range, in both computations: four
    epsilons a layer, as if they all pointed one way. An offset of `expected` is rounded too, to an epsilon of its
    largest value. What was measured, over layouts, batches, merged forms, exports and against float64, is 0.02 to 0.63
    epsilons a layer, so the bound is at least six times what a processor should show.

    It fails for defects all the same: it is 2e-4 of the range for the deepest network here (348 layers), and rounding
    the weights of one layer to bfloat16 moves results by more (`test_tolerance.py`).

    Args:
        expected: logits, probabilities or features, whose range is the unit.
        network: what computes it, by itself or by its name; or its layers with weights.
        steps: times that the network runs, each on the result of the last.
    """
    expected = torch.as_tensor(expected).detach().double()
    spread, largest = expected.max() - expected.min(), expected.abs().max()
    return float(relative(network, steps=steps) * spread + 4 * EPSILON * largest)


def relative(network: nn.Module | str | int, *, steps: int = 1) -> float:
    """The share of a range that `rounding` allows; for numbers that are made of all pixels, such as a loss."""
    return 4 * EPSILON * steps * layers(network)


def assert_agree(actual: Any, expected: Any, network: nn.Module | str | int, *, steps: int = 1) -> None:
    """Two results of a network, tensors or arrays, differ by no more than `rounding`."""
    actual, expected = (torch.as_tensor(each).detach().double() for each in (actual, expected))
    atol = rounding(expected, network, steps=steps)
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def assert_runtime_agrees(runtime: str, actual: Any, expected: Any, network: nn.Module | str | int) -> None:
    """Probabilities of a runtime differ by no more from PyTorch's in float32 than its number format explains.

    In 16 and in 8 bits the bound of float32 would be as wide as the range. What is asked for there is that no
    probability is far off, and a correlation, which the result of anything else does not have. In 8 bits it depends on
    the processor: 0.82 to 0.99 were measured with AVX2, 0.53 in OpenVINO with AVX alone.
    """
    if runtime.endswith("fp32"):
        assert_agree(actual, expected, network)
        return
    actual, expected = (torch.as_tensor(each).detach().double().flatten() for each in (actual, expected))
    assert (actual - expected).abs().max() < 0.02
    assert torch.corrcoef(torch.stack([actual, expected]))[0, 1] > (0.4 if runtime.endswith("int8") else 0.7)


def layers(network: nn.Module | str | int) -> int:
    """Those with weights of their own: convolutions, linear layers, norms, embeddings."""
    if isinstance(network, str):
        return _layers_of(network)
    if isinstance(network, int):
        return network
    return sum(bool(list(module.parameters(recurse=False))) for module in network.modules())


@cache
def _layers_of(name: str) -> int:
    with torch.device("meta"):
        return layers(create_model(name))
