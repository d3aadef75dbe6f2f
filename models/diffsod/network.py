"""diffSOD as one network: autoencoder, condition, denoiser."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.base import Capabilities, Network
from models.card import MODALITIES
from models.diffsod.condition import Condition
from models.diffsod.configs import BRANCHES
from models.diffusion import latents
from models.diffusion.configs import SCHEDULERS, UNETS, VAES, Config, chosen
from models.diffusion.ensemble import ensemble
from models.diffusion.folder import Configs, read_same
from models.diffusion.noise import seeded_noise
from models.diffusion.parts import build_scheduler, build_unet, build_vae
from models.diffusion.sampling import check_steps, ddim
from models.errors import UserError

GAIN = 6.0
"""Logits per unit of the decoded mask: its ends at -1 and 1 become probabilities of 0.0025 and 0.9975."""


class DiffSOD(Network):
    """Salient objects of images, alone or with a depth or thermal picture, drawn by a latent diffusion model.

    `forward(image_B3HW, companion_B1HW=None, modality_B=None) -> [logits_B1HW]` is one deterministic step from a latent
    of zeros at the last timestep, decoded to pixels (Martin Garcia et al., arXiv 2409.11355, section 4), so that it
    trains, serves and exports as any network does. `denoise` samples in several steps, as published. For a learner of
    velocities: `encode_image`, `encode_mask`, `condition` (tokens), `predict_velocity`, and `scheduler`.

    Images are in [-1, 1]: `mean` and `std` say so to whoever normalises them.

    Args:
        unet, vae, scheduler, branch: settings as dicts, or names in `models.diffusion.configs` and
            `models.diffsod.configs`.
        legacy: as published, for the authors' weights: autoencoder and branch see images in [0, 1], the branch's batch
            norms go by each batch's own statistics, and an RGB image is its own companion. Outside of the network, they
            also resize bicubically to 384 x 384 and stretch each map to [0, 1].
        companion_dropout: share of the companions that training leaves out.
        gain: see `GAIN`.
        gradient_checkpointing: compute activations of the UNet and the autoencoder twice rather than keep them.
        pretrained: a folder in the layout of Stable Diffusion 2 to take UNet and autoencoder from; or True. Either way
            the branch's backbone starts from ImageNet weights where they can be fetched.
    """

    capabilities = Capabilities(modalities=MODALITIES, input_divisor=32)
    mean = std = (0.5, 0.5, 0.5)
    """Of RGB in [0, 1], for a card."""

    def __init__(
        self,
        *,
        unet: str | Config = "sd2",
        vae: str | Config = "sd2",
        scheduler: str | Config = "sd2",
        branch: str | Config = "published",
        legacy: bool = False,
        companion_dropout: float = 0.0,
        gain: float = GAIN,
        gradient_checkpointing: bool = False,
        pretrained: bool | str = False,
    ) -> None:
        super().__init__()
        unet, vae = chosen(unet, UNETS, "UNet"), chosen(vae, VAES, "autoencoder")
        self.schedule = chosen(scheduler, SCHEDULERS, "scheduler")
        if isinstance(pretrained, bool):
            self.unet, self.vae = build_unet(unet), build_vae(vae)
        else:
            self.unet, self.vae = read_same(pretrained, Configs(unet, vae, self.schedule))
        self.condition = Condition(
            chosen(branch, BRANCHES, "branch"),
            legacy=legacy,
            companion_dropout=companion_dropout,
            pretrained=bool(pretrained),
        )
        _check_widths(self.unet.config.cross_attention_dim, self.condition.branch.width)
        self.vae.requires_grad_(False)
        self.scheduler = build_scheduler(self.schedule)
        self.last_timestep = self.scheduler.config.num_train_timesteps - 1
        self.last_sigma = (1 - self.scheduler.alphas_cumprod[-1].item()) ** 0.5
        self.legacy, self.gain = legacy, gain
        if gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
            self.vae.enable_gradient_checkpointing()
        self.train()

    def train(self, mode: bool = True) -> "DiffSOD":
        """The autoencoder stays in evaluation mode."""
        super().train(mode)
        self.vae.eval()
        return self

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """'unet'; 'backbone', the branch's Res2Net; 'branch', the rest of it. The frozen autoencoder is in none."""
        backbone = list(self.condition.branch.backbone.parameters())
        taken = {id(parameter) for parameter in backbone}
        branch = [value for value in self.condition.parameters() if id(value) not in taken]
        return {"unet": list(self.unet.parameters()), "backbone": backbone, "branch": branch}

    # ---------------------------------------------------------------------------------------------------------- parts
    def encode_image(self, image_B3HW: Tensor) -> Tensor:
        """The latent_B4hw of images in [-1, 1]. No gradient."""
        with torch.no_grad():
            return latents.encode(self.vae, (image_B3HW + 1) / 2 if self.legacy else image_B3HW).float()

    def encode_mask(self, mask_B1HW: Tensor) -> Tensor:
        """The latent_B4hw of masks in [0, 1]. No gradient."""
        with torch.no_grad():
            return latents.encode_mask(self.vae, mask_B1HW).float()

    def decode_mask(self, latent_B4hw: Tensor) -> Tensor:
        """mask_B1HW, about -1 for background and 1 for object."""
        return latents.decode_mask(self.vae, latent_B4hw).float()

    def predict_velocity(
        self, latent_B4hw: Tensor, noisy_B4hw: Tensor, tokens_BNC: Tensor, timestep_B: Tensor
    ) -> Tensor:
        """The denoiser's velocity_B4hw, float32.

        Args:
            latent_B4hw: of the image.
            noisy_B4hw: the mask's, with noise.
            tokens_BNC: from `condition`.
            timestep_B: int64, 0 to 999.
        """
        both_B8hw = torch.cat([latent_B4hw, noisy_B4hw], 1)
        return self.unet(both_B8hw, timestep_B, encoder_hidden_states=tokens_BNC).sample.float()

    # ----------------------------------------------------------------------------------------------------- prediction
    def forward(
        self, image_B3HW: Tensor, companion_B1HW: Tensor | None = None, modality_B: Tensor | None = None
    ) -> list[Tensor]:
        """One map of logits_B1HW, in a list.

        Raises:
            UserError: companions without `modality_B`.
        """
        latent_B4hw = self.encode_image(image_B3HW)
        tokens_BNC = self.condition(image_B3HW, companion_B1HW, modality_B)
        timestep_B = torch.full((len(image_B3HW),), self.last_timestep, dtype=torch.long, device=image_B3HW.device)
        start_B4hw = torch.zeros_like(latent_B4hw)
        velocity_B4hw = self.predict_velocity(latent_B4hw, start_B4hw, tokens_BNC, timestep_B)
        # x_0 = sqrt(abar) x_t - sqrt(1 - abar) v, and x_t is zero.
        mask_B1HW = self.decode_mask(-self.last_sigma * velocity_B4hw)
        return [self.gain * mask_B1HW]

    @torch.no_grad()
    def denoise(
        self,
        image_B3HW: Tensor,
        companion_B1HW: Tensor | None = None,
        modality_B: Tensor | None = None,
        *,
        steps: int = 10,
        ensemble_size: int = 1,
        seeds: Sequence[int] | None = None,
        spacing: str = "trailing",
    ) -> tuple[Tensor, Tensor | None]:
        """Sample masks from noise in several steps. Images are encoded once; an ensemble's members are one batch.

        Args:
            steps: a divisor of 1000.
            ensemble_size: predictions per image, from different noise, of which the median is taken.
            seeds: one per image, of its noise; None = 0 for every image. In evaluation mode an image's result depends
                on its own seed alone (but see `legacy`).
            spacing: of the timesteps, 'trailing' or, as published, 'leading'.

        Returns:
            probability_B1HW, and uncertainty_B1HW (see `ensemble`) or None where `ensemble_size` is 1.

        Raises:
            UserError: companions without `modality_B`, or steps, seeds or spacing that will not do.
        """
        batch = len(image_B3HW)
        seeds = [0] * batch if seeds is None else seeds
        if len(seeds) != batch or ensemble_size < 1:
            raise UserError(
                f"{len(seeds)} seeds and an ensemble of {ensemble_size} for {batch} images; give one seed per image "
                "and an ensemble of 1 or more"
            )
        scheduler = build_scheduler(self.schedule, spacing)
        check_steps(scheduler, steps)
        latent = self.encode_image(image_B3HW).repeat_interleave(ensemble_size, 0)
        tokens = self.condition(image_B3HW, companion_B1HW, modality_B).repeat_interleave(ensemble_size, 0)
        noise = seeded_noise(latent.shape[1:], seeds, ensemble_size).to(latent)

        def velocity(noisy: Tensor, timestep: int) -> Tensor:
            timestep_B = torch.full((len(noisy),), timestep, dtype=torch.long, device=noisy.device)
            return self.predict_velocity(latent, noisy, tokens, timestep_B)

        mask = self.decode_mask(ddim(velocity, noise, scheduler, steps))
        probability = ((mask + 1) / 2).clamp(0, 1)
        if ensemble_size == 1:
            return probability, None
        return ensemble(probability.unflatten(0, (batch, ensemble_size)).transpose(0, 1))


def _check_widths(unet: int, branch: int) -> None:
    if unet != branch:
        raise UserError(
            f"the UNet attends to tokens of {unet} channels, the branch makes some of {branch}; set the UNet's "
            "cross_attention_dim and the last of the branch's widths to the same number"
        )
