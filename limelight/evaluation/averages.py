"""Means, and how sure they are: standard errors over the images."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ERROR = "_se"
"""What a metric's name ends in where its standard error is meant."""


def standard_error(values: ArrayLike) -> float:
    """Of the mean of an image's figures, those that are NaN left out; NaN for fewer than two, which cannot tell."""
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else np.nan


def jackknife(
    counts_NXX: NDArray[np.int64], estimate: Callable[[NDArray[np.int64]], Mapping[str, float]]
) -> dict[str, float]:
    """Standard errors of figures that follow from the sum of what was counted on N images (Efron and Stein, 1981).

    sqrt((N - 1) / N * sum over i of (x_i - mean)^2), x_i the figure without image i, N those in which it is defined.

    Args:
        counts_NXX: of each image, any shape.
        estimate: the sum -> figures; it may leave some out.

    Returns:
        '<figure>_se' of each that is defined without one image or another.
    """
    total = counts_NXX.sum(0)
    found: dict[str, list[float]] = {}
    for counts_XX in counts_NXX:
        for name, value in estimate(total - counts_XX).items():
            found.setdefault(name, []).append(value)
    spread = {name: np.var(values) * (len(values) - 1) for name, values in found.items() if len(values) > 1}
    return {name + ERROR: float(np.sqrt(value)) for name, value in spread.items()}


def over_datasets(figures: Sequence[Mapping[str, float]], metrics: Iterable[str]) -> dict[str, float]:
    """Each metric's mean over the datasets, each dataset counting once, and its standard error.

    What is not defined on every dataset is left out. Errors of different datasets' images are independent.
    """
    means = {}
    for name in metrics:
        values, errors = ([each[key] for each in figures if key in each] for key in (name, name + ERROR))
        if len(values) == len(figures):
            means[name] = float(np.mean(values))
        if len(errors) == len(figures):
            means[name + ERROR] = float(np.linalg.norm(errors) / len(errors))
    return means
