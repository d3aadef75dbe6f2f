"""Published diffusion networks, which come as folders besides files."""

from pathlib import Path
from typing import Any

from limelight.foundation.errors import UserError
from limelight.models.card import Card
from limelight.models.diffusion.hub import base_folder
from limelight.models.registry import entry

FAMILIES = ("diffsod", "segdiffusion")


def import_diffusion(
    model_name: str,
    folder: Path | str,
    *,
    unet: Path | None,
    base: str,
    branch: Path | None = None,
    **told: Any,
) -> Card:
    """Put a published UNet, its base and, of diffSOD, the file of its condition branch into a weights folder.

    Args:
        model_name: a network of `FAMILIES`.
        folder: where the weights folder goes.
        unet: the folder that holds unet/.
        base: 'sd2' or a folder, see `base_folder`.
        branch: diffSOD's .pth file.
        told: `sha256`, what `branch` must hash to, or where there is none the UNet's file; `licence` and `trained_on`,
            for the card.

    Raises:
        UserError: something is not given, or see the families' own `import_published`.
    """
    family = entry(model_name).family
    if unet is None:
        raise UserError(f"{model_name} comes with a UNet; give the folder that holds unet/ with --unet")
    if family == "diffsod":
        if branch is None:
            raise UserError(f"{model_name} comes with a file of its condition branch; give that .pth file")
        from limelight.models.diffsod.checkpoint import import_published as import_diffsod

        return import_diffsod(branch, unet, base_folder(base), folder, name=model_name, **told)
    if branch is not None:
        raise UserError(f"{model_name} has nothing but a UNet; leave out {branch}")
    from limelight.models.segdiffusion.checkpoint import import_published as import_segdiffusion

    return import_segdiffusion(unet, base_folder(base, text=True), folder, name=model_name, **told)
