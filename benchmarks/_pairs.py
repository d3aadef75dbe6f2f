"""Times of two forms that were measured in pairs."""

from collections.abc import Sequence

import numpy as np

from limelight.evaluation.averages import standard_error


def paired_ratio(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """The geometric mean of after / before over pairs with its standard error, and both medians in milliseconds."""
    logarithms = np.log(np.asarray(after) / np.asarray(before))
    ratio = float(np.exp(logarithms.mean()))
    return {
        "before_ms": round(1000 * float(np.median(before)), 2),
        "after_ms": round(1000 * float(np.median(after)), 2),
        "ratio": round(ratio, 4),
        "standard_error": round(ratio * standard_error(logarithms), 4),
    }
