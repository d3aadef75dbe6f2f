"""STDNet against the authors' networks, its merged form against its training form, and what a frame sees of others."""

import numpy as np
import pytest
import torch

from limelight.models.cost import count_macs
from limelight.models.difference.layer import plain_kernel
from limelight.models.registry import create_model
from limelight.models.sdnet.video.checkpoint import from_published
from limelight.models.sdnet.video.network import STDNet
from limelight.models.sdnet.video.temporal import TemporalDifferenceConv, convolve_stack, stack_frames
from limelight.models.state import load_strict
from tests.models.published_sdnet import GOLDEN, published_state
from tests.tolerance import assert_agree


@pytest.mark.parametrize("name", ["stdnet", "stdnet-a"])
@pytest.mark.parametrize("form", ["one convolution", "branches", "merged"])
def test_equals_the_authors_network(name: str, form: str) -> None:
    network = create_model(name).eval()
    load_strict(network, from_published(published_state(name)), "the authors' checkpoint")
    run = network.reparameterize() if form == "merged" else network
    values = np.random.RandomState(12345).standard_normal((1, 24, 64, 96)).astype("float32")
    clip = torch.from_numpy(values).unflatten(1, (8, 3))
    with torch.no_grad():
        if form == "branches":
            with network.unmerged():
                probability = run(clip)[0].sigmoid()
        else:
            probability = run(clip)[0].sigmoid()
    assert_agree(probability[:, 0, ::8, ::8].flatten(1), GOLDEN[name]["every_8th"], network)
    assert (probability.mean(), probability.std()) == pytest.approx(
        (GOLDEN[name]["mean"], GOLDEN[name]["std"]), abs=1e-5
    )


@pytest.mark.parametrize(
    ("name", "training", "merged", "macs"),
    [("stdnet", 1_268_181, 874_157, 2.219), ("stdnet-a", 1_353_966, 986_963, 2.325)],
)
def test_published_sizes(name: str, training: int, merged: int, macs: float) -> None:
    network = create_model(name)
    assert network.count_parameters() == training
    merged_network = network.reparameterize()
    assert merged_network.count_parameters() == merged
    assert round(count_macs(merged_network, 256, 256) / 1e9, 3) == macs  # of a frame


def test_a_plane_is_a_three_dimensional_convolution() -> None:
    """With (3, 1, 3) or (3, 3, 1) taps, time repeated at the ends, space padded with zeros."""
    clip = torch.randn(2, 5, 4, 7, 6, generator=torch.Generator().manual_seed(0))
    kernel = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    volume = torch.nn.functional.pad(clip.transpose(1, 2), (0, 0, 0, 0, 1, 1), mode="replicate")
    for axis, taps, padding in (("width", kernel[:, :, :, None], (0, 0, 1)), ("height", kernel[..., None], (0, 1, 0))):
        expected = torch.nn.functional.conv3d(volume, taps, padding=padding).transpose(1, 2).flatten(0, 1)
        torch.testing.assert_close(
            convolve_stack(stack_frames(clip.flatten(0, 1), 5, causal=False), kernel, None, axis),
            expected,
            atol=1e-5,
            rtol=1e-5,
        )


def test_differences_are_of_time_and_space() -> None:
    """Central differences of a clip that neither moves nor varies are zero, of a flicker they are not."""
    layer = TemporalDifferenceConv(3, "width")
    still = torch.ones(1, 4, 3, 5, 9)
    flicker = still * torch.tensor([1.0, 2.0, 1.0, 2.0])[:, None, None, None]
    kernel = plain_kernel(layer._branch_weights()[1], "cd")
    for clip, moves in ((still, False), (flicker, True)):
        inside = layer.convolve(stack_frames(clip.flatten(0, 1), 4, causal=False), kernel)[..., 1:-1]
        assert (inside.abs().max() > 1e-3) == moves


def seen_by(network: STDNet, frame: int, frames: int) -> list[int]:
    """The frames that the map of `frame` depends on."""
    clip = torch.rand(1, frames, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    network(clip)[0][frame].sum().backward()
    assert clip.grad is not None
    return [at for at in range(frames) if clip.grad[0, at].abs().max() > 0]


def test_what_a_frame_sees() -> None:
    torch.manual_seed(0)
    both, causal = (STDNet(width=12, causal=each).eval() for each in (False, True))
    assert seen_by(both, 12, 24) == list(range(4, 21))  # two frames a level, four levels
    assert seen_by(causal, 20, 24) == list(range(4, 21))  # twice as far back, and nothing of what comes


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("mixers", [False, True])
def test_frame_by_frame_is_the_whole_clip(mixers: bool, merged: bool) -> None:
    torch.manual_seed(0)
    network = STDNet(width=12, causal=True, mixers=mixers).eval()
    for name, value in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 2.0)
    network = network.reparameterize() if merged else network
    clips, state, steps = torch.rand(2, 9, 3, 48, 64), None, []
    with torch.no_grad():
        whole = network(clips)[0].unflatten(0, (2, 9))
        for at in range(9):
            logits, state = network.step(clips[:, at], state)
            steps.append(logits)
    assert_agree(torch.stack(steps, 1), whole, network)
    assert state is not None and len(state) == 8  # whatever the number of frames: one per temporal layer


def test_only_the_causal_form_takes_single_frames() -> None:
    assert not STDNet(width=8).capabilities.stream and STDNet(width=8, causal=True).capabilities.stream
    with pytest.raises(NotImplementedError, match="looks at later frames too"):
        STDNet(width=8).step(torch.zeros(1, 3, 32, 32))


def test_a_still_is_a_clip_of_one_frame() -> None:
    """However long it stands, and whichever frames are looked at: a decoder may learn from stills alone."""
    torch.manual_seed(0)
    both, causal = (STDNet(width=12, causal=each).eval() for each in (False, True))
    causal.load_state_dict(both.state_dict())
    still_B13HW = torch.rand(2, 1, 3, 48, 64)
    with torch.no_grad():
        map_B1HW = both(still_B13HW)[0]
        long = both(still_B13HW.expand(-1, 5, -1, -1, -1))[0].unflatten(0, (2, 5))
        assert_agree(long, map_B1HW[:, None].expand_as(long), both)
        assert_agree(causal(still_B13HW)[0], map_B1HW, both)
