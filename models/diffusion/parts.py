"""A latent diffusion model's parts, built from their configs with random weights."""

from typing import TypeAlias

import torch
from torch import nn

from limelight.foundation.errors import UserError
from limelight.models.diffusion.configs import Config

try:
    from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
except ImportError as error:
    raise UserError(f"diffusion networks need diffusers ({error}); pip install 'limelight[diffusion]'") from error

Autoencoder: TypeAlias = AutoencoderKL | AutoencoderTiny
__all__ = ["Autoencoder", "AutoencoderKL", "DDIMScheduler", "UNet2DConditionModel"]
AUTOENCODERS = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}


def build_unet(config: Config) -> UNet2DConditionModel:
    """The denoiser: the image's latent and the noisy mask's, a timestep and tokens_BNC in, the velocity out.

    Raises:
        UserError: it does not take two latents of the size that it gives.
    """
    unet = UNet2DConditionModel(**config)
    channels, latent = unet.config.in_channels, unet.config.out_channels
    if channels != 2 * latent:
        raise UserError(
            f"the UNet's settings say {channels} channels in and {latent} out; it takes the latents of a mask and "
            f"an image, {latent} channels each, so set in_channels to {2 * latent}"
        )
    return unet


def build_vae(config: Config) -> Autoencoder:
    """The autoencoder between pictures and latents_BChw, by the config's '_class_name'.

    Raises:
        UserError: an autoencoder of another class.
    """
    settings = dict(config)
    kind = settings.pop("_class_name", "AutoencoderKL")
    if kind not in AUTOENCODERS:
        raise UserError(f"unknown autoencoder {kind!r}; choose one of {', '.join(AUTOENCODERS)}")
    return AUTOENCODERS[kind](**settings)


def build_scheduler(config: Config, spacing: str = "trailing") -> DDIMScheduler:
    """The schedule of noise, for training and sampling alike.

    Args:
        spacing: 'trailing' ends its first step at the noisiest timestep, 999; 'leading', the published default, begins
            a stride lower, which leaves a single step with nothing to do.

    Raises:
        UserError: a model that predicts anything but velocities, an unknown spacing, or invalid settings.
    """
    if config.get("prediction_type") != "v_prediction":
        raise UserError(
            f"the scheduler's prediction_type is {config.get('prediction_type')!r}; these networks predict velocities "
            "('v_prediction'), as Stable Diffusion 2 at 768 pixels does"
        )
    if spacing not in ("trailing", "leading"):
        raise UserError(f"unknown spacing {spacing!r} of timesteps; choose trailing or leading")
    try:
        with torch.device("cpu"):  # its numbers are read one by one, wherever the networks are
            return DDIMScheduler(**config, timestep_spacing=spacing)
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        line = str(error).strip().partition("\n")[0]
        raise UserError(f"the scheduler's settings cannot be used: {line}; take Stable Diffusion 2's own") from error


def widen_conv_in(unet: UNet2DConditionModel) -> None:
    """Let a text-to-image UNet see an image's latent beside the noisy one, in place.

    The kernel is repeated and halved, the bias kept (Marigold, arXiv 2312.02145, section 3.2): fed the same
    latent twice, the wide convolution gives what the narrow one gave for it once, so activations keep their size.
    diffusers' own `ignore_mismatched_sizes` leaves the widened kernel uninitialised.
    """
    narrow = unet.conv_in
    wide = nn.Conv2d(
        2 * narrow.in_channels,
        narrow.out_channels,
        narrow.kernel_size,
        padding=narrow.padding,
        device=narrow.weight.device,
        dtype=narrow.weight.dtype,
    )
    with torch.no_grad():
        wide.weight.copy_(narrow.weight.repeat(1, 2, 1, 1) / 2)
        nn.Module.get_parameter(wide, "bias").copy_(narrow.bias)
    unet.conv_in = wide
    unet.register_to_config(in_channels=wide.in_channels)
