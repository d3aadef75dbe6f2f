"""Learning to reconstruct pictures."""

import torch
from torch import Tensor

from limelight.config.objectives import ReconstructionSettings
from limelight.data.samples import Batch
from limelight.models.base import Network
from limelight.models.inputs import WITH_COMPANION, Input
from limelight.training.learner import Learner

COLOUR_WEIGHT = 4.0
"""Weight of an error in colour beside one in brightness. Masks and companions are grey and so is most of an image: by
the mean absolute error alone, latents keep no colour, and no prompt for one can be learnt from them."""
SCALE_WEIGHT = 0.05
"""Weight of the scale's loss: latents need about the variance of the noise that a diffusion model mixes them with."""


class Reconstruction(Learner):
    """Training of an autoencoder on all that a latent diffusion model encodes: images, masks and companions.

    Masks and companions are grey pictures, normalised as images are. The latent's scale is learnt with the rest, where
    Latent Diffusion (arXiv 2112.10752, section 4.3.2) measures it afterwards: the loss pulls its mean square to 1.
    """

    def __init__(self, network: Network, settings: ReconstructionSettings, *, epochs: int) -> None:
        super().__init__(network)

    @property
    def inputs(self) -> tuple[Input, ...]:
        return WITH_COMPANION

    def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean squared error of reconstructed pictures, by brightness and colour, and the scale's loss."""
        pictures = [batch.image_B3HW, self.as_picture(batch.mask_B1HW[batch.labelled_B])]
        if batch.companion_B1HW is not None:
            pictures.append(self.as_picture(batch.companion_B1HW[batch.modality_B > 0]))
        picture_N3HW = torch.cat(pictures)
        restored_N3HW, latent_NChw = self.network.reconstruct(picture_N3HW)
        error_N3HW = restored_N3HW.float() - picture_N3HW
        grey_N1HW = error_N3HW.mean(1, keepdim=True)
        colour_N3HW = error_N3HW - grey_N1HW
        error = grey_N1HW.square().mean() + COLOUR_WEIGHT * colour_N3HW.square().mean()
        scale = (latent_NChw.float().square().mean() - 1).square()
        return error + SCALE_WEIGHT * scale, {"error": error, "scale": scale}

    def predict(self, batch: Batch) -> Tensor:
        """Encode and decode the masks: the best that a diffusion model on these latents can reach."""
        return self.network.maps({"image": self.as_picture(batch.mask_B1HW)})

    def as_picture(self, grey_B1HW: Tensor) -> Tensor:
        """Convert one channel in [0, 1] to picture_B3HW, normalised for the network."""
        mean_C, std_C = (grey_B1HW.new_tensor(each) for each in (self.network.mean, self.network.std))
        return (grey_B1HW - mean_C[:, None, None]) / std_C[:, None, None]
