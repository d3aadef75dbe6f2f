"""diffSOD as one network: autoencoder, condition, denoiser."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limelight.foundation.errors import UserError
from limelight.models.base import Capabilities
from limelight.models.card import MODALITIES
from limelight.models.diffusion.configs import Config, chosen
from limelight.models.diffusion.denoiser import GAIN, MaskDenoiser
from limelight.models.diffusion.diffsod.condition import Condition
from limelight.models.diffusion.diffsod.configs import BRANCHES
from limelight.models.diffusion.hub import base_folder, base_name
from limelight.models.diffusion.lora import trained_groups
from limelight.models.inputs import WITH_COMPANION, bind


class DiffSOD(MaskDenoiser):
    """Salient objects of images, alone or with a depth or thermal picture, drawn by a latent diffusion model.

    `forward(image_B3HW, companion_B1HW=None, modality_B=None) -> [logits_B1HW]` is one deterministic step from a latent
    of zeros at the last timestep, decoded to pixels (Martin Garcia et al., arXiv 2409.11355, section 4), so that it
    trains, serves and exports as any network does. `denoise` samples in several steps, as published, which
    `velocity_error` trains for.

    Images are in [-1, 1]: `mean` and `std` normalise them so.

    Args:
        unet, vae, scheduler, branch: settings as dicts, or names in `limelight.models.diffusion.configs` and
            `limelight.models.diffusion.diffsod.configs`.
        legacy: as published, for the authors' weights: autoencoder and branch see images in [0, 1], the branch's batch
            norms use each batch's own statistics, and an RGB image is its own companion. Outside of the network, the
            authors also resize bicubically to 384 x 384 and stretch each map to [0, 1].
        companion_dropout: share of the companions that training leaves out.
        gain: see `GAIN`.
        gradient_checkpointing: recompute activations of the UNet and the autoencoder rather than keep them.
        pretrained: where UNet and autoencoder come from (see `base_folder`); False = random weights. The branch's
            backbone then starts from ImageNet weights where they can be fetched.
    """

    inputs = WITH_COMPANION
    capabilities = Capabilities(
        modalities=MODALITIES,
        objectives=("supervised", "distilled", "velocity"),
        sample=True,
        divisor=32,
        fixed_export=True,
    )

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
        pretrained: bool | str | Config = False,
    ) -> None:
        super().__init__(
            unet,
            vae,
            scheduler,
            legacy=legacy,
            gain=gain,
            gradient_checkpointing=gradient_checkpointing,
            base=base_folder(pretrained),
            base_name=base_name(pretrained) if pretrained else None,
        )
        self.capabilities = replace(self.capabilities, independent=not legacy)
        self.condition = Condition(
            chosen(branch, BRANCHES, "branch"),
            legacy=legacy,
            companion_dropout=companion_dropout,
            pretrained=bool(pretrained),
        )
        if pretrained:
            origin = self.condition.branch.backbone.origin
            self.base = f"{self.base}; branch: {origin.source if origin else 'random weights'}"
        if not legacy:
            self.hint = nn.Linear(self.condition.branch.width, self.unet.config.in_channels)
            nn.init.zeros_(self.hint.weight)
            nn.init.zeros_(self.hint.bias)
        _check_widths(self.unet.config.cross_attention_dim, self.condition.branch.width)
        self.train()

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """'unet' (see `trained_groups`); 'backbone', the branch's Res2Net; 'branch', the rest of it. Without frozen
        parameters."""
        backbone = list(self.condition.branch.backbone.parameters())
        taken = {id(parameter) for parameter in backbone}
        branch = [value for value in self.condition.parameters() if id(value) not in taken]
        if not self.legacy:
            branch += self.hint.parameters()
        return {**trained_groups(self.unet), "backbone": backbone, "branch": branch}

    # ----------------------------------------------------------------------------------------------------- prediction
    def conditions(self, given: Mapping[str, Tensor | None]) -> tuple[Tensor, Tensor]:
        named = bind(self.inputs, given)
        tokens_BNC = self.condition(**named)
        return self.encode_image(named["image_B3HW"]), tokens_BNC

    def predict_velocity(
        self, latent_BChw: Tensor, noisy_BChw: Tensor, tokens_BNC: Tensor, timestep_B: Tensor
    ) -> Tensor:
        """As `MaskDenoiser.predict_velocity`, with each token's hint (unpublished; initially zero) added at its place.

        Tokens carry no positions, so that attention alone can hardly tell which pixels a companion refers to.
        """
        if not self.legacy:
            hints = self._hint(tokens_BNC, latent_BChw.shape[-2:]).chunk(2, dim=1)
            latent_BChw, noisy_BChw = latent_BChw + hints[0], noisy_BChw + hints[1]
        return super().predict_velocity(latent_BChw, noisy_BChw, tokens_BNC, timestep_B)

    def _hint(self, tokens_BNC: Tensor, size: torch.Size) -> Tensor:
        """hint_BChw at the latents' size. Tokens are eight pixels apart, as Stable Diffusion's latents are; those of a
        small autoencoder may be closer."""
        step = 8 // 2 ** (len(self.vae.config.block_out_channels) - 1)
        hint_BChw = self.hint(tokens_BNC).transpose(1, 2).unflatten(2, (size[0] // step, size[1] // step))
        return hint_BChw if step == 1 else F.interpolate(hint_BChw, size, mode="bilinear")

    def forward(
        self, image_B3HW: Tensor, companion_B1HW: Tensor | None = None, modality_B: Tensor | None = None
    ) -> list[Tensor]:
        """One map of logits_B1HW, in a list.

        Raises:
            UserError: companions without `modality_B`.
        """
        latent_BChw = self.encode_image(image_B3HW)
        tokens_BNC = self.condition(image_B3HW, companion_B1HW, modality_B)
        return [self.gain * self.one_step(latent_BChw, tokens_BNC)]

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
        """Sample masks from noise in several steps. Images are encoded once.

        Args:
            steps: a divisor of 1000.
            ensemble_size: predictions per image, from different noise, of which the median is taken.
            seeds: one per image, for its noise; None = 0 for every image. In evaluation mode an image's result depends
                on its own seed alone (but see `legacy`).
            spacing: of the timesteps, 'trailing' or, as published, 'leading'.

        Returns:
            probability_B1HW, and uncertainty_B1HW (see `ensemble`) or None where `ensemble_size` is 1.

        Raises:
            UserError: companions without `modality_B`, or invalid steps, seeds or spacing.
        """
        latent_BChw = self.encode_image(image_B3HW)
        tokens_BNC = self.condition(image_B3HW, companion_B1HW, modality_B)
        return self.sample(
            latent_BChw, tokens_BNC, steps=steps, ensemble_size=ensemble_size, seeds=seeds, spacing=spacing
        )


def _check_widths(unet: int, branch: int) -> None:
    if unet != branch:
        raise UserError(
            f"the UNet attends to tokens of {unet} channels, the branch makes tokens of {branch}; set the UNet's "
            "cross_attention_dim and the last of the branch's widths to the same number"
        )
