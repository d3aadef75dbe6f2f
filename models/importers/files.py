"""What authors publish, as it is handed to an importer."""

from dataclasses import dataclass
from pathlib import Path

from limelight.foundation.errors import UserError


@dataclass(frozen=True)
class Files:
    """Published files. An importer refuses what its family does not come as."""

    checkpoint: Path | None = None
    """.pdparams (Paddle) or .pth, .pt, .pth.tar (PyTorch)."""
    unet: Path | None = None
    """A folder that holds unet/ in the layout of diffusers."""
    base: str = "sd2"
    """What that was trained from: a folder in the layout of Stable Diffusion 2, or 'sd2'."""
    backbone_only: bool = False
    """The checkpoint is an ImageNet classifier (PaddleClas' MobileNetV3_large_x0_5_pretrained.pdparams, say)."""
    sha256: str | None = None
    """What the checkpoint must hash to, or without one the UNet's weights; None = not checked."""

    def only_checkpoint(self, model_name: str) -> Path:
        """The one file of a network that comes as one.

        Raises:
            UserError: there is none, or more than it.
        """
        if self.unet is not None or self.checkpoint is None:
            raise UserError(f"{model_name} comes as one file; give that, without --unet")
        return self.checkpoint

    def the_unet(self, model_name: str) -> Path:
        """The UNet of a network that comes with one.

        Raises:
            UserError: there is none, or the checkpoint is said to be a backbone.
        """
        if self.backbone_only:
            raise UserError(f"{model_name} has no published backbone; leave out --backbone-only")
        if self.unet is None:
            raise UserError(f"{model_name} comes with a UNet; give the folder that holds unet/ with --unet")
        return self.unet
