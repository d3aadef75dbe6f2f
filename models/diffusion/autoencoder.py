"""An autoencoder by itself, so that a small one can be trained before a diffusion model is built on it."""

from collections.abc import Mapping

from torch import Tensor

from limelight.models.base import Capabilities, Network
from limelight.models.card import MODALITIES
from limelight.models.diffusion.configs import VAES, Config, chosen
from limelight.models.diffusion.latents import encode
from limelight.models.diffusion.parts import build_vae


class PictureAutoencoder(Network):
    """Pictures in [-1, 1] to latents an eighth as wide, and back. Not a detector itself, but a part of one.

    Args:
        vae: settings as a dict, or a name in `limelight.models.diffusion.configs`.
    """

    capabilities = Capabilities(
        "reconstruction", MODALITIES, objectives=("reconstruction",), divisor=8, fixed_export=True
    )
    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, *, vae: str | Config = "tiny") -> None:
        super().__init__()
        self.vae = build_vae(chosen(vae, VAES, "autoencoder"))

    def reconstruct(self, picture_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        latent_BChw = encode(self.vae, picture_B3HW)
        return self.vae.decode(latent_BChw / self.vae.config.scaling_factor).sample, latent_BChw

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        """The restored image_B3HW, in a list."""
        return [self.reconstruct(image_B3HW)[0]]

    def maps(self, given: Mapping[str, Tensor | None]) -> Tensor:
        """The restored picture's brightness_B1HW in [0, 1]."""
        return ((self.logits(given)[0].float().mean(1, keepdim=True) + 1) / 2).clamp(0, 1)
