"""Networks that take a depth or thermal picture: what reaches them, what must not matter, what they merge to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limelight.foundation.errors import UserError
from limelight.models.base import Network
from limelight.models.companion import fitted_channels, with_companion
from limelight.models.difference.layer import run_branchwise
from limelight.models.registry import create_model
from limelight.models.state import load_strict
from limelight.models.weights import load_weights, save_weights
from tests.tolerance import assert_agree

ALL = ["rgb", "rgbd", "rgbt"]


def scene(height: int = 40, width: int = 56) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One picture three times over: alone, with depth, with a thermal picture."""
    source = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, height, width, generator=source).expand(3, -1, -1, -1)
    companion = torch.rand(1, 1, height, width, generator=source).expand(3, -1, -1, -1)
    return image, companion, torch.tensor([0, 1, 2])


def network(model: str, modalities: list[str]) -> Network:
    torch.manual_seed(0)
    options = {"width": 12} if model == "sdnet" else {"channels": 8}
    return create_model(model, modalities=modalities, **options).eval()


def test_each_kind_has_a_channel_of_its_own() -> None:
    image, companion, modality = scene(2, 2)
    seen = with_companion(image, companion, modality, ALL)
    torch.testing.assert_close(seen[:, :3], image)
    centred = (companion[0, 0] - 0.5) / 0.25
    for row, (depth, thermal) in zip(seen, ((0, 0), (centred, 0), (0, centred)), strict=True):
        torch.testing.assert_close(row[3], torch.zeros(2, 2) + depth)
        torch.testing.assert_close(row[4], torch.zeros(2, 2) + thermal)


def test_a_kind_that_is_not_taken_counts_as_none() -> None:
    image, companion, modality = scene(2, 2)
    seen = with_companion(image, companion, modality, ["rgb", "rgbd"])
    assert seen.shape[1] == 4 and seen[1, 3].any() and not seen[2, 3].any()
    assert with_companion(image, companion, modality, ["rgb"]) is image


def test_one_kind_needs_no_telling_and_two_do() -> None:
    image, companion, _ = scene(2, 2)
    assert with_companion(image, companion, None, ["rgbt"])[:, 3].any()
    with pytest.raises(UserError, match="rgbd or rgbt here; say which"):
        with_companion(image, companion, None, ALL)


@pytest.mark.parametrize("model", ["sdnet", "scfnet-mobilenetv3", "scfnet"])
@torch.inference_mode()
def test_a_companion_matters_where_there_is_one_and_nowhere_else(model: str) -> None:
    net = network(model, ALL)
    assert net.capabilities.modalities == tuple(ALL)
    image, companion, modality = scene()
    alone, depth, thermal = net(image, companion, modality)[0]
    assert (alone - depth).abs().max() > 1e-4 and (depth - thermal).abs().max() > 1e-4
    assert_agree(net(image[:1])[0][0], alone, net)
    companion = companion.clone()
    companion[0] = torch.nan
    again = net(image, companion, modality)[0]
    assert_agree(again, torch.stack([alone, depth, thermal]), net)


@given(height=st.integers(16, 40), width=st.integers(16, 40), seed=st.integers(0, 100))
@settings(max_examples=5)
def test_merged_form_is_exact(height: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    net = create_model("sdnet-bn", modalities=ALL, width=8).eval()
    for name, value in net.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 2.0)
    inputs = scene(height, width)
    with torch.no_grad():
        expected = run_branchwise(net)(*inputs)[0]
        assert_agree(net.reparameterize()(*inputs)[0], expected, net)


def test_cost_of_a_channel_is_that_of_the_first_layer_alone() -> None:
    for modalities, channels in ((["rgbd"], 1), (ALL, 2)):
        net = create_model("sdnet", modalities=modalities)
        assert sum(value.numel() for value in net.parameters()) == 745_197 + channels * 3 * 60 * 9
        assert sum(value.numel() for value in net.reparameterize().parameters()) == 703_325 + channels * 60 * 9
    stem = create_model("scfnet-mobilenetv3", modalities=["rgb", "rgbt"]).backbone.stem.conv
    assert stem.weight.shape == (8, 4, 3, 3)


def test_weights_folder_round_trip(tmp_path) -> None:
    merged = network("sdnet", ["rgbd", "rgb"]).reparameterize()
    card = save_weights(tmp_path / "net", merged, name="sdnet", input_size=(32, 32), form="merged")
    assert (card.architecture.modalities, card.architecture.companions) == (("rgb", "rgbd"), ("rgbd",))
    loaded, read = load_weights(tmp_path / "net")
    inputs = scene(32, 32)
    assert read == card
    with torch.no_grad():
        assert torch.equal(loaded(*inputs)[0], merged(*inputs)[0])


def test_training_reaches_the_new_channels() -> None:
    net = network("scfnet", ["rgb", "rgbd"]).train()
    image, companion, modality = scene(64, 64)
    net(image, companion, modality)[0].square().mean().backward()
    stem = next(value for name, value in net.named_parameters() if name == "backbone.network.conv1.weight")
    assert stem.grad[:, 3].any()


@pytest.mark.parametrize("modalities", [[], "rgbd", ["rgb", "depth"], ["rgbd", "rgbd"]])
@pytest.mark.parametrize("model", ["sdnet", "scfnet"])
def test_what_is_no_list_of_modalities_is_refused(model: str, modalities: object) -> None:
    with pytest.raises(UserError, match="modalities"):
        create_model(model, modalities=modalities)


@pytest.mark.parametrize("model", ["sdnet", "scfnet-mobilenetv3", "scfnet"])
@pytest.mark.parametrize(("had", "takes"), [(["rgb"], ALL), (["rgb", "rgbt"], ALL), (ALL, ["rgb", "rgbd"])])
@torch.inference_mode()
def test_a_network_starts_from_one_of_other_second_pictures(model: str, had: list[str], takes: list[str]) -> None:
    source, net = network(model, had), network(model, takes)
    for value in net.parameters():
        value.add_(1)
    load_strict(net, fitted_channels(source.state_dict(), net.state_dict(), had, takes), "the source")
    # What either of them takes, and the other does not, does not matter to the new one.
    shared = torch.tensor([0, *(ALL.index(kind) for kind in ("rgbd", "rgbt") if kind in had and kind in takes)])
    image, companion, _ = scene()
    for kind in range(3):
        seen = torch.tensor([kind])
        as_source = seen if kind in shared else torch.tensor([0])
        actual, expected = net(image[:1], companion[:1], seen), source(image[:1], companion[:1], as_source)
        assert_agree(actual[0], expected[0], net)


def test_a_network_of_another_width_is_named_as_such() -> None:
    net = create_model("sdnet", modalities=["rgb", "rgbd"])
    for takes in (["rgb", "rgbd"], ["rgb"]):
        wide = create_model("sdnet", modalities=takes, width=80)
        fitted = fitted_channels(wide.state_dict(), net.state_dict(), takes, ["rgb", "rgbd"])
        with pytest.raises(UserError, match="the source"):
            load_strict(net, fitted, "the source")
