"""Scale-invariant context attention (SICA): refines a level's features by what the coarser saliency map tells apart."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limelight.models.inputs import Size
from limelight.models.inspyrenet.blocks import ConvBN
from limelight.models.layers import resize_like


def _without_autocast(device: str) -> AbstractContextManager[object]:
    """Within the block, compute in the weights' own type: autocast would bring sums back to float16."""
    available = torch.amp.autocast_mode.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if available else nullcontext()


class SICA(nn.Module):
    """`forward(x_BCHW, saliency_B1hw, laplacian_B1hw or None) -> (features_BDHW, laplacian_B1HW)`, all maps logits.

    Each pixel attends to three contexts (salient, not salient, uncertain), or five with a Laplacian: sums of features,
    weighted by masks of the coarser map.

    Args:
        inputs, channels: C and D.
        laplacian: whether the coarser level has a Laplacian.
        size: features and masks are brought to this height and width before they are summed, so that the sums do not
            depend on the picture's size; None = left as they are, as in the version before the paper.
        published: as the released code has it: features are summed in runs of C consecutive values of the map, which
            are no pixels, and without dividing by anything. Otherwise each context is the weighted mean of its pixels.
    """

    def __init__(self, inputs: int, channels: int, *, laplacian: bool, size: Size | None, published: bool) -> None:
        super().__init__()
        self.size, self.published, self.scale = size, published, channels**-0.5
        self.threshold = nn.Parameter(torch.tensor([0.5]))
        self.lthreshold = nn.Parameter(torch.tensor([0.5])) if laplacian else None
        self.conv_query = nn.Sequential(
            ConvBN(inputs, channels, 3, relu=True), ConvBN(channels, channels, 3, relu=True)
        )
        self.conv_key = nn.Sequential(ConvBN(inputs, channels, 1, relu=True), ConvBN(channels, channels, 1, relu=True))
        self.conv_value = nn.Sequential(
            ConvBN(inputs, channels, 1, relu=True), ConvBN(channels, channels, 1, relu=True)
        )
        self.conv_out1 = ConvBN(channels, channels, 3, relu=True)
        self.conv_out2 = ConvBN(inputs + channels, channels, 3, relu=True)
        self.conv_out3 = ConvBN(channels, channels, 3, relu=True)
        self.conv_out4 = ConvBN(channels, 1, 1)

    def forward(self, x_BCHW: Tensor, saliency_B1hw: Tensor, laplacian_B1hw: Tensor | None) -> tuple[Tensor, Tensor]:
        height, width = x_BCHW.shape[2:]
        context_BCN1 = self._context(x_BCHW, self._masks(x_BCHW, saliency_B1hw, laplacian_B1hw))
        query_BPD = _pixels(self.conv_query(x_BCHW))
        with _without_autocast(x_BCHW.device.type):
            context_BCN1 = context_BCN1.to(self.threshold.dtype)
            key_BDN = self.conv_key(context_BCN1).squeeze(3)
            value_BND = self.conv_value(context_BCN1).squeeze(3).transpose(1, 2)
        weight_BPN = (self.scale * (query_BPD @ key_BDN.to(query_BPD.dtype))).softmax(-1)
        attended_BPD = weight_BPN @ value_BND.to(query_BPD.dtype)
        attended_BDHW = attended_BPD.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        features_BDHW = self.conv_out3(self.conv_out2(torch.cat([x_BCHW, self.conv_out1(attended_BDHW)], 1)))
        return features_BDHW, self.conv_out4(features_BDHW)

    def _masks(self, x_BCHW: Tensor, saliency_B1hw: Tensor, laplacian_B1hw: Tensor | None) -> Tensor:
        """mask_BNHW in [0, 1]: foreground, background, uncertain; and, of a Laplacian, its two signs."""
        surplus_B1HW = torch.sigmoid(resize_like(saliency_B1hw, x_BCHW)) - self.threshold
        masks = [surplus_B1HW.clip(0, 1), (-surplus_B1HW).clip(0, 1), self.threshold - surplus_B1HW.abs()]
        if laplacian_B1hw is not None and self.lthreshold is not None:
            detail_B1HW = torch.sigmoid(resize_like(laplacian_B1hw, x_BCHW)) - self.lthreshold
            masks += [detail_B1HW.clip(0, 1), (-detail_B1HW).clip(0, 1)]
        return torch.cat(masks, 1)

    def _context(self, x_BCHW: Tensor, mask_BNHW: Tensor) -> Tensor:
        """Context_BCN1, float32, whose convolutions are cheap. In float16 small masks would be lost; none is run so."""
        if self.size is not None and x_BCHW.shape[2:] != self.size:
            x_BCHW, mask_BNHW = (
                F.interpolate(each, self.size, mode="bilinear", align_corners=False) for each in (x_BCHW, mask_BNHW)
            )
        mask_BNP = mask_BNHW.flatten(2)
        if self.published:
            # Divided before and multiplied after the product: sums of a million pixels are beyond float16's range.
            pixels = mask_BNP.shape[2]
            context_BNC = _sums_of_runs(mask_BNP / pixels, x_BCHW).float() * pixels
        else:
            weight_BNP = mask_BNP / (mask_BNP.sum(2, keepdim=True) + 1e-6)
            context_BNC = (weight_BNP @ _pixels(x_BCHW)).float()
        return context_BNC.transpose(1, 2).unsqueeze(3)


def _pixels(x_BCHW: Tensor) -> Tensor:
    """x_BPC; of a map whose channels lie last, as runtimes keep them, without moving a value."""
    return x_BCHW.permute(0, 2, 3, 1).flatten(1, 2)


def _sums_of_runs(mask_BNP: Tensor, x_BCHW: Tensor) -> Tensor:
    """mask_BNP @ x_BCHW.reshape(B, P, C), of a map whose channels lie last without moving its values where P is a
    multiple of C: the row p of the reshaped map is a run of C pixels of channel p // (P / C)."""
    batch, channels, height, width = x_BCHW.shape
    pixels = height * width
    if pixels % channels:
        return mask_BNP @ x_BCHW.reshape(batch, pixels, channels)
    runs = pixels // channels
    x_BRJC = _pixels(x_BCHW).unflatten(1, (runs, channels))
    mask_BRCN = mask_BNP.unflatten(2, (channels, runs)).permute(0, 3, 2, 1)
    return (x_BRJC @ mask_BRCN).sum(1).transpose(1, 2)
