"""The inputs of an export by their names."""

from collections.abc import Collection

import numpy as np


def feeds(
    names: Collection[str],
    image_B3HW: np.ndarray,
    companion_B1HW: np.ndarray | None = None,
    modality_B: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """What an export is given, of the three that a `Runtime` is called with; none of its pictures has a companion where
    there is none.

    Args:
        names: of the export's inputs.
    """
    if companion_B1HW is None:
        companion_B1HW = np.zeros_like(image_B3HW[:, :1])
        modality_B = np.zeros(len(image_B3HW), np.int64)
    given = {"image": image_B3HW, "companion": companion_B1HW, "modality": modality_B}
    return {name: given[name] for name in names}
