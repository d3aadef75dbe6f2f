"""ONNX files of other projects."""

from dataclasses import replace
from pathlib import Path

from limelight.models.zoo.pin import Onnx, Pin


def import_foreign(pin: Pin, content: Onnx, file: Path, folder: Path, source: str) -> None:
    """Make an ONNX file a weights folder, used as rembg uses it.

    Raises:
        UserError: the file is damaged or not such a network, or a package that runs it is missing.
    """
    from limelight.models.foreign.onnx_file import REMBG, import_onnx

    size, mean, std = (content.size, content.size), content.mean, content.std
    preparation = replace(REMBG, size=size, mean=mean, std=std, logits=content.logits)
    import_onnx(file, folder, preparation, source=source, licence=pin.terms_of_use)
