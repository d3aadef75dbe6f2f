"""The predictor of classes that text prompts name."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from limelight.inference.predictor import Predictor
from limelight.inference.segment import BACKGROUND, Segmentation, segmentation
from limelight.models.class_names import checked_classes, in_template


class OpenVocabularyPredictor(Predictor[Segmentation]):
    """Segments the classes that text prompts name.

    Example:
        predictor = load("artifacts/words")
        result = predictor.predict([read_image("photo.jpg")], ["cat", "armchair"])[0]
        result.labels_HW, result.probability_HW("cat")
    """

    def predict(
        self,
        images: Sequence[np.ndarray],
        classes: Sequence[str],
        *,
        template: str | None = None,
        background: float = BACKGROUND,
        batch_size: int = 8,
        output_processing_res: bool = False,
    ) -> list[Segmentation]:
        """Segment the classes in each picture. No class's map depends on the other classes or pictures.

        Args:
            images, batch_size, output_processing_res: as in `SaliencyPredictor.predict`.
            classes: their names, in any language and number.
            template: see `prompts_for`.
            background: see `limelight.inference.segment.most_probable`.

        Returns:
            One segmentation per picture, in order.

        Raises:
            UserError: an image is not a uint8 HxWx3 array; see also `prompts_for`.
            Shortage: one picture does not fit in memory.
        """
        names = checked_classes(classes)
        prompts = self.prompts_for(names, template)
        finish = partial(segmentation, classes=names, background=background)
        return self._predict(
            images,
            None,
            None,
            prompts,
            finish,
            batch_size=batch_size,
            output_processing_res=output_processing_res,
        )

    def measure(self, classes: int) -> None:
        """Measure the memory that a picture of the network's own size needs with this many classes.

        That takes seconds at full size. Predictions of one picture at a time with fewer classes need no measurement of
        their own then, where these fit.

        Raises:
            Shortage: such a picture does not fit in memory.
        """
        with self._turn:
            self._choose_batch_size(1, self._size_of(self.card.prepare.size), classes, companion=False)

    def prompts_for(self, classes: Sequence[str], template: str | None = None) -> list[str]:
        """Build the network's prompts from class names, and check that the network accepts them.

        Args:
            classes: names of classes.
            template: with {} for the class name; '{}' for classes that are whole sentences; None = as in training.

        Raises:
            UserError: a class is empty, too long or given twice, or the template has no {}.
        """
        prompts = in_template(checked_classes(classes), self.card.use.template if template is None else template)
        with self._turn:
            self._backend.encode_prompts(prompts)
        return prompts
