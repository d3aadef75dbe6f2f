"""Means of weights: the moving average of a training, and the mean with the weights that it started from."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel

from limelight.models.base import Network
from limelight.training.learner import Learner


def make_average(network: nn.Module, decay: float) -> AveragedModel:
    """Make an average of `network`'s parameters and buffers that `update_parameters(network)` moves on by one step.

    The n-th update (from 0) is a copy for n = 0 and then `average += (1 - d) * (weights - average)` with
    `d = min(decay, (1 + n) / (10 + n))`: a short training's average forgets its random start all the same.

    Frozen parameters are the network's own, in memory and in a saved state: their average is themselves.
    """
    average = AveragedModel(network, multi_avg_fn=_average(decay), use_buffers=True)
    for averaged, value in zip(average.module.parameters(), network.parameters(), strict=True):
        if not value.requires_grad:
            averaged.data = value.data
    return average


def _average(decay: float) -> Callable[[PARAM_LIST, PARAM_LIST, Tensor | int], None]:
    @torch.no_grad()
    def update(averages: PARAM_LIST, values: PARAM_LIST, count: Tensor | int) -> None:
        done = int(count)
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, 1 - min(decay, (1 + done) / (10 + done)))
        else:  # counters of batches seen
            torch._foreach_copy_(averages, values)

    return update


def averaged_network(average: AveragedModel) -> Network:
    """Return the averaged copy of a `Network`."""
    network = average.module
    assert isinstance(network, Network)
    return network


@torch.no_grad()
def mixed_with(network: Network, start: Mapping[str, Tensor], share: float) -> Network:
    """Return a copy of a network whose weights are `share` of its start's, and the rest its own.

    A fine-tuned network keeps so more of what it knew before (WiSE-FT: Wortsman et al., CVPR 2022). Of an adapter's
    update B A only B is mixed: B starts at zero, and mixing both factors would scale the update by (1 - share)^2.

    Args:
        start: the state dict that it started from.
    """
    mixed = deepcopy(network)
    for name, value in mixed.state_dict().items():
        if value.is_floating_point() and ".lora_A." not in name:
            value.lerp_(start[name].to(value), share)
    return mixed


@contextmanager
def predicting_with(learner: Learner, network: Network) -> Iterator[None]:
    """Make `learner` predict with another network within the block."""
    trained = learner.network
    learner.network = network
    try:
        yield
    finally:
        learner.network = trained
