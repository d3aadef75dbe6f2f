"""Large saliency models turned into small, fast, served ones.

from limelight import load

saliency_HW = load("limelight-base").predict(["photo.jpg"])[0].saliency_HW
"""

from typing import TYPE_CHECKING, Any, cast

from limelight.foundation.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from limelight.inference.open_vocabulary import OpenVocabularyPredictor
    from limelight.inference.saliency import SaliencyPredictor

__all__ = ["__version__", "cut_out", "load"]


def load(source: "Path | str | None" = None, **options: Any) -> "SaliencyPredictor | OpenVocabularyPredictor":
    """Open a set of weights; see `limelight.inference.loading.load`, which is imported when this is called.

    Args:
        source: a weights folder, or the name of weights that come with the package or are published ('sdnet.duts', see
            `limelight weights`), which the first use fetches. None = this folder's champion of saliency, or
            'limelight-base' where that comes with the package and there is no champion.
        options: fields of `limelight.inference.plan.Request`.
    """
    from limelight.inference.loading import load as load_weights
    from limelight.inference.loading import request_of
    from limelight.predict.weights import choose_weights

    return load_weights(*choose_weights(source, request_of(options), runtime_is_open="runtime" not in options))


def cut_out(picture: "Path | str | bytes", predictor: "SaliencyPredictor | None" = None) -> "np.ndarray":
    """The object of a picture alone, as `limelight predict --kind rgba` writes it: uint8 HxWx4, R, G, B and alpha.

    Args:
        picture: a file, or its bytes.
        predictor: what `load` returned; None = `load()`, each time anew.

    Raises:
        UserError: it cannot be read, or is too large for the memory.
    """
    from limelight.imaging.images import read_photo
    from limelight.media.outputs import output

    photo = read_photo(picture)
    predictor = predictor or cast("SaliencyPredictor", load())
    (found,) = predictor.predict([photo.image_HW3])
    return output("rgba").render(photo.image_HW3, found.saliency_HW, photo.transparency)
