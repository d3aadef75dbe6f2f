"""The authors' one file: a folder with a UNet as diffusers writes it. All other parts are Stable Diffusion 2's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limelight.foundation.errors import UserError
from limelight.foundation.files import check_sha256
from limelight.models.card import Card
from limelight.models.diffusion.configs import PUBLISHED_STEPS, chosen
from limelight.models.diffusion.folder import UNET_WEIGHTS, read_configs, read_unet, read_unet_config, read_vae
from limelight.models.diffusion.hub import named_folder
from limelight.models.diffusion.segdiffusion.configs import TEXTS
from limelight.models.diffusion.segdiffusion.text import PromptEncoder, read_same_text
from limelight.models.empty import empty_parameters
from limelight.models.importers.files import Files
from limelight.models.registry import create_model, entry
from limelight.models.weights import save_weights


def import_published(
    name: str, folder: Path | str, files: Files, *, licence: str = "openrail++", trained_on: Sequence[str] = ()
) -> Card:
    """Combine the authors' UNet and its base into a weights folder of a `legacy` Seg-diffusion.

    It answers prompts one by one, which it was not trained for; `SegDiffusion.legacy_grey` is what it was trained for.

    Args:
        name: the Seg-diffusion whose text encoder is the base's.
        files: `unet`, in safetensors; `base`, with text encoder and tokenizer.

    Args, returns, raises: as `limelight.models.importers.import_published`.
    """
    unet = files.required_unet(name)
    if files.checkpoint is not None:
        raise UserError(f"{name} is published as a UNet only; leave out {files.checkpoint}")
    base = named_folder(files.base, text=True)
    config = read_unet_config(unet, wide=True)
    digest = check_sha256(unet / UNET_WEIGHTS, files.sha256)
    configs = read_configs(base)
    text = chosen(entry(name).options["text"], TEXTS, "text encoder")
    encoder, tokenizer = read_same_text(base, text)
    options = {"unet": config, "vae": configs.vae, "scheduler": configs.scheduler}
    with empty_parameters():
        model: Any = create_model(name, **options, legacy=True, tokenizer="files", train_text=False)
    model.text = PromptEncoder(encoder, tokenizer, trained=False)
    model.unet, model.vae = read_unet(unet), read_vae(base)
    return save_weights(
        folder,
        model,
        name=name,
        licence=licence,
        denoise_steps=PUBLISHED_STEPS,
        prepare={"filter": "bicubic", "companions": "stored"},
        caution="these published weights draw all classes at once, as grey levels; they were not trained to draw "
        "one class",
        source=f"imported from {unet.name}/{UNET_WEIGHTS}, sha256 {digest}",
        trained_on=tuple(trained_on),
    )
