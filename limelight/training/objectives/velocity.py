"""Learning to denoise masks in latent space, as diffSOD and Seg-diffusion are published."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from limelight.config.objectives import PromptedVelocitySettings, VelocitySettings
from limelight.data.manifest import Sample
from limelight.data.samples import Batch
from limelight.models.base import Network
from limelight.models.card import Card
from limelight.training.learner import Learner
from limelight.training.objectives.prompted import Prompted


class Velocity(Learner):
    """Mean squared error of the predicted velocity, at a timestep drawn per sample; unlabelled samples do not count.

    One step trained end to end (objective 'supervised') reaches better maps sooner (arXiv 2409.11355); this is the
    published way, to compare with.
    """

    def __init__(self, network: Network, settings: VelocitySettings, *, epochs: int) -> None:
        super().__init__(network)
        self.settings = settings

    def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss over the batch's labelled samples, in units of the latents. No parts."""
        levels, discount = self.settings.noise_levels, self.settings.noise_discount
        error_BChw = self.network.velocity_error(batch.inputs, batch.mask_B1HW, levels=levels, discount=discount)
        error_B = error_BChw.flatten(1).mean(1)
        return (error_B * batch.labelled_B).sum() / batch.labelled_B.sum().clamp(min=1), {}

    def predict(self, batch: Batch) -> Tensor:
        """Sample in the network's published number of steps, from the same noise for all images."""
        return self.network.draw(batch.inputs, steps=self.network.published_steps)[0]

    def card_facts(self, samples: Sequence[Sample], init: Card | None) -> dict[str, Any]:
        return {"denoise_steps": self.network.published_steps}


class PromptedVelocity(Prompted):
    """The velocity objective for the masks of prompts: where `Prompted` compares masks, this compares their latents.

    Void pixels are background in the latents, which cannot leave pixels out; a latent's weight is the share of its
    pixels that are not void.
    """

    settings: PromptedVelocitySettings

    def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss over all prompts, in units of the latents. No parts."""
        shown = self.draw_prompts(batch)
        levels, discount = self.settings.noise_levels, self.settings.noise_discount
        given = {**batch.inputs, "prompt": shown.prompt_BKTC}
        error_NChw = self.network.velocity_error(given, shown.target_BKHW.float(), levels=levels, discount=discount)
        height, width = error_NChw.shape[-2:]
        weight_Nhw = F.adaptive_avg_pool2d(shown.valid_BKHW.float().flatten(0, 1), (height, width))
        return (error_NChw.mean(1) * weight_Nhw).sum() / weight_Nhw.sum().clamp(min=1), {}

    def probabilities(self, given: Mapping[str, Tensor | None], names: Sequence[str]) -> Tensor:
        return self.network.draw({**given, "prompt": self.tokens(names)}, steps=self.network.published_steps)[0]

    def card_facts(self, samples: Sequence[Sample], init: Card | None) -> dict[str, Any]:
        return {**super().card_facts(samples, init), "denoise_steps": self.network.published_steps}
