"""PyTorch, eager, channels last: the only backend for text prompts and for sampling."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limelight.foundation.errors import UserError, raising_shortage
from limelight.imaging.feeds import Feeds
from limelight.inference.backends.backend import MAX_BATCH_SIZE, Maps, Sides
from limelight.inference.backends.budget import ExtraInputs, fitting_batch_size
from limelight.inference.backends.memory import forward_bytes
from limelight.inference.plan import Plan
from limelight.inference.sampling import ONE_STEP, Sampling
from limelight.models.examples import example
from limelight.models.inputs import Size
from limelight.models.weights import load_weights

_COPIES = 3
"""Copies of each map held at the peak: in its chunk, among all maps, and as a probability."""


class PyTorchBackend:
    """Runs the network in a weights folder.

    In half precision weights and activations are bf16; the sigmoid is computed in float32.

    Raises:
        UserError: there is no GPU, or the network cannot sample, not in so many steps, or not with this autoencoder.
    """

    takes: Sides = (None, None)
    concurrent = False  # memory is measured on the network itself, and PyTorch's threads are process-wide

    def __init__(self, planned: Plan) -> None:
        if planned.device == "cuda" and not torch.cuda.is_available():
            raise UserError("device 'cuda' was asked for, but PyTorch finds no CUDA GPU; use 'auto' or 'cpu'")
        self.planned = planned
        self.dtype = torch.bfloat16 if planned.runtime.number_format == "bf16" else torch.float32
        with raising_shortage():
            self.network, self.card = load_weights(planned.folder)
            if planned.sampling.steps is not None:
                self.network.check_steps(planned.sampling.steps)
            if planned.request.vae is not None:
                self.network.take_autoencoder(planned.request.vae)
            self.network.to(device=planned.device, dtype=self.dtype)
            self.network.to(memory_format=torch.channels_last)
        self.streams, self.windows = self.network.capabilities.stream, self.network.capabilities.windows

    def run(self, feeds: Feeds, seeds: Sequence[int] | None = None) -> Maps:
        with self._computing(), raising_shortage():
            given = {name: self._tensor(name, array) for name, array in feeds.items()}
            probability, uncertainty = self.compute(given, self.planned.sampling, seeds)
            return Maps(probability.cpu().numpy(), None if uncertainty is None else uncertainty.cpu().numpy())

    def compute(
        self, given: Mapping[str, Tensor], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Do what `run` does, from and to tensors on the network's device."""
        if sampling.steps is None:
            return self.network.maps(given), None
        return self.network.draw(given, steps=sampling.steps, ensemble_size=sampling.ensemble_size, seeds=seeds)

    def step(self, image_13HW: np.ndarray, state: Any) -> tuple[Maps, Any]:
        with self._computing(), raising_shortage():
            logits, after = self.network.step(self._tensor("image", image_13HW), state)
            return Maps(logits.float().sigmoid().cpu().numpy()), after

    def encode(self, image_13HW: np.ndarray) -> Any:
        with self._computing(), raising_shortage():
            return self.network.encode_frame(self._tensor("image", image_13HW))

    def decode(self, window: Sequence[Any], place: int, size: Size) -> Maps:
        with self._computing(), raising_shortage():
            logits_B1HW = self.network.decode_frame(window, place, size)
            return Maps(logits_B1HW.float().sigmoid().cpu().numpy())

    def encode_prompts(self, texts: Sequence[str]) -> np.ndarray:
        with self._computing(), raising_shortage("name fewer classes, or use --half-precision"):
            return self.network.encode_prompts(texts).cpu().numpy()

    def choose_batch_size(self, batch_size: int, size: Size, *, prompts: int, companion: bool, option: str) -> int:
        # Published weights may have batch norms that make pictures of one batch depend on each other.
        most = (batch_size or MAX_BATCH_SIZE) if self.card.use.independent else 1
        # Only diffusion networks need so much memory that a picture may not fit; for the others, skip the measurement.
        if batch_size and not self.network.capabilities.sample:
            return most
        return fitting_batch_size(self, size, ExtraInputs(prompts, companion), most, option)

    def picture_bytes(self, size: Size, prompts: int, companion: bool = False) -> int:
        """Estimate the bytes that one picture of this (height, width) needs besides the weights; see `forward_bytes`.

        Args:
            prompts: number of prompts; 0 for a network without prompts.
            companion: whether the picture has one, which uses a part of the network that is idle otherwise.
        """
        sampling_plan = self.planned.sampling
        maps = max(1, prompts) * sampling_plan.ensemble_size
        # Maps are computed in chunks: the remaining maps only add their results.
        drawn = min(maps, self.network.rows_per_chunk or maps) if maps > 1 else 1
        # Further steps reuse the memory of the first, and ensemble members that of the prompts.
        sampling = ONE_STEP if sampling_plan.steps is None else Sampling(1, 1 if prompts else drawn)
        prompt_KTC = self.network.encode_prompts(["a"])[:1] if prompts else None

        def compute() -> Any:
            given = example(
                self.network,
                1,
                size,
                companions=companion,
                prompts=None,
                device=self.planned.device,
                dtype=self.dtype,
            )
            if prompt_KTC is not None:
                shape = (drawn, *prompt_KTC.shape[1:])
                given["prompt"] = torch.empty(shape, device=self.planned.device)
            return self.compute(given, sampling)

        kept = _COPIES * 4 * (maps - drawn) * size[0] * size[1] * min(2, sampling_plan.ensemble_size)
        return forward_bytes(self.network, compute) + kept

    def _tensor(self, name: str, array: np.ndarray) -> Tensor:
        """Move to the network's device; pictures in its number format, channels last (twice as fast on CPUs)."""
        tensor, device = torch.from_numpy(array), self.planned.device
        if name == "prompt" or not tensor.is_floating_point():
            return tensor.to(device)
        layout = torch.channels_last if tensor.ndim == 4 and tensor.shape[1] > 1 else torch.preserve_format
        return tensor.to(device=device, dtype=self.dtype, memory_format=layout)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        before = torch.get_num_threads()
        try:
            if self.planned.request.threads:
                torch.set_num_threads(self.planned.request.threads)
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(before)
