"""The form that others are compared with: a network as it was trained, in eager PyTorch."""

from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor

from limelight.inference.backends.pytorch import PyTorchBackend
from limelight.inference.plan import Plan


class UnmergedBackend(PyTorchBackend):
    """Runs the weights as a plain program of the network's authors does: what merging would join is computed branch by
    branch, and tensors are channels first, PyTorch's default."""

    def __init__(self, planned: Plan) -> None:
        super().__init__(planned)
        self.network.to(memory_format=torch.contiguous_format)
        self._forms = ExitStack()
        self._forms.enter_context(self.network.unmerged())

    def _tensor(self, name: str, array: np.ndarray) -> Tensor:
        return super()._tensor(name, array).contiguous()
