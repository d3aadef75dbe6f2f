"""Roles, frozen groups and the averaged weights."""

import torch
from toy import toy_network, weights

from limelight.config import Optimiser
from limelight.training.ema import make_average
from limelight.training.optimisers import make_optimiser, set_learning_rates

SETTINGS = Optimiser(
    name="adam",
    lr=0.1,
    weight_decay=0.3,
    groups={"head": {"lr_scale": 0.5, "weight_decay": 0.0, "freeze_epochs": 2}, "elsewhere": {"lr_scale": 9}},
)


def test_each_role_has_its_own_rate_and_decay():
    network = toy_network()
    optimiser = make_optimiser(network.parameter_groups(), SETTINGS)
    assert isinstance(optimiser, torch.optim.Adam)
    assert {group["role"]: group["weight_decay"] for group in optimiser.param_groups} == {"body": 0.3, "head": 0.0}
    assert set_learning_rates(optimiser, SETTINGS, 0.25, epoch=2) == 0.025
    assert {group["role"]: group["lr"] for group in optimiser.param_groups} == {"body": 0.025, "head": 0.0125}


def test_momentum_and_betas_are_the_run_s():
    roles = toy_network().parameter_groups()
    assert make_optimiser(roles, Optimiser(name="sgd", momentum=0.7)).defaults["momentum"] == 0.7
    for name in ("adam", "adamw"):
        assert make_optimiser(roles, Optimiser(name=name, betas=(0.5, 0.9))).defaults["betas"] == (0.5, 0.9)


def test_frozen_group_does_not_move_until_its_epoch():
    network = toy_network()
    optimiser = make_optimiser(network.parameter_groups(), SETTINGS)
    before, moved = weights(network), []
    for epoch in range(3):
        set_learning_rates(optimiser, SETTINGS, 1.0, epoch)
        optimiser.zero_grad()
        network(torch.ones(2, 3, 8, 8))[0].sum().backward()
        optimiser.step()
        moved.append(not torch.equal(network.head.weight, before["head.weight"]))
        assert not torch.equal(network.body[0].weight, before["body.0.weight"])
    assert moved == [False, False, True]


def test_average_follows_its_formula():
    network = toy_network()
    average = make_average(network, decay=0.3)
    expected = None
    for count in range(6):
        with torch.no_grad():
            for value in (*network.parameters(), *(b for b in network.buffers() if b.is_floating_point())):
                value.add_(torch.randn_like(value))
        average.update_parameters(network)
        now = network.head.weight.detach().clone(), network.body[1].running_mean.clone()
        decay = min(0.3, (1 + count) / (10 + count))
        expected = now if count == 0 else [decay * e + (1 - decay) * n for e, n in zip(expected, now, strict=True)]
    torch.testing.assert_close(average.module.head.weight.detach(), expected[0])
    torch.testing.assert_close(average.module.body[1].running_mean, expected[1])


def test_average_copies_counters():
    network = toy_network()
    average = make_average(network, decay=0.9)
    for _ in range(3):
        network.train()(torch.ones(2, 3, 8, 8))
        average.update_parameters(network)
    assert average.module.body[1].num_batches_tracked.item() == 3


def test_what_is_frozen_is_not_averaged_but_shared():
    network = toy_network()
    network.body.requires_grad_(False)
    average = make_average(network, decay=0.9)
    before = weights(network)
    for _ in range(3):
        with torch.no_grad():
            network.head.weight.add_(1)
        average.update_parameters(network)
    assert average.module.body[0].weight.data_ptr() == network.body[0].weight.data_ptr()
    assert average.module.head.weight.data_ptr() != network.head.weight.data_ptr()
    assert torch.equal(average.module.body[0].weight, before["body.0.weight"])
    assert (average.module.head.weight < network.head.weight).all()
