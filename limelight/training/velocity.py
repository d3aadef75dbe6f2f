"""Learning to denoise masks in latent space, as diffSOD and Seg-diffusion are published."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from limelight.config import Run
from limelight.data.samples import Batch
from limelight.models.diffusion.configs import PUBLISHED_STEPS
from limelight.models.diffusion.denoiser import MaskDenoiser
from limelight.models.diffusion.diffsod.network import DiffSOD
from limelight.models.diffusion.noise import pyramid_noise
from limelight.models.diffusion.sampling import add_noise, velocity_target
from limelight.training.learner import Learner
from limelight.training.prompted import Prompted


class Velocity(Learner):
    """Mean squared error of the predicted velocity, at a timestep drawn per sample; unlabelled samples do not count.

    One step trained end to end (`objective: masks`) reaches better maps sooner (arXiv 2409.11355); this is the
    published way, to compare with.
    """

    network: DiffSOD
    denoise_steps = PUBLISHED_STEPS

    def __init__(self, network: DiffSOD, run: Run) -> None:
        super().__init__()
        self.network = network
        self.run = run

    def loss(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss over the batch's labelled samples, in units of the latents. No parts."""
        network = self.network
        tokens_BNC = network.condition(batch.image_B3HW, batch.companion_B1HW, batch.modality_B)
        latent_BChw, mask_BChw = network.encode_image(batch.image_B3HW), network.encode_mask(batch.mask_B1HW)
        error_B = velocity_error(network, self.run, latent_BChw, mask_BChw, tokens_BNC).flatten(1).mean(1)
        return (error_B * batch.labelled_B).sum() / batch.labelled_B.sum().clamp(min=1), {}

    def predict(self, batch: Batch) -> Tensor:
        """Sampled in `PUBLISHED_STEPS` steps from one noise for all images."""
        return self.network.denoise(batch.image_B3HW, batch.companion_B1HW, batch.modality_B, steps=PUBLISHED_STEPS)[0]


class PromptedVelocity(Prompted):
    """The same for the masks of an image's prompts: where `Prompted` compares masks, this compares their latents.

    What is void in the labels is background in the latents, which cannot leave pixels out; a latent counts as much as
    its pixels are not void.
    """

    denoise_steps = PUBLISHED_STEPS

    def loss(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss over all prompts, in units of the latents. No parts."""
        network, asked = self.network, self.ask(batch)
        prompts = asked.prompt_BKTC.shape[1]
        mask_NChw = network.encode_mask(asked.target_BKHW.float().flatten(0, 1)[:, None])
        latent_NChw = network.encode_image(batch.image_B3HW).repeat_interleave(prompts, 0)
        error_NChw = velocity_error(network, self.run, latent_NChw, mask_NChw, asked.prompt_BKTC.flatten(0, 1))
        weight_Nhw = F.adaptive_avg_pool2d(asked.valid_BKHW.float().flatten(0, 1), mask_NChw.shape[-2:])
        return (error_NChw.mean(1) * weight_Nhw).sum() / weight_Nhw.sum().clamp(min=1), {}

    def probabilities(self, image_B3HW: Tensor, names: Sequence[str]) -> Tensor:
        return self.network.denoise(image_B3HW, self.tokens(names), steps=PUBLISHED_STEPS)[0]


def velocity_error(
    network: MaskDenoiser, run: Run, latent_BChw: Tensor, mask_BChw: Tensor, tokens_BNC: Tensor
) -> Tensor:
    """Squared error_BChw of the predicted velocity, at timesteps and with noise drawn from torch's generators.

    Args:
        latent_BChw: of the images.
        mask_BChw: of their masks.
        tokens_BNC: what the denoiser is told.
    """
    timestep_B = torch.randint(network.last_timestep + 1, mask_BChw.shape[:1], device=mask_BChw.device)
    noise_BChw = pyramid_noise(mask_BChw, levels=run.noise_levels, discount=run.noise_discount)
    noisy_BChw = add_noise(network.scheduler, mask_BChw, noise_BChw, timestep_B)
    found_BChw = network.predict_velocity(latent_BChw, noisy_BChw, tokens_BNC, timestep_B)
    return (found_BChw - velocity_target(network.scheduler, mask_BChw, noise_BChw, timestep_B)).square()
