"""The maths of sampling against formulas written anew."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.models.diffusion.configs import SCHEDULER_SD2
from limelight.models.diffusion.ensemble import ensemble
from limelight.models.diffusion.noise import pyramid_noise, seeded_noise
from limelight.models.diffusion.parts import build_scheduler
from limelight.models.diffusion.sampling import (
    add_noise,
    check_steps,
    ddim,
    step_counts,
    velocity_target,
)
from limelight.models.registry import create_model

ABAR = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
TRAILING, LEADING = build_scheduler(SCHEDULER_SD2), build_scheduler(SCHEDULER_SD2, "leading")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ----------------------------------------------------------------------------------------------------------- velocities
@settings(max_examples=50)
@given(seed=st.integers(0, 2**31), timestep=st.lists(st.integers(0, 999), min_size=1, max_size=3))
def test_a_velocity_gives_back_the_latent(seed: int, timestep: list[int]) -> None:
    latent, noise = normal(2, len(timestep), 4, 3, 5, seed=seed)
    timestep_B = torch.tensor(timestep)
    noisy = add_noise(TRAILING, latent, noise, timestep_B)
    velocity = velocity_target(TRAILING, latent, noise, timestep_B)
    abar = torch.tensor(ABAR[timestep], dtype=torch.float32).view(-1, 1, 1, 1)
    torch.testing.assert_close(velocity, abar.sqrt() * noise - (1 - abar).sqrt() * latent, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(abar.sqrt() * noisy - (1 - abar).sqrt() * velocity, latent, rtol=1e-4, atol=1e-4)
    # v and x_t are a rotation of x_0 and the noise: their lengths together stay.
    lengths = [(first.square() + second.square()).sum() for first, second in ((latent, noise), (noisy, velocity))]
    torch.testing.assert_close(*lengths, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------------------------- sampling
def curved(noisy: Tensor, timestep: int) -> Tensor:
    """A velocity that depends on all that it may."""
    return torch.tanh(noisy) * (0.5 + timestep / 1000) + 0.1 * noisy.flip(-1)


def reference(noise: Tensor, steps: int, timesteps: list[int], to_start: bool) -> Tensor:
    """DDIM in float64: to x_0 and the noise by the velocity, back to the next timestep's mixture."""
    noisy = noise.double()
    for timestep in timesteps:
        abar, before = ABAR[timestep], timestep - 1000 // steps
        velocity = curved(noisy, timestep)
        start = abar**0.5 * noisy - (1 - abar) ** 0.5 * velocity
        noise_found = abar**0.5 * velocity + (1 - abar) ** 0.5 * noisy
        next_abar = ABAR[max(before, 0)]
        noisy = next_abar**0.5 * start + (1 - next_abar) ** 0.5 * noise_found
    return start if to_start else noisy


@pytest.mark.parametrize("steps", [1, 2, 4, 10, 50])
def test_trailing_steps_begin_at_the_last_timestep_and_end_at_the_start(steps: int) -> None:
    seen = []

    def velocity(noisy: Tensor, timestep: int) -> Tensor:
        seen.append(timestep)
        return curved(noisy, timestep)

    actual = ddim(velocity, normal(2, 4, 3, 3), TRAILING, steps)
    assert seen == [999 - number * 1000 // steps for number in range(steps)]
    expected = reference(normal(2, 4, 3, 3), steps, seen, to_start=True)
    torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=1e-4)


def test_leading_steps_are_the_published_ones() -> None:
    actual = ddim(curved, normal(2, 4, 3, 3), LEADING, 10)
    assert LEADING.timesteps.tolist() == [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]
    expected = reference(normal(2, 4, 3, 3), 10, LEADING.timesteps.tolist(), to_start=False)
    torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=1e-4)


SPREAD = 0.1
"""Of the latents that `best_velocity` knows of, around their mean."""


def best_velocity(noisy: Tensor, timestep: int, mean: Tensor | float) -> Tensor:
    """That of the best denoiser of latents near `mean`: at t = 999 it finds them, at t = 1 it believes its input."""
    abar = ABAR[timestep]
    gain = abar**0.5 * SPREAD**2 / (abar * SPREAD**2 + 1 - abar)
    start = mean + gain * (noisy - abar**0.5 * mean)
    return (abar**0.5 * noisy - start) / (1 - abar) ** 0.5


def test_one_leading_step_only_returns_its_noise() -> None:
    noise = normal(1, 4, 16, 16)
    assert (ddim(partial(best_velocity, mean=1.0), noise, TRAILING, 1) - 1).abs().max() < 0.05
    actual = ddim(partial(best_velocity, mean=1.0), noise, LEADING, 1)
    assert LEADING.timesteps.tolist() == [1]
    assert np.corrcoef(actual.flatten(), noise.flatten())[0, 1] > 0.99
    assert (actual - 1).abs().mean() > 0.8


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_a_network_s_own_sampling_finds_what_its_denoiser_knows(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """With the network's own schedule, as whoever names no spacing gets it; a single leading step gives noise."""
    torch.manual_seed(0)
    network = create_model("diffsod-tiny").eval()
    image_B3HW = torch.rand(2, 3, 64, 64) * 2 - 1
    known = normal(*network.encode_image(image_B3HW).shape, seed=1)

    def predict_velocity(latent: Tensor, noisy: Tensor, tokens: Tensor, timestep_B: Tensor) -> Tensor:
        members = len(noisy) // len(known)
        return best_velocity(noisy, int(timestep_B[0]), known.repeat_interleave(members, 0))

    monkeypatch.setattr(network, "predict_velocity", predict_velocity)
    with torch.inference_mode():
        expected = ((network.decode_mask(known) + 1) / 2).clamp(0, 1)
        contrast = expected.std()
        maps, uncertainty = network.denoise(image_B3HW, steps=steps, ensemble_size=3, seeds=[5, 6])
        assert (maps - expected).abs().mean() < 0.15 * contrast
        assert uncertainty.mean() < 0.15 * contrast
        leading, _ = network.denoise(image_B3HW, steps=1, seeds=[5, 6], spacing="leading")
    assert (leading - expected).abs().mean() > 0.5 * contrast


@pytest.mark.parametrize(
    ("steps", "nearest"), [(3, "2 or 4"), (30, "25 or 40"), (0, "1"), (1001, "1000"), (999, "500 or 1000")]
)
def test_strides_that_are_not_whole_are_refused(steps: int, nearest: str) -> None:
    with pytest.raises(UserError, match=f"{steps} denoising steps .*; take {nearest}$"):
        check_steps(TRAILING, steps)


def test_the_step_counts_on_offer() -> None:
    assert step_counts(TRAILING) == [1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500, 1000]
    assert step_counts(LEADING) == step_counts(TRAILING)[:-1]
    ddim(lambda noisy, timestep: noisy, normal(1, 1, 1, 1), LEADING, 500)


@pytest.mark.parametrize("change", [{"prediction_type": "epsilon"}, {"prediction_type": None}])
def test_a_schedule_of_another_prediction_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="prediction_type is"):
        build_scheduler(SCHEDULER_SD2 | change)


def test_an_unknown_spacing_is_refused() -> None:
    with pytest.raises(UserError, match="'linspace'"):
        build_scheduler(SCHEDULER_SD2, "linspace")


# ---------------------------------------------------------------------------------------------------------------- noise
def test_an_image_s_noise_is_its_own() -> None:
    both = seeded_noise((4, 3, 3), [7, 2**40], members=3)
    assert both.shape == (6, 4, 3, 3)
    assert torch.equal(seeded_noise((4, 3, 3), [2**40, 7], members=3), both.roll(3, 0))
    assert torch.equal(seeded_noise((4, 3, 3), [7], members=2), both[:2])
    assert len(both.unique()) == both.numel()


def test_noise_does_not_touch_the_global_generator() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    seeded_noise((4, 3, 3), [1])
    assert torch.equal(torch.rand(3), expected)


def test_pyramid_noise_is_normal_in_size_and_smoother_than_white_noise() -> None:
    torch.manual_seed(0)
    noise = pyramid_noise(torch.empty(8, 4, 48, 48))
    assert noise.shape == (8, 4, 48, 48)
    assert noise.std().item() == pytest.approx(1, abs=1e-4)
    neighbours = np.corrcoef(noise[..., 1:].flatten(), noise[..., :-1].flatten())[0, 1]
    # Full size has a variance of 2; the levels after it add at most 0.09 + 0.0081 + ..., smoothed by enlarging them.
    assert 0.01 < neighbours < 0.1 / 2.1
    # White noise averaged over 16 x 16 pixels has a deviation of 1/16.
    assert torch.nn.functional.avg_pool2d(noise, 16).std() > 1.2 / 16


def test_pyramid_noise_of_one_level_is_white() -> None:
    torch.manual_seed(0)
    noise = pyramid_noise(torch.empty(8, 4, 48, 48), levels=1)
    assert abs(np.corrcoef(noise[..., 1:].flatten(), noise[..., :-1].flatten())[0, 1]) < 0.01
    torch.manual_seed(0)
    assert torch.equal(pyramid_noise(torch.empty(8, 4, 48, 48), levels=1), noise)


def test_pyramid_noise_ends_at_one_pixel() -> None:
    assert pyramid_noise(torch.empty(2, 4, 1, 3), levels=50).isfinite().all()


# ------------------------------------------------------------------------------------------------------------- ensemble
@settings(max_examples=30)
@given(members=st.integers(1, 6), seed=st.integers(0, 2**31))
def test_an_ensemble_is_the_median_and_its_deviation(members: int, seed: int) -> None:
    maps = torch.rand(members, 2, 1, 3, 4, generator=torch.Generator().manual_seed(seed))
    median, uncertainty = ensemble(maps)
    expected = np.median(maps.numpy(), 0)
    np.testing.assert_allclose(median, expected, rtol=1e-6)
    np.testing.assert_allclose(uncertainty, np.median(np.abs(maps.numpy() - expected), 0), rtol=1e-4, atol=1e-6)


def test_an_ensemble_leaves_agreed_maps_as_they_are() -> None:
    """No stretch to full contrast; one member gone astray changes nothing."""
    flat = torch.full((5, 1, 2, 2), 0.25)
    flat[3] = 1.0
    median, uncertainty = ensemble(flat)
    assert torch.equal(median, torch.full((1, 2, 2), 0.25))
    assert torch.equal(uncertainty, torch.zeros(1, 2, 2))
