"""Options that make large networks trainable leave what is learnt as it is."""

import sys
from pathlib import Path

import pytest
import torch
from toy import equal, supervised, toy_run, toy_samples, weights

from limelight.config import Optimiser
from limelight.foundation.errors import UserError
from limelight.models.base import Network
from limelight.models.registry import create_model
from limelight.training.loop import fit
from limelight.training.optimisers import make_optimiser, set_learning_rates


def network(name: str = "diffsod-tiny", **options: object) -> Network:
    torch.manual_seed(0)
    return create_model(name, **options)


# --------------------------------------------------------------------------------------------- gradient checkpointing
def gradients(name: str, *, checkpointing: bool) -> tuple[dict[str, torch.Tensor], int]:
    """Of every trained parameter, and the activations that are kept for them, in bytes."""
    model = network(name, gradient_checkpointing=checkpointing)
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    prompts = (model.encode_prompts(["a red cup", ""]),) if model.capabilities.task == "open-vocabulary" else ()
    kept: dict[int, int] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        loss = model(image, *prompts)[0].square().mean()
    loss.backward()
    return {key: value.grad for key, value in model.named_parameters() if value.grad is not None}, sum(kept.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diffsod-tiny", "segdiffusion-tiny"])
def test_gradient_checkpointing_changes_memory_and_nothing_else(name: str) -> None:
    (plain, much), (again, little) = gradients(name, checkpointing=False), gradients(name, checkpointing=True)
    assert plain.keys() == again.keys() and any("conv_in" in key for key in plain)
    for key, value in plain.items():
        torch.testing.assert_close(again[key], value, rtol=1e-5, atol=1e-7, msg=key)
    assert little < 0.8 * much


# --------------------------------------------------------------------------------------------------------------- bf16
@pytest.mark.slow
def test_bf16_learns_in_fp32_weights(tmp_path: Path) -> None:
    settings = {"size": {"input": 64}, "batch": {"size": 4}, "epochs": 1, "optimiser": {"lr": 1e-3}}
    run = toy_run(model="diffsod-tiny", compute={"precision": "bf16"}, **settings)
    learner = supervised(network(), run)
    before = weights(learner.network)
    history = fit(learner, run, samples=toy_samples(tmp_path, 4), folder=tmp_path / "toy/state", seed=1, device="cpu")
    after = weights(learner.network)
    assert {value.dtype for value in learner.network.parameters()} == {torch.float32}
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert {"unet.conv_in.weight", "hint.weight"} <= moved and not any(key.startswith("vae.") for key in moved)
    assert 0 < history.last["loss"] < 10


# ---------------------------------------------------------------------------------------------------------- 8-bit Adam
EIGHT_BIT = Optimiser(name="adamw-8bit", lr=1e-3, weight_decay=0.01, groups={"branch": {"lr_scale": 0.5}})


def steps(model: Network, optimiser: torch.optim.Optimizer, count: int) -> None:
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for _ in range(count):
        set_learning_rates(optimiser, EIGHT_BIT, 1.0, epoch=0)
        optimiser.zero_grad()
        model(image)[0].square().mean().backward()
        optimiser.step()


def test_8_bit_adam_goes_adam_s_way_in_a_third_of_its_memory_and_resumes(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    model, plain = network(), network()
    optimiser = make_optimiser(model.parameter_groups(), EIGHT_BIT)
    reference = make_optimiser(plain.parameter_groups(), EIGHT_BIT.model_copy(update={"name": "adamw"}))
    start = weights(model)
    steps(model, optimiser, 2)
    steps(plain, reference, 2)
    key = "unet.mid_block.resnets.0.conv1.weight"
    way, expected = (net.state_dict()[key] - start[key] for net in (model, plain))
    assert torch.nn.functional.cosine_similarity(way.flatten(), expected.flatten(), 0) > 0.9
    assert size(optimiser) < size(reference) / 3

    torch.save({"network": model.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path / "state.pt")
    steps(model, optimiser, 1)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    again = network()
    resumed = make_optimiser(again.parameter_groups(), EIGHT_BIT)
    again.load_state_dict(saved["network"])
    resumed.load_state_dict(saved["optimiser"])
    steps(again, resumed, 1)
    assert equal(weights(again), weights(model))


def size(optimiser: torch.optim.Optimizer) -> int:
    """Bytes of its state."""
    values = [value for state in optimiser.state.values() for value in state.values() if torch.is_tensor(value)]
    return sum({value.data_ptr(): value.nbytes for value in values}.values())


def test_8_bit_adam_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match=r"'adamw-8bit' needs bitsandbytes .* pip install 'limelight\[eightbit\]'"):
        make_optimiser({"head": [torch.nn.Parameter(torch.zeros(2))]}, EIGHT_BIT)
