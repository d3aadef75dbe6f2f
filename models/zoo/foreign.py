"""ONNX files of other projects."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from limelight.models.zoo.pin import Onnx, Pin

MODULE = "limelight.models.foreign"


def is_supported(pin: Pin) -> bool:
    """Whether the networks of its kind run here."""
    return not isinstance(pin.content, Onnx) or find_spec(MODULE) is not None


def import_foreign(pin: Pin, content: Onnx, file: Path, folder: Path, source: str) -> None:
    """Make an ONNX file a weights folder, used as rembg uses it.

    Raises:
        UserError: the file is damaged or not such a network.
    """
    import_module(MODULE).import_onnx(
        file,
        folder,
        size=content.size,
        mean=content.mean,
        std=content.std,
        sigmoid=content.sigmoid,
        divide_by="maximum",
        filter="lanczos",
        full_contrast=True,
        source=source,
        licence=pin.terms_of_use,
    )
