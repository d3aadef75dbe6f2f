"""A task: what is scored and how, how it is reported, the rule that chooses its champion, and the service of it.

An object of this kind is light: what computes stands in `limelight.evaluation` and is imported by the methods, so that
a service starts without the packages that metrics need.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from limelight.config import Evaluate, Rule, TaskName
from limelight.evaluation.scored import Datasets, Examples, Method, Scores

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
    """How a figure is shown, and which way is better."""

    label: str
    better: Literal["higher", "lower"] = "higher"

    @property
    def sign(self) -> int:
        """What a value is multiplied by so that sorting puts the best first."""
        return -1 if self.better == "higher" else 1


@dataclass(frozen=True)
class Service:
    """The BentoML service of a task."""

    name: str
    """Of the model and of the bento in BentoML's store; the bentofile uses it too."""
    bentofile: str
    entry: str
    """Its 'module:class' in the code."""
    limits: tuple[str, ...] = ()
    """Fields of `package` in params.yaml that it takes besides those that every service takes."""

    @property
    def bento(self) -> Path:
        """The exported file."""
        return Path("artifacts/bento") / f"{self.name}.bento"


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
        """Score a predictor on one dataset; a sample that fails is left out and named.

        Args:
            keep: results of the ids in it are put into it.
            store: every result is also written to <store>/<sample id>.png.
            companions: False hides depth and thermal pictures from the network.

        Raises:
            UserError: no sample could be scored.
        """


@dataclass(frozen=True)
class Timed:
    """What latencies are measured with."""

    predict: Callable[[], float]
    """Predict once; returns the milliseconds of the network alone."""
    of: str
    """What is predicted, such as 'a picture'."""


class Task(ABC, Generic[P, S]):
    """What networks of one kind are evaluated, compared and served for. P predicts, S are scores of a dataset."""

    name: ClassVar[TaskName]
    title: ClassVar[str]
    """Of its table."""
    note: ClassVar[str]
    """How its figures come to be, below the tables."""
    unit: ClassVar[str] = "picture"
    """What is predicted, scored and timed as one."""
    metrics: ClassVar[Mapping[str, Metric]]
    """In the order of the tables."""
    per_image: ClassVar[tuple[str, ...]]
    """The figures of a single image, in the order of the columns of per_image.csv."""
    ranked_by: ClassVar[tuple[str, ...]]
    """Of `per_image`, those shown with a picture; overlays go from the best to the worst by the first."""
    rule: ClassVar[Rule]
    """How its champion is chosen where `compare` of params.yaml does not say."""
    service: ClassVar[Service]

    @abstractmethod
    def datasets(self, samples: "Sequence[Sample]", card: "Card") -> Datasets:
        """Group the samples that weights of this card can be scored on.

        Raises:
            UserError: none is left.
        """

    @abstractmethod
    def scoring(self, settings: Evaluate) -> AbstractContextManager[Scoring[P, S]]:
        """What scores predictors; worker processes, if it has any, last as long as the context."""

    @abstractmethod
    def timed(self, predictor: P, datasets: Datasets) -> Timed:
        """A prediction to be timed, of the first sample that can be read.

        Raises:
            UserError: none can.
        """

    @abstractmethod
    def cost(self, network: "Network", card: "Card", datasets: Datasets) -> dict[str, int]:
        """'macs', multiply-accumulates of what is timed at the card's input size, and further numbers."""

    @abstractmethod
    def panel(self, predictor: P, sample: "Sample", settings: Evaluate, note: str) -> "NDArray[np.uint8]":
        """What is predicted beside what is true, over a strip with `note`; uint8 RGB."""

    @abstractmethod
    def tiles(self, sample: "Sample", results: Mapping[str, Path]) -> "list[Tile]":
        """Small pictures of a sample, its truth and results.

        Args:
            results: title -> PNG, as `Scoring.score` kept it or as another method made it.
        """

    def details(self, scores: Mapping[str, S]) -> dict[str, Any]:
        """Further figures for metrics.json that the tracker is not sent; `scores` by dataset."""
        return {}

    def remarks(self, scores: Mapping[str, S]) -> dict[str, Any]:
        """Further entries for about.json."""
        return {}

    def csv_files(self, scores: Mapping[str, S]) -> dict[str, str]:
        """Further files of a report: name -> content."""
        return {}

    def diagrams(self, scores: S, folder: Path, dataset: str) -> None:
        """Write further pictures beside the overlays of a dataset."""

    def other_methods(self, settings: Evaluate, samples: "Sequence[Sample]") -> dict[str, Method]:
        """Methods that are compared by maps made elsewhere, by name.

        Raises:
            UserError: a folder is missing, or lacks maps.
        """
        return {}
