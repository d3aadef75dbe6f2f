"""A network that ONNX Runtime computes, behind the interface of the others."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.models.base import Capabilities, Network
from limelight.models.foreign.graph import standardise
from limelight.models.foreign.session import compute, open_session
from limelight.models.inputs import Size

FILE = "model.onnx"


class OnnxNetwork(Network):
    """Computes the maps of an ONNX file, on the CPU and without gradients; a teacher and a model like any other.

    Args:
        input: name of the file's input, float32 (B, 3, H, W).
        output: name of the output that holds the map, (B, C, h, w) or (B, h, w); of several channels the first.
        logits: the map comes before its sigmoid.
        size: the only (height, width) that the file takes; None = any.
        parameters: numbers in its weights.
        rank: dimensions of the output, 3 or 4; None = as ONNX Runtime infers it.
        assets: the folder that holds the file.

    Raises:
        UserError: there is no such file, or ONNX Runtime cannot run it.
    """

    capabilities = Capabilities(objectives=(), opaque=True)

    def __init__(
        self,
        input: str,
        output: str,
        logits: bool = False,
        size: Size | None = None,
        parameters: int = 0,
        rank: int | None = None,
        assets: Path | None = None,
    ) -> None:
        super().__init__()
        if assets is None:
            raise UserError("a network of another project is made from its file: limelight import file.onnx")
        self.path = Path(assets) / FILE
        self.input, self.output, self.as_logits, self.parameters_in_file = input, output, logits, parameters
        self.rank = rank
        self.capabilities = replace(type(self).capabilities, size=None if size is None else (size[0], size[1]))
        # The weights are in the file: its hash makes model.safetensors, by which weights are known, a different one.
        self.register_buffer(
            "file_sha256", torch.tensor(list(bytes.fromhex(sha256_file(self.path))), dtype=torch.uint8)
        )
        self._session: Any = None
        self._threads = 0

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        """Logits at the file's own output size; probabilities of 0 and 1 become large finite logits."""
        maps_B1hw = self._run(image_B3HW)
        return [maps_B1hw if self.as_logits else maps_B1hw.clamp(0, 1).logit(eps=1e-6)]

    def maps(self, given: Mapping[str, Tensor | None]) -> Tensor:
        image_B3HW = given["image"]
        assert image_B3HW is not None
        maps_B1hw = self._run(image_B3HW)
        return maps_B1hw.sigmoid() if self.as_logits else maps_B1hw.clamp(0, 1)

    def _run(self, image_B3HW: Tensor) -> Tensor:
        """float32 (B, 1, h, w). Row by row: a file may be made for a batch of one, and large pictures take memory."""
        if image_B3HW.dtype != torch.float32:
            raise UserError("an ONNX file computes in its own number format; export it to openvino-bf16 for another")
        side = self.capabilities.size
        if side and tuple(image_B3HW.shape[2:]) != side:
            height, width = image_B3HW.shape[2:]
            raise UserError(f"this network takes pictures of {side[0]}x{side[1]} alone, got {height}x{width}")
        session = self._opened()
        rows = image_B3HW.detach().cpu().contiguous().numpy()
        results = [compute(session, self.output, {self.input: row[None]}, self.path.parent.parent) for row in rows]
        return torch.from_numpy(np.concatenate([_single_map(result) for result in results])).to(image_B3HW.device)

    def _opened(self) -> Any:
        """The session, with as many threads as PyTorch has now."""
        if self._session is None or self._threads != torch.get_num_threads():
            self._threads = torch.get_num_threads()
            self._session = open_session(self.path, self._threads)
        return self._session

    def count_parameters(self) -> int:
        return self.parameters_in_file

    def write_onnx(self, path: Path) -> None:
        rank = self.rank or len(next(each for each in self._opened().get_outputs() if each.name == self.output).shape)
        if rank not in (3, 4):  # of weights that an earlier version imported
            raise UserError(f"{self.path} does not say the shape of {self.output!r}; import the .onnx file again")
        standardise(self.path, path, input=self.input, output=self.output, rank=rank, logits=self.as_logits)

    def write_assets(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.path, folder / FILE)

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxNetwork":
        return type(self)(**self.build_options, assets=self.path.parent)


def _single_map(result: np.ndarray) -> np.ndarray:
    """float32 (1, 1, h, w) of an output (1, C, h, w) or (1, h, w)."""
    map_hw = result[0, 0] if result.ndim == 4 else result[0]
    return np.ascontiguousarray(map_hw, np.float32)[None, None]
