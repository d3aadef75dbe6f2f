"""The diffusion process in velocities: noise in, latent out. Nothing here knows a network."""

from bisect import bisect
from collections.abc import Callable

from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.models.diffusion.parts import DDIMScheduler


def add_noise(scheduler: DDIMScheduler, latent_BCHW: Tensor, noise_BCHW: Tensor, timestep_B: Tensor) -> Tensor:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps (DDPM, arXiv 2006.11239, equation 4)."""
    return scheduler.add_noise(latent_BCHW, noise_BCHW, timestep_B)


def velocity_target(scheduler: DDIMScheduler, latent_BCHW: Tensor, noise_BCHW: Tensor, timestep_B: Tensor) -> Tensor:
    """v_t = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0 (Salimans and Ho, arXiv 2202.00512, appendix D)."""
    return scheduler.get_velocity(latent_BCHW, noise_BCHW, timestep_B)


def step_counts(scheduler: DDIMScheduler) -> list[int]:
    """The numbers of steps that can be asked for, ascending: the divisors of the training's timesteps."""
    total = scheduler.config.num_train_timesteps
    # With leading spacing a stride of 1 would begin at timestep 1000, one past the last.
    longest = total if scheduler.config.timestep_spacing == "trailing" else total // 2
    return [steps for steps in range(1, longest + 1) if total % steps == 0]


def check_steps(scheduler: DDIMScheduler, steps: int) -> None:
    """Refuse a number of steps whose stride is not an integer.

    diffusers rounds the stride down, so that it would skip or repeat a part of the timesteps.

    Raises:
        UserError: the number does not divide the training's timesteps; the nearest that do are named.
    """
    allowed = step_counts(scheduler)
    if steps in allowed:
        return
    place = bisect(allowed, steps)
    nearest = " or ".join(str(count) for count in allowed[max(0, place - 1) : place + 1])
    raise UserError(
        f"{steps} denoising steps do not divide the {scheduler.config.num_train_timesteps} timesteps; take {nearest}"
    )


def ddim(velocity: Callable[[Tensor, int], Tensor], noise_BCHW: Tensor, scheduler: DDIMScheduler, steps: int) -> Tensor:
    """Denoise without further randomness (DDIM, arXiv 2010.02502, equation 12 with eta = 0).

    Args:
        velocity: (noisy_BCHW, timestep) -> velocity_BCHW.
        noise_BCHW: where it starts.
        scheduler: its timestep_spacing decides where the steps lie; see `build_scheduler`.
        steps: a number that divides 1000.

    Returns:
        The latent_BCHW. With trailing spacing it is the last step's x_0. With leading spacing it is what diffusers
        ends at, the latent one timestep's noise (abar_0 = 0.99915) away from x_0, since the published one is that.

    Raises:
        UserError: see `check_steps`.
    """
    check_steps(scheduler, steps)
    scheduler.set_timesteps(steps)
    sample_BCHW = start_BCHW = noise_BCHW
    for timestep in scheduler.timesteps.tolist():
        stepped = scheduler.step(velocity(sample_BCHW, timestep), timestep, sample_BCHW, eta=0.0)
        sample_BCHW, start_BCHW = stepped.prev_sample, stepped.pred_original_sample
    return start_BCHW if scheduler.config.timestep_spacing == "trailing" else sample_BCHW
