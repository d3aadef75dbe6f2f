"""Sizes that an export takes."""

from collections.abc import Sequence

import numpy as np

from models.errors import UserError


def check_size(accepted: Sequence[object], image_B3HW: np.ndarray) -> None:
    """Refuse images of another size than an export was made for.

    Args:
        accepted: height and width; anything but a number stands for any.

    Raises:
        UserError: a side differs.
    """
    for wanted, got in zip(accepted, image_B3HW.shape[2:], strict=True):
        if isinstance(wanted, int) and wanted != got:
            height, width = accepted
            raise UserError(
                f"this export takes images of {height} x {width} pixels, got {image_B3HW.shape[2]} x "
                f"{image_B3HW.shape[3]}; leave the size out, or use runtime 'torch'"
            )
