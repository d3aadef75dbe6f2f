"""Learning to denoise masks in latent space, as diffSOD and Seg-diffusion are published."""

import torch
from torch import Tensor

from limelight.config import Run
from limelight.data.samples import Batch
from limelight.training.learner import Learner
from models.diffsod.network import DiffSOD
from models.diffusion.noise import pyramid_noise
from models.diffusion.sampling import add_noise, velocity_target

VALIDATION_STEPS = 10


class Velocity(Learner):
    """Mean squared error of the predicted velocity, at a timestep drawn per sample; unlabelled samples do not count.

    One step trained end to end (`objective: masks`) reaches better maps sooner (arXiv 2409.11355); this is the
    published way, to compare with.
    """

    network: DiffSOD

    def __init__(self, network: DiffSOD, run: Run) -> None:
        super().__init__()
        self.network = network
        self.run = run

    def loss(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss over the batch's labelled samples, in units of the latents. No parts."""
        network = self.network
        latent_BChw = network.encode_mask(batch.mask_B1HW)
        timestep_B = torch.randint(network.last_timestep + 1, (len(batch),), device=latent_BChw.device)
        noise_BChw = pyramid_noise(latent_BChw, levels=self.run.noise_levels, discount=self.run.noise_discount)
        noisy_BChw = add_noise(network.scheduler, latent_BChw, noise_BChw, timestep_B)
        tokens_BNC = network.condition(batch.image_B3HW, batch.companion_B1HW, batch.modality_B)
        found_BChw = network.predict_velocity(
            network.encode_image(batch.image_B3HW), noisy_BChw, tokens_BNC, timestep_B
        )
        target_BChw = velocity_target(network.scheduler, latent_BChw, noise_BChw, timestep_B)
        error_B = (found_BChw - target_BChw).square().flatten(1).mean(1)
        return (error_B * batch.labelled_B).sum() / batch.labelled_B.sum().clamp(min=1), {}

    def predict(self, batch: Batch) -> Tensor:
        """Sampled in `VALIDATION_STEPS` steps from one noise for all images."""
        return self.network.denoise(batch.image_B3HW, batch.companion_B1HW, batch.modality_B, steps=VALIDATION_STEPS)[0]
