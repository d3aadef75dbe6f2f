"""How pictures are predicted: a predictor, its settings and the style of its results; and what results depend on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limelight.foundation.errors import UserError
from limelight.imaging.images import Picture
from limelight.inference.open_vocabulary import OpenVocabularyPredictor
from limelight.inference.plan import Plan
from limelight.inference.saliency import SaliencyPredictor
from limelight.media.sources import path_text
from limelight.predict.styles import LabelStyle, Result, Style


@dataclass(frozen=True)
class PictureJob:
    """A predictor with its settings and the style of its results.

    Args:
        modality: the companions'; see `SaliencyPredictor.predict`, as for `batch_size` and `output_processing_res`.
    """

    predictor: SaliencyPredictor | OpenVocabularyPredictor
    """Of the kind that the style requires."""
    style: Style
    modality: str | None = None
    batch_size: int = 8
    output_processing_res: bool = False

    def predict(self, pictures: Sequence[Picture]) -> Sequence[Result]:
        """Return one prediction per picture, in order.

        Raises:
            UserError: see `SaliencyPredictor.predict`.
        """
        images, style = [picture.photo.image_HW3 for picture in pictures], self.style
        if isinstance(self.predictor, OpenVocabularyPredictor):
            assert isinstance(style, LabelStyle), "see predictor"
            return self.predictor.predict(
                images,
                style.classes,
                template=style.template,
                background=style.background,
                batch_size=self.batch_size,
                output_processing_res=self.output_processing_res,
            )
        companions = [picture.companion_HW for picture in pictures]
        return self.predictor.predict(
            images,
            companions,
            modality=self.modality,
            batch_size=self.batch_size,
            output_processing_res=self.output_processing_res,
        )

    def predict_each(self, pictures: Sequence[Picture]) -> Sequence[Result | UserError]:
        """Predict like `predict`, but with an error in place of each failed prediction: mostly too little memory."""
        try:
            return self.predict(pictures)
        except UserError as error:
            if len(pictures) == 1:
                return [error]
            return [prediction for picture in pictures for prediction in self.predict_each([picture])]

    def record(self) -> dict[str, Any]:
        """The settings that the results depend on besides the pictures, as JSON."""
        own_size = {"output_processing_res": True} if self.output_processing_res else {}
        return settings_of(self.predictor.plan, self.style) | own_size


def settings_of(plan: Plan, style: Style) -> dict[str, Any]:
    """What results depend on besides their pictures, or their clip, as JSON."""
    prepare, runtime = plan.card.prepare, plan.runtime
    chosen = {
        "sampling": plan.sampling.note if plan.sampling.steps is not None else None,
        "processing_res": plan.request.processing_res,
        "policy": prepare.policy if prepare.policy != "stretch" else None,
        "calibrated": plan.card.finish.temperature if plan.request.calibrated else None,
        "high_resolution": plan.request.high_resolution or None,
        "guided": plan.card.finish.guided_radius or None,
        "flip": plan.request.flip or None,
        "vae": path_text(plan.request.vae) if plan.request.vae else None,
    }
    return {
        # Not of their export: results may be begun before there is one, and finished after.
        "weights": plan.card.provenance.lineage,
        "size": list(plan.fixed or prepare.size),
        # What is in 8 bits, and with which ranges, is each engine's own.
        "number_format": runtime.name if runtime.number_format == "int8" else runtime.computed_in(),
        **style.settings,
        **{name: value for name, value in chosen.items() if value is not None},
    }
