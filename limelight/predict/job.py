"""A predictor and what is to be made of its predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limelight.foundation.errors import UserError
from limelight.inference.pictures import Picture
from limelight.inference.predictor import Predictor
from limelight.inference.saliency import Prediction
from limelight.inference.segment import Segmentation
from limelight.media.sources import path_text
from limelight.predict.styles import Style, WordStyle

Found = Prediction | Segmentation


@dataclass(frozen=True)
class Job:
    """Pictures in, predictions out, and how to write them.

    Args:
        modality: of the companions; see `Predictor.predict`, as for `batch_size` and `output_processing_res`.
    """

    predictor: Predictor
    style: Style
    modality: str | None = None
    batch_size: int = 8
    output_processing_res: bool = False

    def predict(self, pictures: Sequence[Picture]) -> list[Found]:
        """One prediction per picture, in order.

        Raises:
            UserError: see `Predictor.predict`.
        """
        words = {}
        if isinstance(self.style, WordStyle):
            words = {
                "prompts": self.style.classes,
                "template": self.style.template,
                "background": self.style.background,
            }
        return self.predictor.predict(
            [picture.image_HW3 for picture in pictures],
            [picture.companion_HW for picture in pictures],
            modality=self.modality,
            batch_size=self.batch_size,
            output_processing_res=self.output_processing_res,
            **words,
        )

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
        predictor, sampling = self.predictor, self.predictor.sampling
        sampled = {} if sampling.steps is None else {"sampling": sampling.note}
        resolution = {} if predictor.processing_res is None else {"processing_res": predictor.processing_res}
        return {
            "weights": predictor.card.sha256,
            "size": list(predictor.size),
            "number_format": predictor.number_format,
            **self.style.settings,
            **sampled,
            **resolution,
            **({"vae": path_text(predictor.vae)} if predictor.vae else {}),
            **({"output_processing_res": True} if self.output_processing_res else {}),
        }
