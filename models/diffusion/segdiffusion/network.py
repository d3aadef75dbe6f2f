"""Seg-diffusion as one network: autoencoder, text encoder, denoiser."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from limelight.foundation.errors import UserError
from limelight.models.base import Capabilities
from limelight.models.diffusion.configs import Config, chosen
from limelight.models.diffusion.denoiser import GAIN, MaskDenoiser
from limelight.models.diffusion.hub import base_folder, base_name
from limelight.models.diffusion.lora import trained_groups
from limelight.models.diffusion.segdiffusion.configs import TEXTS
from limelight.models.diffusion.segdiffusion.text import (
    TOKENIZER,
    PromptEncoder,
    build_text,
    read_same_text,
    read_tokenizer,
)
from limelight.models.diffusion.segdiffusion.tokenizer import word_tokenizer
from limelight.models.inputs import IMAGE, PROMPT, bind


class SegDiffusion(MaskDenoiser):
    """One mask per prompt, drawn by a latent diffusion model that attends to the prompt's words.

    `forward(image_B3HW, prompt_KTC or prompt_BKTC) -> [logits_BKHW]` is one deterministic step, as diffSOD's: the image
    is encoded once, and its prompts are rows of a batch, so that a prompt's mask does not depend on the others.
    `encode_prompts(texts) -> prompt_KTC` makes the prompts; `denoise` samples in several steps.

    The published network averages its prompts and distinguishes classes by the grey levels of one picture. The mean has
    no order, and the levels are stretched per image, so that no level can be assigned to a class: `legacy_grey` is kept
    to demonstrate that, not for use.

    Args:
        unet, vae, scheduler, text: settings as dicts, or names in `limelight.models.diffusion.configs` and
            `limelight.models.diffusion.segdiffusion.configs`.
        tokenizer: 'files', from `pretrained` or from the weights folder; 'words', the small one that is made in code,
            with prompts that are not padded (see `PromptEncoder`).
        train_text: train the text encoder too. Small ones must be; Stable Diffusion's stays as it is.
        legacy, gain, gradient_checkpointing: see `MaskDenoiser`.
        pretrained: where all parts come from (see `base_folder`); False = random weights.
        assets: folder of the tokenizer, in the weights folder that is being read.
    """

    inputs = (IMAGE, PROMPT)
    capabilities = Capabilities("open-vocabulary", objectives=("prompted", "prompted-velocity"), sample=True, divisor=8)

    def __init__(
        self,
        *,
        unet: str | Config = "sd2",
        vae: str | Config = "sd2",
        scheduler: str | Config = "sd2",
        text: str | Config = "sd2",
        tokenizer: str = "files",
        train_text: bool = False,
        legacy: bool = False,
        gain: float = GAIN,
        gradient_checkpointing: bool = False,
        pretrained: bool | str | Config = False,
        assets: Path | str | None = None,
    ) -> None:
        base = base_folder(pretrained, text=True)
        super().__init__(
            unet,
            vae,
            scheduler,
            legacy=legacy,
            gain=gain,
            gradient_checkpointing=gradient_checkpointing,
            base=base,
            base_name=base_name(pretrained) if pretrained else None,
        )
        text = chosen(text, TEXTS, "text encoder")
        if tokenizer not in ("files", "words"):
            raise UserError(f"unknown tokenizer {tokenizer!r}; choose files or words")
        self.own_tokenizer = tokenizer == "words"
        loaded_tokenizer = None
        if base is None:
            encoder = build_text(text, distinct=self.own_tokenizer)
        else:
            encoder, loaded_tokenizer = read_same_text(base, text)
        if self.own_tokenizer:
            loaded_tokenizer = word_tokenizer()
        elif assets is not None:
            loaded_tokenizer = read_tokenizer(assets)
        self.text = PromptEncoder(encoder, loaded_tokenizer, trained=train_text, padded=not self.own_tokenizer)
        _check_fit(self.unet.config.cross_attention_dim, self.text)
        self.train()

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """'unet' (see `trained_groups`), and 'text' where it is trained. Without frozen parameters."""
        groups = trained_groups(self.unet)
        return groups | ({"text": list(self.text.parameters())} if self.text.trained else {})

    def write_assets(self, folder: Path) -> None:
        """Write the files that the weights need besides themselves: the tokenizer, if it came from files."""
        if self.text.tokenizer is not None and not self.own_tokenizer:
            self.text.tokenizer.save_pretrained(folder / TOKENIZER)

    # ----------------------------------------------------------------------------------------------------- prediction
    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """The tokens prompt_KTC of K prompts, float32; each is computed once (see `PromptEncoder`).

        Raises:
            UserError: no prompt, one of too many tokens (it is named), or the network has no tokenizer.
        """
        return self.text(prompts)

    def check_prompts(self, prompts: Sequence[str]) -> None:
        self.text.ids(prompts)

    def conditions(self, given: Mapping[str, Tensor | None]) -> tuple[Tensor, Tensor]:
        named = bind(self.inputs, given)
        return self._rows(self.encode_image(named["image_B3HW"]), named["prompt_KTC"])

    def forward(self, image_B3HW: Tensor, prompt_KTC: Tensor) -> list[Tensor]:
        """One map per image and prompt: logits_BKHW, in a list.

        Args:
            prompt_KTC: the same prompts for every image, or prompt_BKTC, each image's own.
        """
        rows = self._rows(self.encode_image(image_B3HW), prompt_KTC)
        chunks = zip(*(part.split(self.rows_per_chunk) for part in rows), strict=True)
        mask_N1HW = torch.cat([self.one_step(latent, tokens) for latent, tokens in chunks])
        return [self.gain * _by_image(mask_N1HW, len(image_B3HW))]

    @torch.no_grad()
    def denoise(
        self,
        image_B3HW: Tensor,
        prompt_KTC: Tensor,
        *,
        steps: int = 10,
        ensemble_size: int = 1,
        seeds: Sequence[int] | None = None,
        spacing: str = "trailing",
    ) -> tuple[Tensor, Tensor | None]:
        """Sample masks from noise in several steps. Images are encoded once; an image's prompts start from one noise.

        Args:
            prompt_KTC: as in `forward`.
            steps, ensemble_size, seeds, spacing: as in `MaskDenoiser.sample`; one seed per image.

        Returns:
            probability_BKHW, and uncertainty_BKHW or None where `ensemble_size` is 1.

        Raises:
            UserError: invalid steps, seeds or spacing.
        """
        batch, prompts = len(image_B3HW), prompt_KTC.shape[-3]
        seeds = [0] * batch if seeds is None else seeds
        if len(seeds) != batch:
            raise UserError(f"{len(seeds)} seeds for {batch} images; give one seed per image")
        probability_N1HW, uncertainty_N1HW = self.sample(
            *self._rows(self.encode_image(image_B3HW), prompt_KTC),
            steps=steps,
            ensemble_size=ensemble_size,
            seeds=[seed for seed in seeds for _ in range(prompts)],
            spacing=spacing,
        )
        uncertainty_BKHW = None if uncertainty_N1HW is None else _by_image(uncertainty_N1HW, batch)
        return _by_image(probability_N1HW, batch), uncertainty_BKHW

    @torch.no_grad()
    def legacy_grey(
        self, image_B3HW: Tensor, prompt_KTC: Tensor, *, steps: int = 50, seeds: Sequence[int] | None = None
    ) -> Tensor:
        """Compute the published form: the prompts' mean as the one condition of one grey_B1HW in [0, 1].

        It does not depend on the prompts' order, and so cannot tell which grey level is which class. As published, the
        timesteps are 'leading'; each map was then stretched to [0, 1], which is not done here.

        Args, raises: as `denoise`.
        """
        mean_1TC = prompt_KTC.mean(-3, keepdim=True)
        return self.denoise(image_B3HW, mean_1TC, steps=steps, seeds=seeds, spacing="leading")[0]

    def _rows(self, latent_BChw: Tensor, prompt_KTC: Tensor) -> tuple[Tensor, Tensor]:
        """latent_NChw and tokens_NTC: each image's latent beside each of its prompts, image after image."""
        batch = len(latent_BChw)
        prompt_BKTC = prompt_KTC if prompt_KTC.ndim == 4 else prompt_KTC.expand(batch, -1, -1, -1)
        return latent_BChw.repeat_interleave(prompt_BKTC.shape[1], 0), prompt_BKTC.flatten(0, 1)


def _by_image(map_N1HW: Tensor, batch: int) -> Tensor:
    """map_BKHW."""
    return map_N1HW.view(batch, -1, *map_N1HW.shape[-2:])


def _check_fit(width: int, text: PromptEncoder) -> None:
    if width != text.width:
        raise UserError(
            f"the UNet attends to tokens of {width} channels, the text encoder makes tokens of {text.width}; set the "
            "UNet's cross_attention_dim and the text encoder's hidden_size to the same number"
        )
    tokens, most = len(text.tokenizer or ()), text.model.config.vocab_size
    if tokens > most:
        raise UserError(f"the tokenizer knows {tokens} tokens, the text encoder {most}; raise its vocab_size")
