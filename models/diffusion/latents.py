"""Pictures to latents and back, through the frozen autoencoder."""

from torch import Tensor

from limelight.models.diffusion.parts import Autoencoder


def encode(vae: Autoencoder, picture_B3HW: Tensor) -> Tensor:
    """The picture's latent_BChw, in the scale that the denoiser works in; deterministic.

    That of an AutoencoderKL is its posterior's mean. The scale is the autoencoder's own: 0.18215 for Stable Diffusion,
    1 for AutoencoderTiny, whose latents are scaled already.

    Args:
        picture_B3HW: as the autoencoder was trained, in [-1, 1]; height and width multiples of 8.
    """
    encoded = vae.encode(picture_B3HW)
    latent_BChw = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents
    return latent_BChw * vae.config.scaling_factor


def encode_mask(vae: Autoencoder, mask_B1HW: Tensor) -> Tensor:
    """The latent_BChw of a mask in [0, 1], which is shown to the autoencoder as a grey picture."""
    return encode(vae, as_picture(mask_B1HW))


def as_picture(grey_B1HW: Tensor) -> Tensor:
    """[0, 1], one channel, to picture_B3HW in [-1, 1], three equal ones."""
    return (2 * grey_B1HW - 1).expand(-1, 3, -1, -1)


def decode_mask(vae: Autoencoder, latent_BChw: Tensor) -> Tensor:
    """mask_B1HW, about -1 for background and 1 for object, not clipped: the mean over the decoded channels, float32."""
    return vae.decode(latent_BChw / vae.config.scaling_factor).sample.float().mean(1, keepdim=True)
