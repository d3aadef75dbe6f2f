"""Swin transformers (Liu et al., ICCV 2021) as segmentation networks use them, of timm's parts.

They differ from timm's network where a map is not a multiple of the window: it is padded first and then shifted, odd
blocks shift even where the map is one window, and each stage's output has a norm of its own.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from timm.layers import DropPath, Mlp, PatchEmbed
from timm.models.swin_transformer import PatchMerging, WindowAttention, window_partition, window_reverse
from torch import Tensor, nn
from torch.nn import functional as F

from limelight.models.pretrained import Origin, timm_network

PATCH = 4


class Shape(NamedTuple):
    """Width, blocks and heads of the stages, window, and timm's network with its ImageNet weights."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    timm: str


SHAPES = {
    "swin-t": Shape(96, (2, 2, 6, 2), (3, 6, 12, 24), 7, "swin_tiny_patch4_window7_224"),
    "swin-s": Shape(96, (2, 2, 18, 2), (3, 6, 12, 24), 7, "swin_small_patch4_window7_224"),
    "swin-b": Shape(128, (2, 2, 18, 2), (4, 8, 16, 32), 12, "swin_base_patch4_window12_384"),
    "swin-l": Shape(192, (2, 2, 18, 2), (6, 12, 24, 48), 12, "swin_large_patch4_window12_384"),
}
DROP_PATH = 0.2
"""Largest rate of stochastic depth, reached by the last block."""


class Block(nn.Module):
    """Window attention, shifted by half a window in odd blocks, and an MLP. `forward(x_BHWC) -> x_BHWC`."""

    def __init__(self, width: int, heads: int, window: int, *, shifted: bool, drop_path: float) -> None:
        super().__init__()
        self.window, self.shift = window, window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window_size=window)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x_BHWC = x_BHWC + self.drop_path(self._attend(self.norm1(x_BHWC)))
        output_BHWC: Tensor = x_BHWC + self.drop_path(self.mlp(self.norm2(x_BHWC)))
        return output_BHWC

    def _attend(self, x_BHWC: Tensor) -> Tensor:
        height, width = x_BHWC.shape[1:3]
        window, shift = (self.window, self.window), self.shift
        x_BHWC = F.pad(x_BHWC, (0, 0, 0, -width % self.window, 0, -height % self.window))
        padded = x_BHWC.shape[1], x_BHWC.shape[2]
        if shift:
            x_BHWC = torch.roll(x_BHWC, (-shift, -shift), (1, 2))
        mask_WNN = torch.from_numpy(shift_mask(*padded, self.window, shift)).to(x_BHWC) if shift else None
        windows_WNC = window_partition(x_BHWC, window).flatten(1, 2)
        attended = self.attn(windows_WNC, mask=mask_WNN).unflatten(1, window)
        x_BHWC = window_reverse(attended, window, *padded)
        if shift:
            x_BHWC = torch.roll(x_BHWC, (shift, shift), (1, 2))
        return x_BHWC[:, :height, :width]


@lru_cache(maxsize=32)
def shift_mask(height: int, width: int, window: int, shift: int) -> np.ndarray:
    """mask_WNN, -100 between pixels of a window that are no neighbours in the map that was not shifted.

    No tensor is kept: one that is made while a network is exported is not a real one.
    """
    region_HW = np.zeros((height, width), np.float32)
    cuts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for number, (rows, columns) in enumerate((rows, columns) for rows in cuts for columns in cuts):
        region_HW[rows, columns] = number
    windows = region_HW.reshape(height // window, window, width // window, window).swapaxes(1, 2)
    regions_WN = windows.reshape(-1, window * window)
    return np.where(regions_WN[:, :, None] != regions_WN[:, None], np.float32(-100), np.float32(0))


class Stage(nn.Module):
    """Patch merging, but in the first stage, and blocks. Names of modules are timm's."""

    def __init__(
        self, width: int, depth: int, heads: int, window: int, drop_paths: list[float], *, merge: bool
    ) -> None:
        super().__init__()
        self.downsample = PatchMerging(width // 2, width) if merge else nn.Identity()
        self.blocks = nn.Sequential(
            *(
                Block(width, heads, window, shifted=number % 2 == 1, drop_path=drop_paths[number])
                for number in range(depth)
            )
        )

    def forward(self, x_BHWC: Tensor) -> Tensor:
        output_BHWC: Tensor = self.blocks(self.downsample(x_BHWC))
        return output_BHWC


class Swin(nn.Module):
    """`forward(image_BCHW) -> [x_BCHW]`: the patch embedding at 1/4, and the stages' outputs at 1/4 to 1/32."""

    def __init__(self, name: str, pretrained: bool | str = False, in_channels: int = 3) -> None:
        super().__init__()
        shape = SHAPES[name]
        widths = [shape.width * 2**number for number in range(len(shape.depths))]
        rates = np.linspace(0, DROP_PATH, sum(shape.depths)).tolist()
        self.channels = (shape.width, *widths)
        self.patch_embed = PatchEmbed(
            None, PATCH, in_channels, shape.width, norm_layer=nn.LayerNorm, output_fmt="NHWC", strict_img_size=False
        )
        self.layers = nn.ModuleList()
        for number, (width, depth, heads) in enumerate(zip(widths, shape.depths, shape.heads, strict=True)):
            own = [rates.pop(0) for _ in range(depth)]
            self.layers.append(Stage(width, depth, heads, shape.window, own, merge=number > 0))
            self.add_module(f"norm{number}", nn.LayerNorm(width))
        self.origin: Origin | None = None
        if pretrained:
            self._start_from(shape.timm, pretrained, in_channels)

    def _start_from(self, name: str, pretrained: bool | str, in_channels: int) -> None:
        """Take timm's ImageNet weights; the norms of the stages' outputs have none."""
        network: Any
        network, self.origin = timm_network(name, pretrained, num_classes=0, in_chans=in_channels)
        own, given = self.state_dict(), network.state_dict()
        self.load_state_dict({key: given.get(key, value) for key, value in own.items()})

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        height, width = image_BCHW.shape[-2:]
        x_BHWC = self.patch_embed(F.pad(image_BCHW, (0, -width % PATCH, 0, -height % PATCH)))
        features = [x_BHWC]
        for number, stage in enumerate(self.layers):
            x_BHWC = stage(x_BHWC)
            features.append(self.get_submodule(f"norm{number}")(x_BHWC))
        return [feature.permute(0, 3, 1, 2) for feature in features]
