"""Image pyramids of single-channel maps (Burt and Adelson, 1983) and the band about an object's boundary."""

from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Padding = Literal["reflect", "constant"]
SIDE = 7


class ImagePyramid(nn.Module):
    """Laplacian pyramids with a Gaussian kernel of 7x7, sigma 1.

    Args:
        padding: 'reflect', or 'constant' (zeros) as before the paper.
    """

    kernel_11KK: Tensor

    def __init__(self, padding: Padding = "reflect") -> None:
        super().__init__()
        self.padding: Padding = padding
        kernel_K1 = cv2.getGaussianKernel(SIDE, 1)
        self.register_buffer(
            "kernel_11KK", torch.tensor(kernel_K1 @ kernel_K1.T, dtype=torch.float32)[None, None], False
        )

    def reduce(self, map_B1HW: Tensor) -> Tensor:
        """Blur, and take every second pixel."""
        return self._blur(map_B1HW)[:, :, ::2, ::2]

    def expand(self, map_B1hw: Tensor) -> Tensor:
        """Enlarge to twice the size: put zeros between, and blur."""
        spread_B4hw = torch.cat([map_B1hw, *[torch.zeros_like(map_B1hw)] * 3], 1)
        return 4 * self._blur(F.pixel_shuffle(spread_B4hw, 2))

    def reconstruct(self, coarse_B1hw: Tensor, laplacian_B1HW: Tensor) -> Tensor:
        """One finer level of a coarse map and the detail that it lacks."""
        enlarged_B1HW = self.expand(coarse_B1hw)
        if laplacian_B1HW.shape[-2:] != enlarged_B1HW.shape[-2:]:
            laplacian_B1HW = F.interpolate(
                laplacian_B1HW, enlarged_B1HW.shape[-2:], mode="bilinear", align_corners=True
            )
        return enlarged_B1HW + laplacian_B1HW

    def _blur(self, map_B1HW: Tensor) -> Tensor:
        padded = F.pad(map_B1HW, (SIDE // 2,) * 4, mode=self.padding)
        return F.conv2d(padded, self.kernel_11KK.to(map_B1HW.dtype))


def boundary_band(logits_B1HW: Tensor, width: int) -> Tensor:
    """1 in a band about the boundary of what is salient, 0 elsewhere (the paper's transition).

    The band is where dilation minus erosion of the probabilities, with an ellipse of `width` pixels, exceeds 0.5; both
    equal OpenCV's.
    """
    probability_B1HW = logits_B1HW.sigmoid()
    grown, shrunk = _dilate(probability_B1HW, width), -_dilate(-probability_B1HW, width)
    return (grown - shrunk > 0.5).to(logits_B1HW.dtype)


def _dilate(map_B1HW: Tensor, width: int) -> Tensor:
    """Maximum over OpenCV's ellipse, a row of it at a time; nothing beyond the border counts."""
    ellipse_KK = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    radius, height = width // 2, map_B1HW.shape[2]
    padded = F.pad(map_B1HW, (0, 0, radius, radius), value=-torch.inf)
    rows = []
    for row, ones in enumerate(np.count_nonzero(ellipse_KK, axis=1).tolist()):
        widened = F.max_pool2d(padded[:, :, row : row + height], (1, ones), 1, (0, ones // 2))
        rows.append(widened)
    return torch.stack(rows).amax(0)
