"""Large saliency models turned into small, fast, served ones.

from limelight import load
from limelight.imaging.images import read_image

saliency_HW = load().predict([read_image("photo.jpg")])[0].saliency_HW
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from limelight.inference.open_vocabulary import OpenVocabularyPredictor
    from limelight.inference.saliency import SaliencyPredictor

__version__ = "0.1.0"
__all__ = ["load"]


def load(source: "Path | str | None" = None, **options: Any) -> "SaliencyPredictor | OpenVocabularyPredictor":
    """Open a set of weights; see `limelight.inference.loading.load`, which is imported when this is called.

    Args:
        source: a weights folder, or the name of weights that come with the package or are published ('sdnet.duts', see
            `limelight weights`), which the first use fetches. None = this folder's champion of saliency, or
            'limelight-base' where that comes with the package and there is no champion.
        options: fields of `limelight.inference.plan.Request`.
    """
    from limelight.champions.record import champion
    from limelight.deploy.first_use import with_export
    from limelight.inference.loading import load as load_weights
    from limelight.inference.plan import Request

    if source is None:
        source, runtime = champion()
        if not Request(**options).needs_pytorch:
            options.setdefault("runtime", runtime)
    return load_weights(with_export(source, options.get("runtime", "torch")), **options)
