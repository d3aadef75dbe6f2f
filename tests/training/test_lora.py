"""Adapters: what is trained, what is kept, and that nothing of them is left in the weights."""

from pathlib import Path

import pytest
import torch
from toy import equal, supervised, toy_run, toy_samples, weights

from limelight.config import Lora
from limelight.foundation.errors import UserError
from limelight.models.base import Network
from limelight.models.diffusion.lora import add_adapters, merge_adapters
from limelight.models.registry import create_model
from limelight.training.ema import mixed_with
from limelight.training.loop import fit
from limelight.training.optimisers import make_optimiser
from tests.tolerance import assert_agree

LORA = Lora(rank=3, alpha=6)
SETTINGS = {
    "model": "diffsod-tiny",
    "size": {"input": 64},
    "batch": {"size": 4},
    "optimiser": {"lr": 1e-2},
    "lora": LORA.model_dump(),
    "compute": {"checkpoint_minutes": 0},
}


def adapted(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    network = create_model("diffsod-tiny")
    add_adapters(network.unet, **LORA.model_dump())
    return network


def predict(network: Network) -> torch.Tensor:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        return network.eval()(image)[0]


def train(network: Network, folder: Path, **settings: object) -> Network:
    run = toy_run(**{**SETTINGS, **settings})
    learner = supervised(network, run)
    fit(learner, run, samples=toy_samples(folder, 8), folder=folder / "toy" / "state", seed=1, device="cpu")
    return learner.network


def test_adapters_and_what_base_weights_lack_are_all_that_is_trained() -> None:
    network = adapted()
    roles = network.parameter_groups()
    attentions = [name for name, _ in network.unet.named_modules() if name.endswith(("attn1", "attn2"))]
    assert len(roles["adapters"]) == 2 * 4 * len(attentions)
    assert [id(value) for value in roles["unet"]] == [id(value) for value in network.unet.conv_in.parameters()]
    trained = {name for name, value in network.named_parameters() if value.requires_grad}
    others = {name for name in trained if not name.startswith(("condition.", "hint."))}
    assert {name for name in others if ".lora_" not in name} == {"unet.conv_in.weight", "unet.conv_in.bias"}
    optimiser = make_optimiser(roles, toy_run(**SETTINGS).optimiser)
    given = [value for group in optimiser.param_groups for value in group["params"]]
    assert {id(value) for value in given} == {id(value) for value in network.parameters() if value.requires_grad}
    assert [group["role"] for group in optimiser.param_groups] == ["unet", "adapters", "backbone", "branch"]


@pytest.mark.slow
def test_training_moves_them_alone_and_merging_leaves_plain_weights(tmp_path: Path) -> None:
    before = weights(create_model("diffsod-tiny"))
    start = weights(adapted())
    network = train(adapted(), tmp_path)
    frozen = [name for name in start if name.startswith("unet.") and ".lora_" not in name and "conv_in" not in name]
    after = weights(network)
    assert all(torch.equal(after[name], start[name]) for name in frozen)
    assert not any(torch.equal(after[name], start[name]) for name in start if ".lora_" in name)
    assert not torch.equal(after["unet.conv_in.weight"], start["unet.conv_in.weight"])

    expected = predict(network)
    merge_adapters(network.unet)
    assert network.state_dict().keys() == before.keys()
    assert_agree(predict(network), expected, network)
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v"
    tensors = {name.removeprefix(f"{key}."): value for name, value in after.items() if name.startswith(key)}
    change = 6 / 3 * tensors["lora_B.default.weight"] @ tensors["lora_A.default.weight"]
    torch.testing.assert_close(network.state_dict()[f"{key}.weight"], tensors["base_layer.weight"] + change)
    assert all(value.requires_grad for value in network.unet.parameters())


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_start_is_that_share_of_the_update(share: float) -> None:
    network = adapted()
    start = weights(network)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if ".lora_" in name:
                value.add_(torch.randn_like(value))
    mixed = mixed_with(network, start, share)
    for each in (network, mixed):
        each.merge_adapters()
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight"
    base = start[key.replace(".weight", ".base_layer.weight")]
    update, kept = (each.state_dict()[key] - base for each in (network, mixed))
    torch.testing.assert_close(kept, (1 - share) * update, atol=1e-6, rtol=1e-5)
    assert update.abs().max() > 0.1


@pytest.mark.slow
def test_it_resumes_exactly(tmp_path: Path) -> None:
    averaged = {"lr": 1e-2, "ema": 0.5}
    expected = weights(train(adapted(), tmp_path / "undisturbed", optimiser=averaged))
    network, broken = adapted(), RuntimeError("killed")

    def die(history: object) -> None:
        if len(history.records) == 2:
            raise broken

    run = toy_run(**{**SETTINGS, "optimiser": averaged})
    with pytest.raises(RuntimeError, match="killed"):
        fit(
            supervised(network, run),
            run,
            samples=toy_samples(tmp_path, 8),
            folder=tmp_path / "toy" / "state",
            seed=1,
            device="cpu",
            on_epoch=die,
        )
    assert equal(weights(train(adapted(seed=9), tmp_path, optimiser=averaged)), expected)


@pytest.mark.parametrize("targets", [["nothing"], ["conv_norm_out"]])
def test_targets_that_fit_nothing_are_refused(targets: list[str]) -> None:
    with pytest.raises(UserError, match=rf"lora.targets \['{targets[0]}'\]: Target module"):
        add_adapters(create_model("diffsod-tiny").unet, rank=2, alpha=2, targets=targets)
