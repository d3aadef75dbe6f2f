"""Inputs and outputs of scoring, common to all tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limelight.data.manifest import Sample

Datasets = dict[str, "list[Sample]"]
"""Dataset name -> its samples."""
Examples = dict[str, "NDArray[np.unsignedinteger[Any]] | None"]
"""Sample id -> its result as pixels of a PNG; None until it is computed."""


class Scores(Protocol):
    """The scores of one dataset."""

    @property
    def figures(self) -> Mapping[str, float]:
        """The task's metrics, and standard errors '<metric>_se'; undefined ones are omitted."""

    @property
    def curves(self) -> "Mapping[str, NDArray[np.float64]]":
        """'precision', 'recall', 'f' and further ones, 256 values each; index j belongs to the threshold 255 - j."""

    @property
    def per_image(self) -> Mapping[str, Mapping[str, float]]:
        """Sample id -> its own metrics."""

    @property
    def failures(self) -> Mapping[str, str]:
        """Sample id -> why it has no score."""

    @property
    def counts(self) -> Mapping[str, int]:
        """'scored', 'failed' and further numbers of samples."""


@dataclass(frozen=True)
class Method:
    """Another method, evaluated by its precomputed maps."""

    scores: Mapping[str, Scores]
    """By dataset."""
    paths: Mapping[str, Path]
    """Sample id -> its map."""
