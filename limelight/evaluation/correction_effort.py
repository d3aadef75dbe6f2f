"""Human correction effort (Qin et al., 'Highly Accurate Dichotomous Image Segmentation', ECCV 2022)."""

import numpy as np
from numpy.typing import NDArray


def correction_effort(p: NDArray[np.float64], truth_HW: NDArray[np.bool_]) -> int:
    """Estimate how many mouse clicks would correct a map, by PySODMetrics.

    It counts the corner points of the wrong regions' outlines and the wrong regions that stand alone; errors that are
    narrower than about 5 pixels are forgiven, except of thin structures.

    Args:
        p: map in [0, 1], stretched like the other measures'; salient above 0.5.
        truth_HW: ground truth of the same size.
    """
    # Here, since it imports scikit-image: a worker that does not measure this starts a second earlier.
    from py_sod_metrics import HumanCorrectionEffortMeasure

    return int(HumanCorrectionEffortMeasure().cal_hce(p, truth_HW))
