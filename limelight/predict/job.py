"""A predictor and what is to be made of its predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limelight.foundation.errors import UserError
from limelight.inference.pictures import Picture
from limelight.inference.predictor import OpenVocabularyPredictor, SaliencyPredictor
from limelight.inference.saliency import Prediction
from limelight.inference.segment import Segmentation
from limelight.media.sources import path_text
from limelight.predict.styles import Style

Found = Prediction | Segmentation


@dataclass(frozen=True)
class Job:
    """Pictures in, predictions out, and how to write them.

    Args:
        modality: of the companions; see `SaliencyPredictor.predict`, as for `batch_size` and `output_processing_res`.
    """

    predictor: SaliencyPredictor | OpenVocabularyPredictor
    """Of the kind that the style is for."""
    style: Style
    modality: str | None = None
    batch_size: int = 8
    output_processing_res: bool = False

    def predict(self, pictures: Sequence[Picture]) -> list[Found]:
        """One prediction per picture, in order.

        Raises:
            UserError: see `SaliencyPredictor.predict`.
        """
        images, style = [picture.image_HW3 for picture in pictures], self.style
        options = {"batch_size": self.batch_size, "output_processing_res": self.output_processing_res}
        if isinstance(self.predictor, OpenVocabularyPredictor):
            return self.predictor.predict(
                images, style.classes, template=style.template, background=style.background, **options
            )
        companions = [picture.companion_HW for picture in pictures]
        return self.predictor.predict(images, companions, modality=self.modality, **options)

    def predict_each(self, pictures: Sequence[Picture]) -> list[Found | UserError]:
        """The same, with what is wrong in place of a prediction that cannot be made: too little memory, most often."""
        try:
            return self.predict(pictures)
        except UserError as error:
            if len(pictures) == 1:
                return [error]
            return [found for picture in pictures for found in self.predict_each([picture])]

    def record(self) -> dict[str, Any]:
        """What the results depend on besides the pictures, as JSON."""
        plan = self.predictor.plan
        sampled = {} if plan.sampling.steps is None else {"sampling": plan.sampling.note}
        resolution = {} if plan.processing_res is None else {"processing_res": plan.processing_res}
        return {
            "weights": plan.card.provenance.sha256,
            "size": list(plan.fixed or plan.card.prepare.size),
            "number_format": plan.runtime.computed_in(),
            **self.style.settings,
            **sampled,
            **resolution,
            **({"vae": path_text(plan.vae)} if plan.vae else {}),
            **({"output_processing_res": True} if self.output_processing_res else {}),
        }
