"""Published files, as they are passed to an importer."""

from dataclasses import dataclass
from pathlib import Path

from limelight.foundation.errors import UserError


@dataclass(frozen=True)
class Files:
    """Published files. An importer refuses kinds of files that its family is not published as."""

    checkpoint: Path | None = None
    """.pdparams (Paddle) or .pth, .pt, .pth.tar (PyTorch)."""
    unet: Path | None = None
    """A folder that holds unet/ in the layout of diffusers."""
    base: str = "sd2"
    """What the UNet was trained from: a folder in the layout of Stable Diffusion 2, or 'sd2'."""
    backbone_only: bool = False
    """Of the checkpoint, the backbone alone counts: an ImageNet classifier's (PaddleClas'
    MobileNetV3_large_x0_5_pretrained.pdparams, say), or the encoder of SDNet's authors."""
    sha256: str | None = None
    """Expected hash of the checkpoint, or without one of the UNet's weights; None = not checked."""

    def single_checkpoint(self, model_name: str) -> Path:
        """The checkpoint of a network that is published as one file.

        Raises:
            UserError: it is missing, or other files are given too.
        """
        if self.unet is not None or self.checkpoint is None:
            raise UserError(f"{model_name} comes as one file; give that, without --unet")
        return self.checkpoint

    def required_unet(self, model_name: str) -> Path:
        """The UNet of a network that is published with one.

        Raises:
            UserError: there is none, or the checkpoint is said to be a backbone.
        """
        if self.backbone_only:
            raise UserError(f"{model_name} has no published backbone; leave out --backbone-only")
        if self.unet is None:
            raise UserError(f"{model_name} comes with a UNet; give the folder that holds unet/ with --unet")
        return self.unet
