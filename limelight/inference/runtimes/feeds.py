"""The inputs of an export by their names."""

from collections.abc import Collection

import numpy as np

from limelight.inference.preprocess import Inputs


def feeds(names: Collection[str], inputs: Inputs) -> dict[str, np.ndarray]:
    """What an export is given of a batch.

    Args:
        names: of the export's inputs. One that takes companions is told that no picture has any, where there are none.
    """
    image_B3HW, companion_B1HW, modality_B = inputs
    if companion_B1HW is None:
        companion_B1HW = np.zeros_like(image_B3HW[:, :1])
        modality_B = np.zeros(len(image_B3HW), np.int64)
    given = {"image": image_B3HW, "companion": companion_B1HW, "modality": modality_B}
    return {name: given[name] for name in names}
