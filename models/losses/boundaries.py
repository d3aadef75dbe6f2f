"""How much a pixel weighs that lies at a boundary of the target."""

from torch import Tensor
from torch.nn import functional as F

WINDOW = 31
"""Side of the square, pixels, whose mean a pixel is compared with."""
BOUNDARY_WEIGHT = 5.0


def boundary_weight(target_B1HW: Tensor) -> Tensor:
    """Return 1 + 5 |mean31(t) - t| of each pixel, after Wei et al., 'F3Net' (AAAI 2020), eq. 9.

    Args:
        target_B1HW: in [0, 1], float32; counted as 0 outside of the picture.

    Returns:
        Weights in [1, 6], shape B1HW.
    """
    # Rows, then columns: 62 additions a pixel in place of 961.
    rows = F.avg_pool2d(target_B1HW, (1, WINDOW), 1, (0, WINDOW // 2))
    mean = F.avg_pool2d(rows, (WINDOW, 1), 1, (WINDOW // 2, 0))
    return 1 + BOUNDARY_WEIGHT * (mean - target_B1HW).abs()
