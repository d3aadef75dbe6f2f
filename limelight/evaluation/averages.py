"""Means over images and datasets, and their standard errors."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ERROR = "_se"
"""Suffix of a metric's name that denotes its standard error."""


def standard_error(values: ArrayLike) -> float:
    """Return the standard error of the mean over images, ignoring NaN; NaN for fewer than two values."""
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else np.nan


def jackknife(
    counts_NXX: NDArray[np.int64], estimate: Callable[[NDArray[np.int64]], Mapping[str, float]]
) -> dict[str, float]:
    """Estimate standard errors of figures computed from counts summed over N images (Efron and Stein, 1981).

    sqrt((N - 1) / N * sum over i of (x_i - mean)^2), x_i the figure without image i, N those in which it is defined.

    Args:
        counts_NXX: counts of each image, any shape.
        estimate: maps the sum to figures; undefined figures may be omitted.

    Returns:
        '<figure>_se' for each figure that is defined when single images are left out.
    """
    total = counts_NXX.sum(0)
    values_by_name: dict[str, list[float]] = {}
    for counts_XX in counts_NXX:
        for name, value in estimate(total - counts_XX).items():
            values_by_name.setdefault(name, []).append(value)
    spread = {name: np.var(values) * (len(values) - 1) for name, values in values_by_name.items() if len(values) > 1}
    return {name + ERROR: float(np.sqrt(value)) for name, value in spread.items()}


def over_datasets(figures: Sequence[Mapping[str, float]], metrics: Iterable[str]) -> dict[str, float]:
    """Return each metric's mean over the datasets, equally weighted, and its standard error.

    Metrics that some dataset lacks are omitted. Errors of different datasets' images are independent.
    """
    means = {}
    for name in metrics:
        values, errors = ([each[key] for each in figures if key in each] for key in (name, name + ERROR))
        if len(values) == len(figures):
            means[name] = float(np.mean(values))
        if len(errors) == len(figures):
            means[name + ERROR] = float(np.linalg.norm(errors) / len(errors))
    return means
