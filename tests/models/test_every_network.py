"""The checks that every registered network passes, whatever its family: what generic code relies on.

A network that is registered and not named in `SMALL` fails here.
"""

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limelight.deploy.export import export
from limelight.inference.backends import open_backend
from limelight.inference.plan import Request, plan
from limelight.models.base import Network
from limelight.models.cost import count_macs
from limelight.models.diffusion.configs import UNETS
from limelight.models.examples import example
from limelight.models.inputs import Size, bind, clip_frames
from limelight.models.registry import create_model, entry, list_models
from limelight.models.weights import load_weights, save_weights
from tests.tolerance import assert_agree

TINY = {"unet": "tiny", "vae": "tiny"}
INSPYRENET = {"backbone": "lcnet_050", "channels": 8, "base_size": 64, "modalities": ["rgb", "rgbd"]}
SMALL: dict[str, dict[str, Any]] = {
    "scfnet": {"channels": 8, "modalities": ["rgb", "rgbt"]},
    "scfnet-mobilenetv3": {"modalities": ["rgb", "rgbd"]},
    "scfnet-resnet50": {"channels": 8},
    "scfnet-swinb": {"channels": 8},
    "sdnet": {"width": 12},
    "sdnet-a": {"width": 12, "modalities": ["rgb", "rgbt"]},
    "sdnet-bn": {"width": 12, "modalities": ["rgb", "rgbd", "rgbt"]},
    "stdnet": {"width": 12, "frames": 3},
    "stdnet-a": {"width": 12, "frames": 2},
    "stdnet-causal": {"width": 12, "frames": 4},
    "inspyrenet": INSPYRENET,
    "inspyrenet-swint": {"channels": 8, "base_size": 64},
    **{f"inspyrenet-{name}": INSPYRENET for name in ("swins", "swinb", "swinl", "res2net50", "res2net101")},
    "autoencoder-tiny": {},
    "diffsod": {**TINY, "branch": "tiny"},
    "diffsod-tiny": {},
    "segdiffusion": {**TINY, "text": "tiny", "tokenizer": "words"},
    "segdiffusion-tiny": {},
}
"""Options that make a network small enough to be run many times."""
SLOW = ("scfnet-swinb", "inspyrenet-swint")
EXPORTED = ("scfnet", "inspyrenet", "sdnet-a", "stdnet", "diffsod")
"""Each way of being exported once: free sizes, companions, attention. An export takes seconds to a minute."""


def built_of(name: str) -> str:
    each = entry(name)
    return json.dumps([each.builder, each.options | SMALL.get(name, {"name": name})], sort_keys=True)


NETWORKS = list({built_of(name): name for name in reversed(list_models()) if name != "onnx"}.values())
"""All that are built from options, once each: some differ only in what `SMALL` makes small. Those of files are in
test_foreign.py."""

every_network = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NETWORKS]
)


@cache
def build(name: str) -> Network:
    """In evaluation mode; not to be changed."""
    assert name in SMALL, f"{name} is registered; give it options in SMALL"
    torch.manual_seed(0)
    with torch.inference_mode(False):  # whichever test is first: weights of inference mode cannot be learnt from
        return create_model(name, **SMALL[name]).eval()


def pictures(network: Network, batch: int, size: Size, seed: int = 0) -> dict[str, Tensor]:
    """Noise for every declared input, the last row with a companion of the last kind that the network takes."""
    generator = torch.Generator().manual_seed(seed)
    given = example(network, batch, size, prompts=2)
    for each in network.inputs:
        if each.source in ("image", "clip", "companion"):
            given[each.name] = torch.rand(given[each.name].shape, generator=generator)
    if "modality" in given:
        given["modality"][-1] = {"rgbd": 1, "rgbt": 2}[network.capabilities.modalities[-1]]
    return given


def row(network: Network, given: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    shared = {each.name for each in network.inputs if each.source == "prompt"}
    return {name: value if name in shared else value[index : index + 1] for name, value in given.items()}


def frames(network: Network) -> int:
    """Rows of the result for a row of the inputs."""
    return clip_frames(network.inputs) or 1


def sizes(network: Network) -> list[Size]:
    """The least that it takes, upright, lying, and one that nothing divides if it may be."""
    able = network.capabilities
    min_side = max(able.min_side, able.divisor)
    assert min_side % able.divisor == 0
    odd = (3 * able.divisor + (min_side // able.divisor) * able.divisor, min_side + able.divisor)
    return [(min_side, min_side), (min_side, 64), (64, min_side), odd]


@every_network
def test_names_and_roles(name: str) -> None:
    network = build(name)
    assert network.inputs[0].name in ("image", "clip") and len({each.name for each in network.inputs}) == len(
        network.inputs
    )
    groups = [parameter for group in network.parameter_groups().values() for parameter in group]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert len(groups) == len({*map(id, groups)}) and {*map(id, groups)} == {*map(id, trained)}
    assert network.build_options.keys() >= SMALL[name].keys()
    assert count_macs(network, 64, 64) > 0


@every_network
@torch.inference_mode()
def test_any_size_that_it_declares(name: str) -> None:
    network = build(name)
    for size in sizes(network)[-2:] if name in SLOW else sizes(network):
        logits = network.logits(pictures(network, 2, size))
        assert all(level.shape[0] == 2 * frames(network) and level.shape[2:] == size for level in logits)
        maps = network.maps(pictures(network, 2, size))
        assert maps.dtype == torch.float32 and maps.shape[2:] == size and 0 <= maps.min() <= maps.max() <= 1


@every_network
@torch.inference_mode()
def test_no_row_depends_on_its_batch(name: str) -> None:
    network = build(name)
    assert network.capabilities.independent, "a network as it is built here keeps its rows apart"
    given = pictures(network, 3, (64, 64))
    together = network.logits(given)[0]
    alone = torch.cat([network.logits(row(network, given, index))[0] for index in range(3)])
    assert_agree(together, alone, network)


@every_network
@torch.inference_mode()
def test_what_may_be_left_out_may_be(name: str) -> None:
    network = build(name)
    given = pictures(network, 1, (64, 64))
    needed = {each.name: given[each.name] for each in network.inputs if not each.optional}
    assert bind(network.inputs, needed).keys() == {each.argument for each in network.inputs if not each.optional}
    assert network.maps(needed).shape == network.maps(given).shape


@every_network
def test_it_comes_back_with_all_that_it_computes_with(name: str, tmp_path: Path) -> None:
    network = build(name)
    save_weights(tmp_path / "w", network, name=name, input_size=(64, 64))
    loaded, card = load_weights(tmp_path / "w")
    assert card.architecture.inputs == loaded.inputs == network.inputs
    assert card.architecture.parameters == sum(value.numel() for value in loaded.parameters())
    trained = [key for key, value in network.named_parameters() if value.requires_grad]
    assert [key for key, value in loaded.named_parameters() if value.requires_grad] == trained
    given = pictures(network, 2, (64, 64))
    with torch.inference_mode():
        assert torch.equal(loaded.logits(given)[0], network.logits(given)[0])


@every_network
@torch.inference_mode()
def test_bfloat16_is_finite(name: str) -> None:
    network = copy.deepcopy(build(name)).to(torch.bfloat16)
    given = {
        key: value.bfloat16() if value.is_floating_point() else value
        for key, value in pictures(network, 2, (64, 64)).items()
    }
    maps = network.maps(given)
    assert maps.dtype == torch.float32 and maps.isfinite().all()


@every_network
def test_a_merged_form_computes_the_same(name: str) -> None:
    network = build(name)
    if not network.capabilities.merge:
        refuses(network.reparameterize, "has no merged form")
        return
    merged, given = network.reparameterize(), pictures(network, 2, (48, 64))
    with torch.inference_mode(), network.unmerged():
        expected = network.logits(given)[0]
    with torch.inference_mode():
        assert_agree(merged.logits(given)[0], expected, network)
    assert create_model(name, **merged.build_options).state_dict().keys() == merged.state_dict().keys()
    assert sum(value.numel() for value in merged.parameters()) < sum(value.numel() for value in network.parameters())


@every_network
def test_logits_are_multiplied_where_that_is_possible(name: str) -> None:
    """In the form that is deployed."""
    network = copy.deepcopy(build(name))
    network = network.reparameterize() if network.capabilities.merge else network
    if not network.score_layers:
        refuses(lambda: network.sharpen(2), "cannot be multiplied; leave out deploy.sharpness")
        return
    given = pictures(network, 1, (64, 64))
    with torch.inference_mode():
        expected = network.logits(given)
        network.sharpen(2)
        for actual, plain in zip(network.logits(given), expected, strict=True):
            assert_agree(actual, 2 * plain, network)


@every_network
def test_gradients_reach_every_parameter(name: str) -> None:
    network = copy.deepcopy(build(name)).train()
    torch.manual_seed(0)
    for value in network.parameters():  # branches that begin at zero let no gradient through
        if value.requires_grad:
            torch.nn.init.normal_(value, std=0.05)
    given = pictures(network, 2, (64, 64))
    sum(level.float().square().mean() for level in network.logits(given)).backward()
    without = [key for key, value in network.named_parameters() if value.requires_grad and value.grad is None]
    frozen = [key for key, value in network.named_parameters() if not value.requires_grad and value.grad is not None]
    assert (without, frozen) == ([], [])


@every_network
def test_sampling_is_there_where_it_is_said(name: str) -> None:
    network = build(name)
    given = pictures(network, 2, (64, 64))
    if network.capabilities.sample:
        network.check_steps(2)
        maps, uncertainty = network.draw(given, steps=2, ensemble_size=2, seeds=[0, 1])
        assert maps.shape[2:] == (64, 64) and uncertainty is not None and uncertainty.shape == maps.shape
    else:
        refuses(lambda: network.check_steps(2), "does not sample")
    if not any(each.source == "prompt" for each in network.inputs):
        refuses(lambda: network.encode_prompts(["a"]), "takes no text prompts")


def refuses(call: Callable[[], object], problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        call()


def with_each_part_once(name: str) -> Network:
    """The network, without what only makes its export longer: parts of which there are others of their kind."""
    if name == "diffsod":
        blocks = {"block_out_channels": [32, 64], "attention_head_dim": [2, 4]}
        blocks |= {"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]}
        blocks |= {"up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"]}
        torch.manual_seed(0)
        return create_model(name, **SMALL[name] | {"unet": UNETS["tiny"] | blocks}).eval()
    network = build(name)
    if name == "inspyrenet":
        network = copy.deepcopy(network)
        torch.manual_seed(0)
        for level, channels in enumerate(network.backbone.channels[:-1], 1):
            setattr(network, f"context{level}", nn.Conv2d(channels, INSPYRENET["channels"], 1))
    return network


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_exports_agree(name: str, tmp_path: Path) -> None:
    """In the form that is deployed; on batches of other sizes than the traced one, with and without companions."""
    network, form = with_each_part_once(name), "training"
    if network.capabilities.merge:
        network, form = network.reparameterize(), "merged"
    card = save_weights(tmp_path / "w", network, name=name, input_size=(64, 64), form=form)
    runtimes = ("onnx-fp32", "openvino-fp32")
    export(network, card, tmp_path / "w", runtimes, {})
    sides = (64, 64) if network.capabilities.fixed_export else (64, 96)
    with torch.inference_mode():
        expected = network.maps(pictures(network, 3, sides))
    given = {key: value.numpy() for key, value in pictures(network, 3, sides).items()}
    for runtime in runtimes:
        backend = open_backend(plan(tmp_path / "w", card, Request(runtime, "cpu")))
        assert_agree(backend.run(given).probability_BKhw, expected, network)
        alone = {name: value[:1] for name, value in given.items()}
        assert_agree(backend.run(alone).probability_BKhw, expected[: frames(network)], network)
