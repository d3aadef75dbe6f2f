"""Difference operators against their definition by pixel pairs, and the layer that mixes them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from limelight.models.difference.layer import DifferenceConv, operator_matrix, plain_kernel, run_branchwise

# The eight pixels of the ring, clockwise from the upper left; flat index of each in the 3 x 3 window.
CLOCKWISE = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]


def flat(offset: tuple[int, int]) -> int:
    return 3 * (offset[0] + 1) + offset[1] + 1


def by_pixel_pairs(image_HW: np.ndarray, weight_9: np.ndarray, operator: str) -> np.ndarray:
    """The published definition, one channel, zeros outside: pixels are subtracted first and weighed then."""
    padded = np.pad(image_HW, 2)
    height, width = image_HW.shape

    def at(dy: int, dx: int) -> np.ndarray:
        return padded[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width]

    total = np.zeros_like(image_HW)
    for position, (dy, dx) in enumerate(CLOCKWISE):
        following = CLOCKWISE[(position + 1) % 8]
        difference = {
            "cv": at(dy, dx),
            "cd": at(dy, dx) - at(0, 0),
            "ad": at(dy, dx) - at(*following),
            "rd": at(2 * dy, 2 * dx) - at(dy, dx),
        }[operator]
        tap = flat((dy, dx))
        if operator == "rd" and tap < 4:  # its weights 1 to 8 go to the ring's pixels in row-major order
            tap += 1
        total += weight_9[tap] * difference
    if operator == "cv":
        total += weight_9[4] * at(0, 0)
    return total


@pytest.mark.parametrize("operator", ["cv", "cd", "ad", "rd"])
@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_plain_kernel_equals_pixel_pairs(operator: str, height: int, width: int, seed: int) -> None:
    source = np.random.default_rng(seed)
    image, weight = source.normal(size=(height, width)), source.normal(size=9)
    kernel = plain_kernel(torch.from_numpy(weight).view(1, 1, 3, 3), operator)
    response = F.conv2d(torch.from_numpy(image)[None, None], kernel, padding=kernel.shape[-1] // 2)
    np.testing.assert_allclose(response[0, 0], by_pixel_pairs(image, weight, operator), atol=1e-13)


def test_published_conversions() -> None:
    weight = torch.arange(1.0, 10.0)
    angular = plain_kernel(weight.view(1, 1, 3, 3), "ad").flatten()
    assert torch.equal(angular, weight - weight[[3, 0, 1, 6, 4, 2, 7, 8, 5]])
    central = plain_kernel(weight.view(1, 1, 3, 3), "cd").flatten()
    assert central[4] == weight[4] - weight.sum()
    radial = plain_kernel(weight.view(1, 1, 3, 3), "rd").flatten()
    assert torch.equal(radial[[0, 2, 4, 10, 14, 20, 22, 24]], weight[1:])
    assert torch.equal(radial[[6, 7, 8, 11, 13, 16, 17, 18]], -weight[1:])


@pytest.mark.parametrize(("operator", "rank"), [("cv", 9), ("cd", 8), ("ad", 7), ("rd", 8)])
def test_ranks_and_blindness_to_constants(operator: str, rank: int) -> None:
    matrix = operator_matrix(operator)
    assert torch.linalg.matrix_rank(matrix) == rank
    assert operator == "cv" or not matrix.sum(1).any()


@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize("operators", [("cv", "cd", "ad"), ("cv", "cd", "ad", "rd")])
def test_weight_space_form_has_the_branches_outputs_and_gradients(operators: tuple[str, ...], groups: int) -> None:
    torch.manual_seed(0)
    layer = DifferenceConv(6, 6, operators, groups=groups).double()
    layer.mixing.data.normal_()
    features = torch.randn(2, 6, 7, 5, dtype=torch.float64, requires_grad=True)
    weigh = torch.randn(2, 6, 7, 5, dtype=torch.float64)

    def run() -> list[torch.Tensor]:
        output = layer(features)
        variables = [features, layer.weight, layer.mixing]
        return [output, *torch.autograd.grad((output * weigh).sum(), variables)]

    together = run()
    run_branchwise(layer)
    for one, other in zip(together, run(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_merged_layer_with_batch_norm_equals_branches() -> None:
    torch.manual_seed(0)
    layer = DifferenceConv(4, 4, ("cv", "cd", "ad", "rd"), groups=4, batch_norm=True).double()
    layer(3 * torch.randn(8, 4, 9, 9, dtype=torch.float64) + 1)  # gives the running statistics values of their own
    layer.eval()
    features = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        together = layer(features)
        apart = run_branchwise(layer)(features)
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-12)


def test_training_with_batch_norm_updates_each_branch_statistics() -> None:
    torch.manual_seed(0)
    layer = DifferenceConv(3, 5, ("cv", "cd"), batch_norm=True)
    features = torch.randn(4, 3, 8, 8)
    layer(features)
    central = F.conv2d(features, plain_kernel(layer.weight[5:], "cd"), padding=1)
    torch.testing.assert_close(layer.norms[1].running_mean, 0.1 * central.mean((0, 2, 3)).detach())


def test_mixing_starts_as_published() -> None:
    share = DifferenceConv(3, 3, ("cv", "cd", "ad", "rd")).mixing.softmax(0)
    torch.testing.assert_close(share, torch.tensor([0.1092, 0.2969, 0.2969, 0.2969]), atol=1e-4, rtol=0)


def test_kernels_keep_full_precision_under_autocast() -> None:
    layer = DifferenceConv(3, 3, ("cd",))
    with torch.autocast("cpu", torch.bfloat16):
        kernel, _ = layer.merged()
    assert kernel.dtype == torch.float32
    assert kernel.sum((2, 3)).abs().max() < 1e-6


def test_channels_last() -> None:
    layer = DifferenceConv(4, 4, ("cv", "rd"), groups=4)
    features = torch.randn(1, 4, 6, 6)
    expected = layer(features)
    layer.to(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(features.to(memory_format=torch.channels_last)), expected)
