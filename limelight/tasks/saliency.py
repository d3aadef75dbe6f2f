"""Saliency: one map per picture that says what stands out in it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from limelight.config import Evaluate, Rule
from limelight.evaluation.scored import Datasets, Method
from limelight.tasks.task import Metric, Scoring, Service, Task, Timed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limelight.data.manifest import Sample
    from limelight.evaluation.metrics import SaliencyScores
    from limelight.evaluation.tiles import Tile
    from limelight.inference.saliency import SaliencyPredictor
    from limelight.models.base import Network
    from limelight.models.card import Card


class Saliency(Task["SaliencyPredictor", "SaliencyScores"]):
    """Scored by the metrics of salient object detection, on 8-bit maps."""

    name = "saliency"
    title = "Saliency"
    note = (
        "Figures of saliency are computed on 8-bit maps at the ground truth's size and equal PySODMetrics'; IoU is "
        "that of the map from 128 on, 1 where map and mask are empty; mBA is the mean accuracy at the boundary; max "
        "and mean are over the thresholds; BIoU is boundary IoU, TIoU that of a thin band about the boundary. ± is "
        "the standard error over the images. Clips count without their first and last frame, figures and errors are "
        "over the clips' means, and dtSSD is how much the error changes from frame to frame."
    )
    metrics: ClassVar[Mapping[str, Metric]] = {
        "Sm": Metric("S"),
        "mae": Metric("MAE", "lower"),
        "adpEm": Metric("adp E"),
        "maxEm": Metric("max E"),
        "avgEm": Metric("mean E"),
        "adpFm": Metric("adp F"),
        "maxFm": Metric("max F"),
        "avgFm": Metric("mean F"),
        "wFm": Metric("wF"),
        "iou": Metric("IoU"),
        "mba": Metric("mBA"),
        "maxIoU": Metric("max IoU"),
        "avgIoU": Metric("mean IoU"),
        "maxBIoU": Metric("max BIoU"),
        "avgBIoU": Metric("mean BIoU"),
        "maxTIoU": Metric("max TIoU"),
        "avgTIoU": Metric("mean TIoU"),
        "adpMSIoU": Metric("adp MSIoU"),
        "maxMSIoU": Metric("max MSIoU"),
        "avgMSIoU": Metric("mean MSIoU"),
        "hce": Metric("HCE", "lower"),
        "dtssd": Metric("dtSSD", "lower"),
    }
    per_image = (
        *("Sm", "mae", "adpEm", "adpFm", "wFm", "iou", "mba", "maxEm", "avgEm", "maxFm", "avgFm"),
        *("maxIoU", "avgIoU", "maxBIoU", "avgBIoU", "maxTIoU", "avgTIoU"),
        *("adpMSIoU", "maxMSIoU", "avgMSIoU", "hce"),
    )
    ranked_by = ("mae", "wFm")
    rule = Rule(metric="wFm")
    service = Service("limelight", "bentofile.yaml", "limelight.services.saliency:Limelight", videos=True)

    def datasets(self, samples: "Sequence[Sample]", card: "Card") -> Datasets:
        from limelight.evaluation.saliency import by_dataset

        return by_dataset(samples, card.architecture.modalities)

    def scoring(self, settings: Evaluate) -> "AbstractContextManager[Scoring[SaliencyPredictor, SaliencyScores]]":
        from limelight.evaluation.saliency import SaliencyScoring

        return SaliencyScoring(settings)

    def timed(self, predictor: "SaliencyPredictor", datasets: Datasets) -> Timed:
        from limelight.evaluation.saliency import timed_prediction

        return Timed(timed_prediction(predictor, datasets), f"a {self.unit}")

    def cost(self, network: "Network", card: "Card", datasets: Datasets) -> dict[str, int]:
        from limelight.models.cost import count_macs

        if network.capabilities.opaque:
            return {}
        return {"macs": count_macs(network, *card.prepare.size, steps=card.use.denoise_steps)}

    def panel(
        self, predictor: "SaliencyPredictor", sample: "Sample", settings: Evaluate, note: str
    ) -> "NDArray[np.uint8]":
        from limelight.evaluation.saliency import panel_of

        return panel_of(predictor, sample, note)

    def tiles(self, sample: "Sample", results: Mapping[str, Path]) -> "list[Tile]":
        from limelight.evaluation.saliency import tiles_of

        return tiles_of(sample, results)

    def remarks(self, scores: "Mapping[str, SaliencyScores]") -> dict[str, Any]:
        return {"undefined": {dataset: dataset_scores.undefined for dataset, dataset_scores in scores.items()}}

    def other_methods(self, settings: Evaluate, samples: "Sequence[Sample]") -> dict[str, Method]:
        from limelight.evaluation.maps import evaluate_maps_folder
        from limelight.evaluation.saliency import by_dataset

        if not settings.maps:
            return {}
        datasets = by_dataset(samples, ["rgb"])
        return {
            name: evaluate_maps_folder(folder, datasets, settings.workers, settings.measures)
            for name, folder in settings.maps.items()
        }


TASK = Saliency()
