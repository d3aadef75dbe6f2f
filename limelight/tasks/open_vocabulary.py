"""Open-vocabulary segmentation: for every pixel the most probable of the classes that text prompts name."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from limelight.config import Evaluate, Rule
from limelight.evaluation.scored import Datasets
from limelight.tasks.task import Metric, Scoring, Service, Task, Timed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limelight.data.manifest import Sample
    from limelight.evaluation.open_vocabulary import ClassScores
    from limelight.evaluation.tiles import Tile
    from limelight.inference.open_vocabulary import OpenVocabularyPredictor
    from limelight.models.base import Network
    from limelight.models.card import Card


class OpenVocabulary(Task["OpenVocabularyPredictor", "ClassScores"]):
    """Scored by class confusion matrices, summed over whole datasets."""

    name = "open-vocabulary"
    title = "Open-vocabulary segmentation"
    note = (
        "Figures of open-vocabulary segmentation follow from the confusions of a whole dataset at its images' sizes; ± "
        "is their standard error over the images, by the jackknife. Latencies are those of all classes of a dataset."
    )
    metrics: ClassVar[Mapping[str, Metric]] = {
        "mIoU": Metric("mIoU"),
        "mIoU_background": Metric("with background"),
        "mIoU_seen": Metric("mIoU seen"),
        "mIoU_unseen": Metric("mIoU unseen"),
        "pixel_accuracy": Metric("pixel acc."),
        "mean_accuracy": Metric("mean acc."),
    }
    per_image = ("mIoU", "pixel_accuracy")
    ranked_by = ("mIoU",)
    rule = Rule(metric="mIoU")
    service = Service(
        "open-vocabulary",
        "bentofile.open-vocabulary.yaml",
        "limelight.services.open_vocabulary:OpenVocabulary",
        limits=("max_classes",),
    )

    def datasets(self, samples: "Sequence[Sample]", card: "Card") -> Datasets:
        from limelight.evaluation.open_vocabulary import by_dataset

        return by_dataset(samples)

    def scoring(self, settings: Evaluate) -> "AbstractContextManager[Scoring[OpenVocabularyPredictor, ClassScores]]":
        from limelight.evaluation.open_vocabulary import ClassScoring

        return nullcontext(ClassScoring(settings.background))

    def timed(self, predictor: "OpenVocabularyPredictor", datasets: Datasets) -> Timed:
        from limelight.evaluation.open_vocabulary import classes_timed, timed_prediction

        names = classes_timed(datasets)
        return Timed(timed_prediction(predictor, datasets, names), f"a {self.unit} and {len(names)} classes")

    def cost(self, network: "Network", card: "Card", datasets: Datasets) -> dict[str, int]:
        """Count costs for all classes of the first dataset ('prompts' in number), and for one ('macs_of_one')."""
        from limelight.evaluation.open_vocabulary import classes_timed
        from limelight.models.cost import count_macs

        size, steps, prompts = card.prepare.size, card.use.denoise_steps, len(classes_timed(datasets))
        return {
            "macs": count_macs(network, *size, prompts=prompts, steps=steps),
            "macs_of_one": count_macs(network, *size, steps=steps),
            "prompts": prompts,
        }

    def panel(
        self, predictor: "OpenVocabularyPredictor", sample: "Sample", settings: Evaluate, note: str
    ) -> "NDArray[np.uint8]":
        from limelight.evaluation.open_vocabulary import panel_of

        return panel_of(predictor, sample, settings.background, note)

    def tiles(self, sample: "Sample", results: Mapping[str, Path]) -> "list[Tile]":
        from limelight.evaluation.open_vocabulary import tiles_of

        return tiles_of(sample, results)

    def details(self, scores: "Mapping[str, ClassScores]") -> dict[str, Any]:
        return {"iou": {dataset: dataset_scores.iou for dataset, dataset_scores in scores.items()}}

    def remarks(self, scores: "Mapping[str, ClassScores]") -> dict[str, Any]:
        """List the classes that training did not name, for datasets where that is known."""
        return {
            "unseen": {
                name: dataset_scores.unseen
                for name, dataset_scores in scores.items()
                if dataset_scores.trained is not None
            }
        }

    def csv_files(self, scores: "Mapping[str, ClassScores]") -> dict[str, str]:
        from limelight.evaluation.open_vocabulary import per_class_csv

        return {"per_class.csv": per_class_csv(scores)}

    def diagrams(self, scores: "ClassScores", folder: Path, dataset: str) -> None:
        from limelight.evaluation.open_vocabulary import draw_confusion

        draw_confusion(scores, folder, dataset)


TASK = OpenVocabulary()
