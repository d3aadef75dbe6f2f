"""Runtimes: an engine and a number format, under names such as 'torch' and 'openvino-int8'."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from limelight.foundation.close_names import close_names
from limelight.foundation.errors import UserError

Engine = Literal["torch", "onnx", "openvino"]
NumberFormat = Literal["fp32", "bf16", "int8"]
_PACKAGES: dict[Engine, str] = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
_FILES: dict[Engine, str] = {"torch": "model.safetensors", "onnx": "model.onnx", "openvino": "model.xml"}
STEP, NEXT = "step", "next_"
"""Name of an exported step's file; its outputs of state are called as its inputs, after this prefix."""


@dataclass(frozen=True)
class Runtime:
    """An inference engine with a number format."""

    engine: Engine
    number_format: NumberFormat

    @property
    def name(self) -> str:
        return "torch" if self == TORCH else f"{self.engine}-{self.number_format}"

    @property
    def exported(self) -> bool:
        """Whether it runs a file from `<folder>/exports/`; PyTorch runs `model.safetensors`."""
        return self.engine != "torch"

    @property
    def package(self) -> str:
        """The Python package that it requires."""
        return _PACKAGES[self.engine]

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.package) is not None

    @property
    def export_name(self) -> str:
        """Its folder below exports/. 'openvino-bf16' uses the fp32 file, which OpenVINO rounds to bf16 on compiling."""
        return "openvino-fp32" if self.name == "openvino-bf16" else self.name

    def file(self, folder: Path | str) -> Path:
        """Return the file that it reads from a weights folder; an OpenVINO .xml has its .bin beside it."""
        place = Path(folder) / "exports" / self.export_name if self.exported else Path(folder)
        return place / _FILES[self.engine]

    def step_file(self, folder: Path | str) -> Path:
        """Return the file of an exported network's step, beside `file`; causal networks have one in full precision."""
        file = self.file(folder)
        return file.with_name(f"{STEP}{file.suffix}")

    def step_files(self, folder: Path | str) -> list[Path]:
        """List the files of an exported network's step; OpenVINO's and large ONNX files are in two parts."""
        file = self.step_file(folder)
        return [path for path in file.parent.iterdir() if path.name.startswith(f"{STEP}.")]

    def size_bytes(self, folder: Path | str) -> int:
        """Return the total size of the files that it reads."""
        file = self.file(folder)
        return sum(path.stat().st_size for path in (file.parent.iterdir() if self.exported else [file]))

    def computed_in(self) -> NumberFormat:
        """The actual number format on this machine: OpenVINO uses fp32 where the CPU has no bf16."""
        if self.name == "openvino-bf16" and not openvino_has_bf16():
            return "fp32"
        return self.number_format

    def in_half_precision(self) -> "Runtime":
        """Return the same engine in bf16.

        Raises:
            UserError: it has no bf16 variant.
        """
        half = Runtime(self.engine, "bf16")
        if self.number_format == "int8":
            raise UserError(f"runtime {self.name!r} computes in 8 bits; leave it or the half precision out")
        if half not in RUNTIMES.values():
            raise UserError(
                f"runtime {self.name!r} has no half precision; use torch-bf16 or openvino-bf16, or leave it out"
            )
        return half


def openvino_has_bf16() -> bool:
    """Whether the CPU has bf16 instructions. Asked for bf16 on one that has AVX-512 alone, OpenVINO emulates it, which
    rounds and is several times slower than fp32."""
    from limelight.inference.openvino_core import CORE

    return "BF16" in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


TORCH = Runtime("torch", "fp32")
RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        TORCH,
        Runtime("torch", "bf16"),
        Runtime("onnx", "fp32"),
        Runtime("onnx", "int8"),
        Runtime("openvino", "fp32"),
        Runtime("openvino", "bf16"),
        Runtime("openvino", "int8"),
    )
}
EXPORTED = tuple(name for name, runtime in RUNTIMES.items() if runtime.exported)


def parse(name: str) -> Runtime:
    """Look up a runtime by name.

    Raises:
        UserError: there is no such runtime.
    """
    if name not in RUNTIMES:
        known = ["auto", *RUNTIMES]
        close = close_names(name, known)
        meant = f"did you mean {' or '.join(close)}? Else " if close else ""
        raise UserError(f"unknown runtime {name!r}; {meant}choose one of: {', '.join(known)}")
    return RUNTIMES[name]


def runtimes_of(folder: Path | str) -> list[Runtime]:
    """List PyTorch, then the runtimes that a weights folder has an export for."""
    return [TORCH, *(runtime for runtime in RUNTIMES.values() if runtime.exported and runtime.file(folder).is_file())]
