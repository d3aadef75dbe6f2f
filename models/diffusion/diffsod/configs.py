"""Sizes of diffSOD's condition branch, as JSON."""

from limelight.models.diffusion.configs import Config

BRANCHES: dict[str, Config] = {
    "published": {
        "layers": [3, 4, 23, 3],
        "channels": [64, 128, 256, 512],
        "stem_width": 32,
        "widths": [256, 512, 1024],
        "heads": 8,
    },
    "tiny": {
        "layers": [1, 1, 1, 1],
        "channels": [16, 32, 64, 128],
        "stem_width": 8,
        "widths": [8, 16, 32],
        "heads": 4,
    },
}
"""layers, channels and stem_width are timm's, of the Res2Net; widths are those of the decoders' three levels, finest
first, of which the last is the tokens' too; heads are the fusion's."""
