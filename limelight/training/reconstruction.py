"""Learning to give pictures back."""

import torch
from torch import Tensor

from limelight.config import Run
from limelight.data.samples import Batch
from limelight.training.learner import Learner
from models.diffusion.autoencoder import PictureAutoencoder
from models.diffusion.latents import as_picture

SCALE_WEIGHT = 0.2
"""Of the scale's loss: latents need about the variance of the noise that a diffusion model mixes them with."""


class Reconstruction(Learner):
    """An autoencoder on all that a latent diffusion model will show it: images, masks and companions.

    Masks and companions are grey pictures in [-1, 1]. The latent's scale is learnt with the rest, where Latent
    Diffusion (arXiv 2112.10752, section 4.3.2) measures it afterwards: its mean square is drawn to 1.
    """

    network: PictureAutoencoder

    def __init__(self, network: PictureAutoencoder, run: Run) -> None:
        super().__init__()
        self.network = network
        self.run = run

    def loss(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean absolute error of the restored pictures, in [-1, 1], and the scale's loss."""
        pictures = [batch.image_B3HW, as_picture(batch.mask_B1HW[batch.labelled_B])]
        if batch.companion_B1HW is not None:
            pictures.append(as_picture(batch.companion_B1HW[batch.modality_B > 0]))
        picture_N3HW = torch.cat(pictures)
        restored_N3HW, latent_NChw = self.network.reconstruct(picture_N3HW)
        error = (restored_N3HW.float() - picture_N3HW).abs().mean()
        scale = (latent_NChw.float().square().mean() - 1).square()
        return error + SCALE_WEIGHT * scale, {"error": error, "scale": scale}

    def predict(self, batch: Batch) -> Tensor:
        """The masks after their way through the latents: what a diffusion model can reach at best."""
        restored_B3HW, _ = self.network.reconstruct(as_picture(batch.mask_B1HW))
        return ((restored_B3HW.mean(1, keepdim=True) + 1) / 2).clamp(0, 1)
