"""Metadata of a network that is known before it is built."""

from dataclasses import dataclass, field
from typing import Any, Literal

PACKAGE = "limelight.models"


@dataclass(frozen=True)
class Entry:
    """One name that `create_model` knows."""

    builder: str
    """'family.module:class' below limelight.models, imported only when the model is built: listing costs no torch."""
    summary: str
    options: dict[str, Any] = field(default_factory=dict)
    input_size: int = 320
    licence: str = "MIT"
    packages: tuple[str, ...] = ()
    """What PyTorch needs besides torch, timm and safetensors to run it."""
    engine: Literal["torch", "onnx"] = "torch"
    """What computes the network itself; one that PyTorch does not compute has neither training nor merged form."""

    @property
    def family(self) -> str:
        """The folder of models/ that it belongs to."""
        return self.builder.partition(".")[0]

    @property
    def importer(self) -> str:
        """Where the family defines how its published files are read, if it does; see `limelight.models.importers`."""
        return f"{PACKAGE}.{self.builder.partition(':')[0].rpartition('.')[0]}.checkpoint"
