"""Task interface: scoring, reporting, the rule that chooses a champion, and the service.

Task objects are light: the computing code is in `limelight.evaluation` and imported inside the methods, so that a
service starts without the packages that metrics need.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from limelight.config import Evaluate, Rule, TaskName
from limelight.evaluation.scored import Datasets, Examples, Method, Scores
from limelight.foundation.artifacts import ARTIFACTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limelight.data.manifest import Sample
    from limelight.evaluation.tiles import Tile
    from limelight.inference.predictor import Predictor
    from limelight.models.base import Network
    from limelight.models.card import Card


@dataclass(frozen=True)
class Metric:
    """How a metric is displayed, and which direction is better."""

    label: str
    better: Literal["higher", "lower"] = "higher"

    @property
    def sign(self) -> int:
        """Factor that makes sorting put the best value first."""
        return -1 if self.better == "higher" else 1


@dataclass(frozen=True)
class Service:
    """The BentoML service of a task."""

    name: str
    """Name of the model and the bento in BentoML's store; also used in the bentofile."""
    bentofile: str
    entry: str
    """Import path 'module:class'."""
    limits: tuple[str, ...] = ()
    """Fields of `package` in params.yaml that this service accepts besides those common to all services."""

    videos: bool = False
    """Whether it takes videos and streams of frames."""

    @property
    def bento(self) -> Path:
        """Path of the exported bento file."""
        return ARTIFACTS / "bento" / f"{self.name}.bento"


P = TypeVar("P", bound="Predictor[Any]")
S = TypeVar("S", bound=Scores)
P_contra = TypeVar("P_contra", bound="Predictor[Any]", contravariant=True)
S_co = TypeVar("S_co", bound=Scores, covariant=True)


class Scoring(Protocol[P_contra, S_co]):
    """Scores predictors while its context lasts."""

    def score(
        self,
        predictor: P_contra,
        dataset: str,
        samples: "Iterable[Sample]",
        keep: Examples,
        *,
        store: Path | None = None,
        companions: bool = True,
    ) -> S_co:
        """Score a predictor on one dataset; a failing sample is skipped and reported.

        Args:
            keep: its ids are the samples whose results are stored in it.
            store: every result is also written to <store>/<sample id>.png.
            companions: False hides depth and thermal pictures from the network.

        Raises:
            UserError: no sample could be scored.
        """


@dataclass(frozen=True)
class Timed:
    """The prediction that latencies are measured with."""

    predict: Callable[[], float]
    """Predict once; returns the milliseconds of the network alone."""
    of: str
    """What is predicted, such as 'a picture'."""


class Task(ABC, Generic[P, S]):
    """A task of networks. P is the type of predictors, S of the scores of a dataset."""

    name: ClassVar[TaskName]
    title: ClassVar[str]
    """Title of its table."""
    note: ClassVar[str]
    """How its figures are computed, shown below the tables."""
    unit: ClassVar[str] = "picture"
    """What counts as one prediction, score or timing."""
    metrics: ClassVar[Mapping[str, Metric]]
    """Metrics in table order; tables and files leave out those that were not measured."""
    per_image: ClassVar[tuple[str, ...]]
    """Metrics of a single image, in the column order of per_image.csv."""
    ranked_by: ClassVar[tuple[str, ...]]
    """Those of `per_image` shown with a picture; overlays are ranked by the first."""
    rule: ClassVar[Rule]
    """Default rule for its champion, where `compare` of params.yaml has none."""
    service: ClassVar[Service]

    @abstractmethod
    def datasets(self, samples: "Sequence[Sample]", card: "Card") -> Datasets:
        """Group by dataset the samples that weights of this card can be scored on.

        Raises:
            UserError: no sample is left.
        """

    @abstractmethod
    def scoring(self, settings: Evaluate) -> AbstractContextManager[Scoring[P, S]]:
        """Open a scorer of predictors; its worker processes, if any, last as long as the context."""

    @abstractmethod
    def timed(self, predictor: P, datasets: Datasets) -> Timed:
        """Prepare a prediction to be timed, on the first readable sample.

        Raises:
            UserError: no sample can be read.
        """

    @abstractmethod
    def cost(self, network: "Network", card: "Card", datasets: Datasets) -> dict[str, int]:
        """Count 'macs', multiply-accumulates of the timed prediction at the card's input size, and further costs."""

    @abstractmethod
    def panel(self, predictor: P, sample: "Sample", settings: Evaluate, note: str) -> "NDArray[np.uint8]":
        """Draw prediction and truth side by side, above a strip with `note`; uint8 RGB."""

    @abstractmethod
    def tiles(self, sample: "Sample", results: Mapping[str, Path]) -> "list[Tile]":
        """Draw thumbnails of a sample, its truth and results.

        Args:
            results: title -> PNG, as `Scoring.score` kept it or as another method made it.
        """

    def details(self, scores: Mapping[str, S]) -> dict[str, Any]:
        """Return further figures for metrics.json that the tracker does not get; `scores` by dataset."""
        return {}

    def remarks(self, scores: Mapping[str, S]) -> dict[str, Any]:
        """Return further entries for about.json."""
        return {}

    def csv_files(self, scores: Mapping[str, S]) -> dict[str, str]:
        """Return further files of a report: name -> content."""
        return {}

    def diagrams(self, scores: S, folder: Path, dataset: str) -> None:
        """Write further pictures beside the overlays of a dataset."""

    def other_methods(self, settings: Evaluate, samples: "Sequence[Sample]") -> dict[str, Method]:
        """Score methods whose maps were made elsewhere; by name.

        Raises:
            UserError: a folder is missing, or lacks maps.
        """
        return {}
