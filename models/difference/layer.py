"""Difference convolutions: operators that weigh pixel differences, and layers that run several of them in parallel.

Every operator owns a 3 x 3 weight and is linear in it, so it equals one plain convolution whose kernel is
K = w M, with M a constant 9 x size^2 matrix (Su et al., "Rapid Salient Object Detection with Difference Convolutional
Neural Networks", TPAMI 2025, sections on difference convolution reparameterization; the operators are those of
Su et al., "Pixel Difference Networks", ICCV 2021, equations 1 and 2).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]
"""Of height and width."""
Offset = tuple[int, int]

_WINDOW: list[Offset] = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
_RING = [offset for offset in _WINDOW if offset != (0, 0)]
_CLOCKWISE = {0: 1, 1: 2, 2: 5, 5: 8, 8: 7, 7: 6, 6: 3, 3: 0}

FOOTPRINT = {"cv": 3, "cd": 3, "ad": 3, "rd": 5}
"""Operators and the side of the window they look at: vanilla, central, angular and radial difference."""


def footprint(operators: Sequence[str]) -> int:
    """Side of the kernel that a layer of these operators merges to."""
    return max(FOOTPRINT[operator] for operator in operators)


def padding_for(size: int, padding: Pair, dilation: Pair) -> Pair:
    """The padding with which a kernel of side `size` gives what a 3 x 3 one gives with `padding`."""
    wider = (size - 3) // 2
    return padding[0] + wider * dilation[0], padding[1] + wider * dilation[1]


def _terms(operator: str) -> list[tuple[int, Offset, Offset | None]]:
    """(tap, plus, minus): the weight at `tap` multiplies the pixel at `plus` less the pixel at `minus`."""
    if operator == "cv":
        return [(tap, offset, None) for tap, offset in enumerate(_WINDOW)]
    if operator == "cd":
        return [(tap, offset, (0, 0)) for tap, offset in enumerate(_WINDOW)]
    if operator == "ad":  # the centre would pair with itself, so its weight has no effect
        return [(tap, _WINDOW[tap], _WINDOW[following]) for tap, following in _CLOCKWISE.items()]
    return [(tap, (2 * dy, 2 * dx), (dy, dx)) for tap, (dy, dx) in enumerate(_RING, start=1)]  # rd leaves weight 0 out


def operator_matrix(operator: str, size: int | None = None) -> Tensor:
    """The constant matrix M, (9, size^2), float32, that turns a flat 3 x 3 weight into a flat plain kernel: K = w M.

    Args:
        operator: 'cv', 'cd', 'ad' or 'rd'.
        size: side of the plain kernel, odd, at least the operator's footprint (the default).
    """
    size = size or FOOTPRINT[operator]
    matrix = torch.zeros(9, size, size)
    centre = size // 2
    for tap, plus, minus in _terms(operator):
        matrix[tap, centre + plus[0], centre + plus[1]] += 1
        if minus is not None:
            matrix[tap, centre + minus[0], centre + minus[1]] -= 1
    return matrix.flatten(1)


def plain_kernel(weight_OI33: Tensor, operator: str) -> Tensor:
    """The kernel, (O, I, size, size), with which an ordinary convolution computes the difference convolution."""
    size = FOOTPRINT[operator]
    matrix = operator_matrix(operator).to(weight_OI33)
    return (weight_OI33.flatten(2) @ matrix).unflatten(2, (size, size))


def initial_mixing(branches: int) -> Tensor:
    """The published initial value of a layer's mixing weights: the first branch, the vanilla one, starts weakest."""
    return torch.tensor([0.0] + [1.0] * (branches - 1))


class DifferenceConv(nn.Module):
    """Parallel difference convolutions of one input, mixed by a softmax: y = sum_i softmax(a)_i BN_i(K(w_i) * x).

    Without batch norm the sum is formed in weight space, by one convolution with the kernel sum_i softmax(a)_i K(w_i);
    outputs and gradients are the same as those of the separate branches at a third to a quarter of the work. With
    batch norm the same holds in evaluation mode; training needs each branch's own statistics and runs the branches
    one by one.

    Args:
        operators: the branches, e.g. ('cv', 'cd', 'ad', 'rd').
        groups, stride, dilation, bias: as in `nn.Conv2d`; groups equal to the channels for a depthwise layer.
        padding: of a 3 x 3 kernel, whatever the operators; None = as much as keeps height and width at stride 1.
        batch_norm: one `BatchNorm2d` per branch.

    Attributes:
        branchwise: run the branches one by one also where one convolution would do. For checks and for comparisons
            with the form that was published; see `run_branchwise`.
    """

    branchwise = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        operators: Sequence[str],
        *,
        groups: int = 1,
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        padding: Pair | None = None,
        bias: bool = False,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.operators = tuple(operators)
        self.groups, self.stride, self.dilation = groups, stride, dilation
        self.padding = dilation if padding is None else padding
        self.size = footprint(operators)
        # Branches lie one after another along the filters, so that the weight stays four-dimensional.
        self.weight = nn.Parameter(torch.empty(len(operators) * out_channels, in_channels // groups, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.mixing = nn.Parameter(initial_mixing(len(operators)))
        self.bias: Tensor | None = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.norms = nn.ModuleList(nn.BatchNorm2d(out_channels) for _ in operators if batch_norm)
        matrices = torch.stack([operator_matrix(operator, self.size) for operator in operators])
        self.matrices: Tensor
        self.register_buffer("matrices", matrices, persistent=False)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """Features of the height and width that an `nn.Conv2d` of the same arguments gives."""
        if self.branchwise or (self.norms and self.training):
            return self._forward_branches(features_BCHW)
        kernel, bias = self.merged()
        return self.convolve(features_BCHW, kernel, bias)

    def convolve(self, features_BCHW: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        """A plain convolution, with zeros outside. A layer on another kind of plane, say time by space with the first
        and last frame repeated, overrides this alone."""
        padding = padding_for(kernel.shape[-1], self.padding, self.dilation)
        return F.conv2d(features_BCHW, kernel, bias, self.stride, padding, self.dilation, self.groups)

    def plain(self, kernel_OI33: Tensor) -> Tensor:
        """The kernel of the plain convolution that the layer merges to, from the sum of its branches' kernels."""
        return kernel_OI33

    def _forward_branches(self, features_BCHW: Tensor) -> Tensor:
        total = torch.zeros((), device=features_BCHW.device)
        share = self.mixing.softmax(0)
        for index, (operator, weight) in enumerate(zip(self.operators, self._branch_weights(), strict=True)):
            response = self.convolve(features_BCHW, plain_kernel(weight, operator))
            if self.norms:
                response = self.norms[index](response)
            total = total + share[index] * response
        return total if self.bias is None else total + self.bias[:, None, None]

    def _branch_weights(self) -> tuple[Tensor, ...]:
        return self.weight.chunk(len(self.operators))

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """The one kernel (O, I, size, size) and bias (O) that the branches sum to; running statistics stand for batch
        norm. None is no bias at all."""
        branches = len(self.operators)
        share = self.mixing.softmax(0)[:, None]
        gain: Tensor = share
        bias: Tensor | None = self.bias
        if self.norms:
            norms = [frozen(norm) for norm in self.norms]
            gain = torch.stack([norm.gain for norm in norms])
            centred = torch.stack([norm.bias - norm.mean * norm.gain for norm in norms])
            bias = (share * centred).sum(0) + (0 if bias is None else bias)
            gain = share * gain
        # Kernels of difference operators sum to zero; in half precision they would not.
        with torch.autocast("cuda" if self.weight.is_cuda else "cpu", enabled=False):
            weight_nOI9 = self.weight.reshape(branches, -1, self.weight.shape[1], 9) * gain[:, :, None, None]
            weight_OIn9 = weight_nOI9.permute(1, 2, 0, 3).flatten(2)
            kernel = weight_OIn9 @ self.matrices.flatten(0, 1)
        return kernel.unflatten(2, (self.size, self.size)), bias


class FrozenNorm(NamedTuple):
    """Batch norm in evaluation mode: gain * (x - mean) + bias, per channel."""

    gain: Tensor
    bias: Tensor
    mean: Tensor


def frozen(norm: nn.Module) -> FrozenNorm:
    """What a batch norm with running statistics computes in evaluation mode."""
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
        raise TypeError(f"{norm} is no batch norm with running statistics")
    return FrozenNorm(norm.weight / (norm.running_var + norm.eps).sqrt(), norm.bias, norm.running_mean)


@torch.no_grad()
def merged_layer(layer: DifferenceConv) -> nn.Conv2d:
    """The plain convolution that computes the same in evaluation mode; the sums are formed in float64."""
    kernel, bias = copy.deepcopy(layer).double().merged()
    plain = nn.Conv2d(
        layer.weight.shape[1] * layer.groups,
        len(kernel),
        layer.size,
        layer.stride,
        padding_for(layer.size, layer.padding, layer.dilation),
        layer.dilation,
        layer.groups,
        bias=bias is not None,
    ).to(layer.weight)
    plain.weight.copy_(kernel)
    if bias is not None and plain.bias is not None:
        plain.bias.copy_(bias)
    return plain.requires_grad_(layer.weight.requires_grad).train(layer.training)


def is_plain_state(layer: DifferenceConv, name: str, state: Mapping[str, Tensor]) -> bool:
    """Whether `state` holds, as `name`, a plain 3 x 3 convolution with the outputs of `layer`."""
    weight = state.get(f"{name}.weight")
    outputs = len(layer.weight) // len(layer.operators)
    return (
        f"{name}.mixing" not in state and weight is not None and weight.shape[::2] == (outputs, 3) and weight.ndim == 4
    )


def start_from_plain(weight_OI33: Tensor, operators: Sequence[str]) -> Tensor:
    """The weights, branch after branch, with which a new layer starts from a plain convolution.

    With a vanilla branch that one computes all of it and the differences begin at zero, so that the layer computes what
    the plain convolution did. Without one no such weights exist, since differences are blind to constants: every
    branch begins with the plain weights, as weights of differences.
    """
    if "cv" not in operators:
        return torch.cat([weight_OI33] * len(operators))
    place = list(operators).index("cv")
    share = float(initial_mixing(len(operators)).softmax(0)[place])
    return torch.cat([weight_OI33 / share if index == place else 0 * weight_OI33 for index in range(len(operators))])


def run_branchwise(model: nn.Module, enabled: bool = True) -> nn.Module:
    """Make every difference layer of `model` run its branches as separate convolutions, or stop doing so."""
    for module in model.modules():
        if isinstance(module, DifferenceConv):
            module.branchwise = enabled
    return model
