"""The authors' one file: a folder with a UNet as diffusers writes it. All other parts are Stable Diffusion 2's."""

from collections.abc import Sequence
from pathlib import Path

from limelight.foundation.files import check_sha256
from limelight.models.card import Card
from limelight.models.diffusion.configs import PUBLISHED_STEPS, chosen
from limelight.models.diffusion.folder import UNET_WEIGHTS, read_configs, read_unet, read_unet_config, read_vae
from limelight.models.empty import empty_parameters
from limelight.models.registry import create_model, entry
from limelight.models.segdiffusion.configs import TEXTS
from limelight.models.segdiffusion.text import PromptEncoder, read_same_text
from limelight.models.weights import save_weights


def import_published(
    unet: Path | str,
    base: Path | str,
    folder: Path | str,
    *,
    name: str = "segdiffusion",
    sha256: str | None = None,
    licence: str = "openrail++",
    trained_on: Sequence[str] = (),
) -> Card:
    """Put the authors' UNet and its base together into a weights folder of a `legacy` Seg-diffusion.

    It answers prompts one by one, which it was not trained for; `SegDiffusion.legacy_grey` is what it was trained for.

    Args:
        unet: their folder that holds unet/, in safetensors.
        base: a folder in the layout of Stable Diffusion 2, with text encoder and tokenizer.
        folder: where the weights folder goes; it is written only if everything fits.
        name: the Seg-diffusion whose text encoder is the base's.
        sha256: what the UNet's .safetensors must hash to; None = not checked.
        licence, trained_on: for the card.

    Returns:
        The card as written.

    Raises:
        UserError: a part is missing, damaged or of another network; another hash. Nothing is written.
    """
    config = read_unet_config(unet, wide=True)
    digest = check_sha256(Path(unet) / UNET_WEIGHTS, sha256)
    configs = read_configs(base)
    text = chosen(entry(name).options["text"], TEXTS, "text encoder")
    encoder, tokenizer = read_same_text(base, text)
    options = {"unet": config, "vae": configs.vae, "scheduler": configs.scheduler}
    with empty_parameters():
        model = create_model(name, **options, legacy=True, tokenizer="files", train_text=False)
    model.text = PromptEncoder(encoder, tokenizer, trained=False)
    model.unet, model.vae = read_unet(unet), read_vae(base)
    return save_weights(
        folder,
        model,
        name=name,
        licence=licence,
        denoise_steps=PUBLISHED_STEPS,
        as_published=True,
        source=f"imported from {Path(unet).name}/{UNET_WEIGHTS}, sha256 {digest}",
        trained_on=list(trained_on),
    )
