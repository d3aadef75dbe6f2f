"""Base of the networks that draw masks by denoising in latent space, conditioned on tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.models.base import Network
from limelight.models.diffusion import latents, lora
from limelight.models.diffusion.configs import PUBLISHED_STEPS, SCHEDULERS, UNETS, VAES, Config, chosen
from limelight.models.diffusion.ensemble import ensemble
from limelight.models.diffusion.folder import Configs, read_autoencoder, read_same
from limelight.models.diffusion.noise import pyramid_noise, seeded_noise
from limelight.models.diffusion.parts import AutoencoderKL, build_scheduler, build_unet, build_vae
from limelight.models.diffusion.sampling import add_noise, check_steps, ddim, velocity_target

GAIN = 6.0
"""Logits per unit of the decoded mask: its ends at -1 and 1 become probabilities of 0.0025 and 0.9975."""


class MaskDenoiser(Network):
    """A frozen autoencoder and a denoiser that attends to tokens, which the subclass makes.

    Images are in [-1, 1]: `mean` and `std` normalise them so.

    Args:
        unet, vae, scheduler: settings as dicts, or names in `limelight.models.diffusion.configs`.
        legacy: the autoencoder sees images in [0, 1], as the published weights were trained.
        gain: see `GAIN`.
        gradient_checkpointing: recompute activations of the UNet and the autoencoder rather than keep them.
        base: a folder in the layout of Stable Diffusion 2 to take UNet and autoencoder from; None = random weights.
        base_name: its name in a card.
    """

    mean = std = (0.5, 0.5, 0.5)
    """Of RGB in [0, 1], for a card."""
    published_steps = PUBLISHED_STEPS
    rows_per_chunk: int = 16
    """Bounds memory: 200 prompts of an image, or 50 members of an ensemble, need no more than this many rows."""

    def __init__(
        self,
        unet: str | Config,
        vae: str | Config,
        scheduler: str | Config,
        *,
        legacy: bool,
        gain: float,
        gradient_checkpointing: bool,
        base: Path | None,
        base_name: str | None,
    ) -> None:
        super().__init__()
        unet, vae = chosen(unet, UNETS, "UNet"), chosen(vae, VAES, "autoencoder")
        self.schedule = chosen(scheduler, SCHEDULERS, "scheduler")
        if base is None:
            self.unet, self.vae = build_unet(unet), build_vae(vae)
        else:
            self.unet, self.vae = read_same(base, Configs(unet, vae, self.schedule))
        _check_latents(self.unet.config.out_channels, self.vae.config.latent_channels)
        self.vae.requires_grad_(False)
        self.scheduler = build_scheduler(self.schedule)
        self.last_timestep = self.scheduler.config.num_train_timesteps - 1
        self.last_sigma = (1 - self.scheduler.alphas_cumprod[-1].item()) ** 0.5
        self.legacy, self.gain = legacy, gain
        self.base = base_name
        self.checkpointed = gradient_checkpointing
        if gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
            self.vae.enable_gradient_checkpointing()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; the autoencoder stays in evaluation mode."""
        super().train(mode)
        self.vae.eval()
        return self

    def take_autoencoder(self, folder: Path | str) -> None:
        """Use another autoencoder of the same latents, such as TAESD in place of Stable Diffusion's.

        Args:
            folder: with config.json and weights in safetensors, as diffusers writes it.

        Raises:
            UserError: it is no autoencoder, or its latents have other channels, another size or another scale.
        """
        if not (Path(folder) / "config.json").is_file():
            raise UserError(f"{folder} holds no autoencoder in diffusers' format: config.json is missing")
        vae = read_autoencoder(folder)
        own, other = ((each.config.latent_channels, len(each.config.block_out_channels)) for each in (self.vae, vae))
        if own != other:
            raise UserError(
                f"{folder} has latents of {other[0]} channels at 1/{2 ** (other[1] - 1)} of the picture's size, this "
                f"network works in {own[0]} at 1/{2 ** (own[1] - 1)}; choose another autoencoder"
            )
        # An AutoencoderTiny has another factor for the same latents: it makes them scaled already.
        factors = [each.config.scaling_factor for each in (self.vae, vae)]
        if type(self.vae) is type(vae) is AutoencoderKL and factors[0] != factors[1]:
            raise UserError(
                f"{folder} scales its latents by {factors[1]}, this network's autoencoder by {factors[0]}, so they are "
                "latents of another model; choose another autoencoder"
            )
        self.vae = vae.requires_grad_(False).eval()

    def take_part(self, part: str, source_network: Network, source_name: str) -> None:
        super().take_part(part, source_network, source_name)
        configs = [getattr(each.get_submodule(part), "config", None) for each in (self, source_network)]
        scales = [getattr(config, "scaling_factor", None) for config in configs]
        if scales[0] != scales[1]:
            raise UserError(
                f"{source_name}: the latents of its part {part!r} are scaled by {scales[1]}, those of the network to "
                f"train by {scales[0]}; set the same in the run's options"
            )

    def add_adapters(self, *, rank: int, alpha: float, targets: Sequence[str]) -> None:
        """See `limelight.models.diffusion.lora.add_adapters`."""
        lora.add_adapters(self.unet, rank=rank, alpha=alpha, targets=targets)

    def merge_adapters(self) -> None:
        lora.merge_adapters(self.unet)

    def memory_savers(self) -> list[str]:
        savers = {"options: {gradient_checkpointing: true}": not self.checkpointed, "lora: {}": not self.has_adapters}
        return [setting for setting, helps in savers.items() if helps]

    @property
    def has_adapters(self) -> bool:
        """Whether `add_adapters` was called, and not yet `merge_adapters`."""
        return lora.ADAPTERS in lora.trained_groups(self.unet)

    # ---------------------------------------------------------------------------------------------------------- parts
    def encode_image(self, image_B3HW: Tensor) -> Tensor:
        """The latent_BChw of images in [-1, 1]. No gradient."""
        with torch.no_grad():
            return latents.encode(self.vae, (image_B3HW + 1) / 2 if self.legacy else image_B3HW).float()

    def encode_mask(self, mask_B1HW: Tensor) -> Tensor:
        """The latent_BChw of masks in [0, 1]. No gradient."""
        with torch.no_grad():
            return latents.encode_mask(self.vae, mask_B1HW).float()

    def decode_mask(self, latent_BChw: Tensor) -> Tensor:
        """mask_B1HW, about -1 for background and 1 for object, float32."""
        return latents.decode_mask(self.vae, latent_BChw.to(self.vae.dtype))

    def predict_velocity(
        self, latent_BChw: Tensor, noisy_BChw: Tensor, tokens_BNC: Tensor, timestep_B: Tensor
    ) -> Tensor:
        """The denoiser's velocity_BChw, float32.

        Args:
            latent_BChw: of the image.
            noisy_BChw: the mask's, with noise.
            tokens_BNC: the condition that the denoiser attends to.
            timestep_B: int64, 0 to 999.
        """
        both_BChw = torch.cat([latent_BChw, noisy_BChw], 1).to(self.unet.dtype)
        tokens_BNC = tokens_BNC.to(self.unet.dtype)
        return self.unet(both_BChw, timestep_B, encoder_hidden_states=tokens_BNC).sample.float()

    # ------------------------------------------------------------------------------------------------------- training
    def conditions(self, given: Mapping[str, Tensor | None]) -> tuple[Tensor, Tensor]:
        """latent_NChw and tokens_NTC: for each map to draw, its image's latent and its condition.

        Args:
            given: named inputs, see `inputs`.
        """
        raise NotImplementedError

    def velocity_error(
        self, given: Mapping[str, Tensor | None], mask_BKHW: Tensor, *, levels: int, discount: float
    ) -> Tensor:
        latent_NChw, tokens_NTC = self.conditions(given)
        mask_NChw = self.encode_mask(mask_BKHW.flatten(0, 1)[:, None])
        timestep_N = torch.randint(self.last_timestep + 1, mask_NChw.shape[:1], device=mask_NChw.device)
        noise_NChw = pyramid_noise(mask_NChw, levels=levels, discount=discount)
        noisy_NChw = add_noise(self.scheduler, mask_NChw, noise_NChw, timestep_N)
        predicted_NChw = self.predict_velocity(latent_NChw, noisy_NChw, tokens_NTC, timestep_N)
        return (predicted_NChw - velocity_target(self.scheduler, mask_NChw, noise_NChw, timestep_N)).square()

    # ----------------------------------------------------------------------------------------------------- prediction
    def check_steps(self, steps: int) -> None:
        check_steps(self.scheduler, steps)

    def one_step(self, latent_BChw: Tensor, tokens_BNC: Tensor) -> Tensor:
        """mask_B1HW, about -1 for background and 1 for object, in one deterministic step from a latent of zeros at the
        last timestep (Martin Garcia et al., arXiv 2409.11355, section 4)."""
        timestep_B = torch.full(latent_BChw.shape[:1], self.last_timestep, dtype=torch.long, device=latent_BChw.device)
        start_BChw = torch.zeros_like(latent_BChw)
        velocity_BChw = self.predict_velocity(latent_BChw, start_BChw, tokens_BNC, timestep_B)
        # x_0 = sqrt(abar) x_t - sqrt(1 - abar) v, and x_t is zero.
        return self.decode_mask(-self.last_sigma * velocity_BChw)

    def sample(
        self,
        latent_BChw: Tensor,
        tokens_BNC: Tensor,
        *,
        steps: int,
        ensemble_size: int = 1,
        seeds: Sequence[int] | None = None,
        spacing: str = "trailing",
    ) -> tuple[Tensor, Tensor | None]:
        """Sample masks from noise in several steps, `rows_per_chunk` of all rows' members at once.

        Args:
            latent_BChw: of the images.
            tokens_BNC: the condition that the denoiser attends to.
            steps: a divisor of 1000.
            ensemble_size: predictions per row, from different noise, of which the median is taken.
            seeds: one per row, for its noise; None = 0 for every row.
            spacing: of the timesteps, 'trailing' or, as published, 'leading'.

        Returns:
            probability_B1HW, and uncertainty_B1HW (see `ensemble`) or None where `ensemble_size` is 1.

        Raises:
            UserError: invalid steps, seeds or spacing.
        """
        batch = len(latent_BChw)
        seeds = [0] * batch if seeds is None else seeds
        if len(seeds) != batch or ensemble_size < 1:
            raise UserError(
                f"{len(seeds)} seeds and an ensemble of {ensemble_size} for {batch} images; give one seed per image "
                "and an ensemble of 1 or more"
            )
        scheduler = build_scheduler(self.schedule, spacing)
        check_steps(scheduler, steps)
        different = list(dict.fromkeys(seeds))
        noise_SEChw = seeded_noise(latent_BChw.shape[1:], different, ensemble_size).unflatten(0, (-1, ensemble_size))
        seed_B = torch.tensor([different.index(seed) for seed in seeds])

        def draw(row_N: Tensor, member_N: Tensor) -> Tensor:
            latent_NChw, tokens_NNC = latent_BChw[row_N], tokens_BNC[row_N]

            def velocity(noisy_NChw: Tensor, timestep: int) -> Tensor:
                timestep_N = torch.full((len(noisy_NChw),), timestep, dtype=torch.long, device=noisy_NChw.device)
                return self.predict_velocity(latent_NChw, noisy_NChw, tokens_NNC, timestep_N)

            noise_NChw = noise_SEChw[seed_B[row_N], member_N].to(latent_NChw)
            return self.decode_mask(ddim(velocity, noise_NChw, scheduler, steps))

        rows = torch.arange(batch * ensemble_size).split(self.rows_per_chunk)
        mask_N1HW = torch.cat([draw(row_N // ensemble_size, row_N % ensemble_size) for row_N in rows])
        probability_N1HW = ((mask_N1HW + 1) / 2).clamp(0, 1)
        if ensemble_size == 1:
            return probability_N1HW, None
        return ensemble(probability_N1HW.unflatten(0, (batch, ensemble_size)).transpose(0, 1))


def _check_latents(unet: int, vae: int) -> None:
    if unet != vae:
        raise UserError(
            f"the UNet draws latents of {unet} channels, the autoencoder has latents of {vae}; set the UNet's "
            "out_channels (and twice as many in_channels) to the autoencoder's latent_channels"
        )
