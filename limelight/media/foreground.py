"""The object's own colours where it mixes with its background, by blur fusion.

Solves I = alpha F + (1 - alpha) B for F: M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021.
"""

import cv2
import numpy as np

WINDOWS = (90, 6, 3)
"""Window sides of the passes, pixels: two as published, and a third one; see benchmarks/foreground.py."""
REACH = sum(WINDOWS) // 2 + 1
"""How far away a pixel may be that a colour depends on, pixels."""


def unmixed(image_HW3: np.ndarray, alpha_HW: np.ndarray, opacity_HW: np.ndarray | None = None) -> np.ndarray:
    """Estimate F for every pixel.

    Args:
        image_HW3: uint8.
        alpha_HW: float32 in [0, 1].
        opacity_HW: float32 in [0, 1], what each pixel of the image weighs; None = all the same.

    Returns:
        uint8 HxWx3; the image where alpha is 1.
    """
    fusion = _Fusion(alpha_HW, opacity_HW)
    return cv2.merge([fusion.channel(channel_HW) for channel_HW in cv2.split(image_HW3)])


class _Fusion:
    """What the channels share, which are solved one by one: with three floats a pixel NumPy takes twice as long."""

    def __init__(self, alpha_HW: np.ndarray, opacity_HW: np.ndarray | None) -> None:
        self.alpha_HW, self.clear_HW = alpha_HW, 1 - alpha_HW
        self.front_HW, self.back_HW = self.alpha_HW, self.clear_HW
        if opacity_HW is not None:
            self.front_HW, self.back_HW = self.front_HW * opacity_HW, self.back_HW * opacity_HW
        self.passes = []
        """Of each pass: its window, and the mean weights of F and B around each pixel."""
        for side in WINDOWS:
            weight_HW = cv2.blur(self.front_HW, (side, side))
            whole_HW = 1 if opacity_HW is None else cv2.blur(opacity_HW, (side, side))
            self.passes.append(((side, side), weight_HW + 1e-5, whole_HW - weight_HW + 1e-5))
        self.memory = [np.empty(alpha_HW.shape, np.float32) for _ in range(5)]

    def channel(self, channel_HW: np.ndarray) -> np.ndarray:
        """F of one channel, uint8: in each pass local means of F and B, weighted by alpha, then F corrected so that the
        mixture gives the picture."""
        image, mean_F, mean_B, F, product = self.memory
        image[:] = F[:] = mean_B[:] = channel_HW
        for window, weight_HW, rest_HW in self.passes:
            cv2.blur(np.multiply(F, self.front_HW, out=product), window, dst=mean_F)
            np.divide(mean_F, weight_HW, out=mean_F)
            cv2.blur(np.multiply(mean_B, self.back_HW, out=product), window, dst=mean_B)
            np.divide(mean_B, rest_HW, out=mean_B)
            np.subtract(image, np.multiply(self.alpha_HW, mean_F, out=product), out=F)
            np.subtract(F, np.multiply(self.clear_HW, mean_B, out=product), out=F)
            np.add(mean_F, np.multiply(self.alpha_HW, F, out=F), out=F)
            np.clip(F, 0, 255, out=F)
        np.copyto(F, image, where=self.alpha_HW >= 1)
        return np.rint(F, out=F).astype(np.uint8)
