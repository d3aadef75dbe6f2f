"""PyTorch, eager, channels last."""

from pathlib import Path

import numpy as np
import torch

from models.errors import UserError
from models.weights import load_weights


class PyTorchRuntime:
    """Runs the network that a weights folder holds.

    Args:
        bf16: half precision for weights and activations; the sigmoid is computed in float32.
        device: 'cpu' or 'cuda'.
        threads: of this process's PyTorch while a call runs; None keeps what is set.
    """

    def __init__(self, folder: Path | str, *, bf16: bool = False, device: str = "cpu", threads: int | None = None):
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device 'cuda' was asked for, but PyTorch finds no CUDA GPU; use 'auto' or 'cpu'")
        self._model, card = load_weights(folder)
        self._dtype = torch.bfloat16 if bf16 else torch.float32
        self._model.to(device=device, dtype=self._dtype, memory_format=torch.channels_last)
        self._takes_companions = bool(card.companions)
        self._device = device
        self._threads = threads

    @torch.inference_mode()
    def __call__(
        self,
        image_B3HW: np.ndarray,
        companion_B1HW: np.ndarray | None = None,
        modality_B: np.ndarray | None = None,
    ) -> np.ndarray:
        before = torch.get_num_threads()
        try:
            if self._threads:
                torch.set_num_threads(self._threads)
            image = torch.from_numpy(image_B3HW)
            # Channels last is worth a factor of two on CPUs.
            image = image.to(device=self._device, dtype=self._dtype, memory_format=torch.channels_last)
            seconds = ()
            if self._takes_companions and companion_B1HW is not None:
                seconds = [torch.from_numpy(part).to(self._device) for part in (companion_B1HW, modality_B)]
            return self._model(image, *seconds)[0].float().sigmoid().cpu().numpy()
        finally:
            torch.set_num_threads(before)
