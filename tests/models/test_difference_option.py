"""The option `difference`: plain convolutions of any network as difference convolutions, and back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from limelight.cli.listing import model_lines
from limelight.foundation.errors import UserError
from limelight.models.base import Network
from limelight.models.difference.layer import DifferenceConv, merged_layer, run_branchwise
from limelight.models.difference.option import convert, from_plain, read_option
from limelight.models.examples import example
from limelight.models.registry import create_model
from limelight.models.state import load_strict
from limelight.models.weights import load_weights, save_weights
from tests.tolerance import assert_agree

STUDENT = "scfnet-mobilenetv3"
ALL_LAYERS = {"kinds": "cv+cd+ad", "layers": ["backbone", "fusions", "heads"]}


def build(name: str, seed: int = 0, **options: Any) -> Network:
    torch.manual_seed(seed)
    return create_model(name, **options).eval()


def shaken(network: Network) -> Network:
    """With weights, mixing and statistics of its own, as if it had been trained."""
    torch.manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, DifferenceConv):
                module.weight.add_(torch.randn_like(module.weight) * module.weight.std() / 20)
                module.mixing.add_(torch.randn_like(module.mixing) / 2)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 2)
    return network


def logits(network: Network, height: int = 64, width: int = 96) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    shapes = {name: part.shape for name, part in example(network, 2, (height, width)).items()}
    with torch.inference_mode():
        return network.logits({name: torch.rand(shape, generator=generator) for name, shape in shapes.items()})[0]


@pytest.mark.parametrize(
    ("name", "options", "difference"),
    [
        (STUDENT, {}, "cv+cd+ad"),
        (STUDENT, {}, ALL_LAYERS),  # stride 2 and depthwise, with and without bias
        ("inspyrenet", {"backbone": "lcnet_050", "channels": 8, "base_size": 64}, "cv+ad"),
        ("sdnet", {"width": 12}, "cv+cd"),  # dilated, beside its own difference layers
        ("stdnet", {"width": 12, "frames": 2}, "cv+ad"),  # before batch norms that are folded
    ],
)
def test_merged_is_the_plain_network_in_size_and_the_trained_one_in_function(
    name: str, options: dict[str, Any], difference: Any
) -> None:
    plain, network = build(name, **options), shaken(build(name, **options, difference=difference))
    merged = network.reparameterize()
    smallest = plain.reparameterize() if plain.capabilities.merge else plain
    assert merged.count_parameters() == smallest.count_parameters() < network.count_parameters()
    with network.unmerged():
        expected = logits(network)
    assert expected.std() > 1e-4
    torch.testing.assert_close(logits(merged), expected, rtol=0, atol=1e-5)
    assert_agree(logits(merged), expected, network)
    assert_agree(logits(network), expected, network)
    assert torch.equal(logits(merged.reparameterize()), logits(merged))


@pytest.mark.parametrize("kinds", [["cd", "ad", "rd", "cv"], "cv+cd+ad+rd"])
def test_radial_layers_merge_to_larger_kernels(kinds: Any) -> None:
    network = shaken(
        build(STUDENT, difference={"kinds": kinds, "layers": ["context", "backbone.blocks", "backbone.stem"]})
    )
    merged = network.reparameterize()
    sizes = [module.kernel_size[0] for module in merged.modules() if isinstance(module, nn.Conv2d)]
    plain = [module.kernel_size[0] for module in build(STUDENT).modules() if isinstance(module, nn.Conv2d)]
    assert sizes.count(5) > plain.count(5) and len(sizes) == len(plain)
    with network.unmerged():
        expected = logits(network, 65, 97)
    assert_agree(logits(merged, 65, 97), expected, network)
    assert create_model(STUDENT, **merged.build_options).state_dict().keys() == merged.state_dict().keys()


@pytest.mark.parametrize(
    "like",
    [
        {"stride": (2, 2), "padding": (1, 1)},
        {"stride": (2, 1), "padding": (0, 3), "dilation": (1, 2)},
        {"groups": 6, "dilation": (3, 3), "padding": (3, 3)},
    ],
)
@pytest.mark.parametrize("operators", [("cv", "cd", "ad"), ("rd",), ("cv", "rd")])
def test_a_layer_gives_the_sizes_of_the_convolution_that_it_replaces(like: dict[str, Any], operators: Any) -> None:
    torch.manual_seed(0)
    layer = DifferenceConv(6, 6, operators, bias=True, **like)
    layer.bias.data.normal_()
    x = torch.randn(2, 6, 17, 14)
    with torch.no_grad():
        expected = run_branchwise(layer)(x)
        assert expected.shape == nn.Conv2d(6, 6, 3, **like)(x).shape
        torch.testing.assert_close(merged_layer(layer)(x), expected, rtol=0, atol=1e-5)


def test_it_starts_as_the_plain_network_where_it_has_a_vanilla_branch() -> None:
    plain = build(STUDENT)
    assert_agree(logits(build(STUDENT, difference=ALL_LAYERS)), logits(plain), plain)
    central = build(STUDENT, difference={"kinds": "cd", "layers": ["context"]})
    assert torch.equal(central.context.conv.weight, plain.context.conv.weight)


def test_weights_of_a_plain_network_are_taken_over() -> None:
    trained, network = shaken(build(STUDENT, seed=3)), build(STUDENT, difference=ALL_LAYERS)
    load_strict(network, from_plain(network, trained.state_dict()), "the plain one")
    assert_agree(logits(network), logits(trained), trained)
    part = build(STUDENT, difference=ALL_LAYERS)
    part.take_part("backbone", trained, "the plain one")
    weight = part.backbone.stem.conv.merged()[0]
    torch.testing.assert_close(weight, trained.backbone.stem.conv.weight)
    own = shaken(network)
    load_strict(part, from_plain(part, own.state_dict()), "one with differences")
    assert torch.equal(logits(part), logits(own))


def test_gradients_reach_every_branch() -> None:
    network = build(STUDENT, difference=ALL_LAYERS).train()
    sum(level.square().mean() for level in network(torch.rand(2, 3, 64, 64))).backward()
    layers = [module for module in network.modules() if isinstance(module, DifferenceConv)]
    assert len(layers) > 20 and all(
        branch.any() for layer in layers for branch in layer.weight.grad.chunk(len(layer.operators))
    )


@pytest.mark.parametrize("merges", [False, True])
def test_cards_and_listings_say_it(merges: bool, tmp_path: Path) -> None:
    network = shaken(build(STUDENT, difference={"kinds": ["cv+cd+ad", "cv+rd"], "layers": ["context", "heads"]}))
    network = network.reparameterize() if merges else network
    form = "merged" if merges else "training"
    save_weights(tmp_path / "student", network, name=STUDENT, input_size=(64, 64), form=form)
    loaded, card = load_weights(tmp_path / "student")
    assert torch.equal(logits(loaded), logits(network))
    assert card.architecture.options["difference"] == {
        "kinds": ["cv+cd+ad", "cv+rd"],
        "layers": ["context.conv", "heads.0", "heads.1", "heads.2", "heads.3"],
        "merged": merges,
    }
    assert any(f"{form}, difference cv+cd+ad cv+rd" in line for line in model_lines("scfnet*", tmp_path))


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("xd", "'xd' is not one or several of cv, cd, ad, rd"),
        ("cd+cd", "each once"),
        ([], "difference.kinds must be a name or a list of names"),
        ({"layers": ["context"]}, "difference.kinds must be a name"),
        ({"kinds": "cd", "layer": "context"}, "no key 'layer'"),
        ({"kinds": "cd", "layers": ["contexts"]}, "'contexts' is no plain 3 x 3 convolution of SCFNet"),
        ({"kinds": "cd", "layers": ["backbone.blocks.0.expand"]}, "the network has 28, such as backbone.stem.conv"),
        ({"kinds": ["cv", "cd"], "layers": ["context"]}, "names 2 for 1 layers"),
    ],
)
def test_mistakes_are_refused(option: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        create_model(STUDENT, difference=option)


def test_a_network_without_such_convolutions_says_so() -> None:
    with pytest.raises(UserError, match="'encoder' is no plain 3 x 3 convolution of SDNet and holds none"):
        create_model("sdnet", width=8, difference={"kinds": "cd", "layers": ["encoder"]})
    with pytest.raises(UserError, match="the network has none at all"):
        convert(nn.Sequential(nn.Conv2d(3, 3, 5)), read_option("cd", ["*"]))
