"""SDNet against the authors' networks, and its merged form against its training form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from limelight.foundation.errors import UserError
from limelight.models.difference.layer import run_branchwise
from limelight.models.registry import create_model
from limelight.models.sdnet.checkpoint import from_published
from limelight.models.sdnet.network import SDNet
from limelight.models.state import load_strict
from limelight.models.weights import load_weights, save_weights
from tests.models.published_sdnet import GOLDEN, published_state
from tests.tolerance import assert_agree, rounding


def filled(kind: str) -> SDNet:
    network = SDNet(batch_norm=kind != "nobn", mixers=kind == "a")
    load_strict(network, from_published(published_state(kind)), "the authors' checkpoint")
    return network.eval()


@pytest.mark.parametrize("kind", ["nobn", "bn", "a"])
@pytest.mark.parametrize("form", ["one convolution", "branches", "merged"])
def test_equals_the_authors_network(kind: str, form: str) -> None:
    network = filled(kind)
    if form == "branches":
        run_branchwise(network)
    elif form == "merged":
        network = network.reparameterize()
    image = torch.from_numpy(np.random.RandomState(12345).standard_normal((1, 3, 96, 128)).astype("float32"))
    with torch.no_grad():
        probability = network(image)[0].sigmoid()[0, 0].double().numpy()
    assert_agree(probability[::8, ::8], GOLDEN[kind]["every_8th"], network)
    expected = GOLDEN[kind]["mean"], GOLDEN[kind]["std"]
    assert (probability.mean(), probability.std()) == pytest.approx(expected, rel=0, abs=rounding(probability, network))


@pytest.mark.parametrize(
    ("name", "training", "merged"),
    [("sdnet", 745_197, 703_325), ("sdnet-bn", 765_717, 705_725), ("sdnet-a", 851_502, 818_531)],
)
def test_parameter_counts(name: str, training: int, merged: int) -> None:
    network = create_model(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == training
    assert sum(parameter.numel() for parameter in network.reparameterize().parameters()) == merged


@pytest.mark.parametrize(("mixers", "expected"), [(False, 1.835), (True, 2.001)])
@pytest.mark.parametrize("merged", [False, True])
def test_multiply_accumulates(merged: bool, mixers: bool, expected: float) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        SDNet(merged=merged, mixers=mixers).eval()(torch.empty(1, 3, 320, 320))
    # Convolutions alone, two operations each; the training form adds only the few that make its kernels.
    convolutions = sum(count for op, count in counter.get_flop_counts()["Global"].items() if "conv" in str(op)) / 2
    # The authors upsample before the 1 x 1 fusions, at the finer of the two sizes.
    saved = sum(24 * width * (fine**2 - (fine // 2) ** 2) for width, fine in ((24, 40), (24, 80), (1, 160)))
    assert round((convolutions + saved) / 1e9, 3) == expected


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", [False, True])
@given(height=st.integers(16, 50), width=st.integers(16, 50), seed=st.integers(0, 1000))
@settings(max_examples=8)
def test_merged_form_is_exact_up_to_the_border(batch_norm: bool, height: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    network = SDNet(batch_norm=batch_norm).eval()
    for name, value in network.named_buffers():  # statistics that differ from channel to channel
        if name.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 2.0)
    image = torch.randn(1, 3, height, width)
    with torch.no_grad():
        expected = run_branchwise(network)(image)[0]
        merged = network.reparameterize()(image)[0]
    assert merged.shape == (1, 1, height, width)
    assert_agree(merged, expected, network)


def test_a_batch_norm_gain_of_zero_merges() -> None:
    torch.manual_seed(0)
    network = SDNet(batch_norm=True).eval()
    norm = network.encoder.stages[1][1].norm
    norm.weight.data[::2] = 0
    norm.bias.data.normal_()
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert_agree(network.reparameterize()(image)[0], network(image)[0], network)


def test_merging_leaves_the_source_alone_and_is_idempotent() -> None:
    network = filled("bn").train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    merged = network.reparameterize()
    assert network.training and not merged.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    again = merged.reparameterize()
    assert all(torch.equal(value, merged.state_dict()[key]) for key, value in again.state_dict().items())


@pytest.mark.parametrize("name", ["sdnet", "sdnet-bn"])
def test_every_parameter_has_one_role(name: str) -> None:
    network = create_model(name)
    grouped = [id(parameter) for group in network.parameter_groups().values() for parameter in group]
    assert sorted(grouped) == sorted(id(parameter) for parameter in network.parameters())
    assert len(network.parameter_groups()["mixing"]) == 16


def test_another_networks_checkpoint_is_refused() -> None:
    with pytest.raises(UserError, match=r"backbone\.conv1\.weight"):
        from_published({"backbone.conv1.weight": torch.zeros(1)})


def test_a_published_tensor_that_is_missing_is_named() -> None:
    state = published_state("nobn")
    del state["block2_1.conv2.bias"]
    with pytest.raises(UserError, match=r"encoder\.stages\.1\.0\.pointwise\.bias"):
        load_strict(SDNet(), from_published(state), "file")


def test_a_wider_network_merges_and_saves_like_the_published_one(tmp_path):

    torch.manual_seed(0)
    wide = create_model("sdnet", width=76).eval()
    assert sum(parameter.numel() for parameter in wide.parameters()) > 1_000_000
    save_weights(tmp_path / "merged", wide.reparameterize(), name="sdnet", input_size=(32, 32), form="merged")
    merged, card = load_weights(tmp_path / "merged")
    assert card.architecture.options["width"] == 76
    image_B3HW = torch.rand(1, 3, 40, 56)
    assert_agree(merged(image_B3HW)[0], wide(image_B3HW)[0], wide)
