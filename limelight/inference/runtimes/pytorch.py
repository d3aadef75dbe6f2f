"""PyTorch, eager, channels last: the one runtime for words and for sampling."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limelight.foundation.errors import UserError
from limelight.inference.memory import forward_bytes
from limelight.inference.preprocess import Inputs
from limelight.inference.runtimes import Maps
from limelight.inference.sampling import ONE_STEP, Sampling
from limelight.inference.shortage import told_in_a_line
from limelight.models.weights import load_weights

_COPIES = 3
"""Of a map: in its chunk, among the others, and as a probability."""


class PyTorchRuntime:
    """Runs the network that a weights folder holds.

    Args:
        bf16: half precision for weights and activations; the sigmoid is computed in float32.
        device: 'cpu' or 'cuda'.
        threads: of this process's PyTorch while a call runs; None keeps what is set.
        sampling: how a network that samples is to do so.
        vae: see `MaskDenoiser.take_autoencoder`.

    Raises:
        UserError: there is no GPU, or the network cannot sample, or not in so many steps, or has no such autoencoder.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        bf16: bool = False,
        device: str = "cpu",
        threads: int | None = None,
        sampling: Sampling = ONE_STEP,
        vae: Path | None = None,
    ) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device 'cuda' was asked for, but PyTorch finds no CUDA GPU; use 'auto' or 'cpu'")
        self.takes = (None, None)
        self.sampling, self.vae = sampling, vae
        self.device, self.dtype = device, torch.bfloat16 if bf16 else torch.float32
        with told_in_a_line():
            self.network, self.card = load_weights(folder)
            _check_sampling(self.network, self.card.model, sampling)
            if vae is not None:
                if not self.network.capabilities.sampling:
                    raise UserError(f"{self.card.model} has no autoencoder to replace; leave out {vae}")
                self.network.take_autoencoder(vae)
            self.network.to(device=device, dtype=self.dtype, memory_format=torch.channels_last)
        self._threads = threads

    def __call__(self, inputs: Inputs) -> np.ndarray:
        return self.draw(inputs).probability_BKhw

    def draw(self, inputs: Inputs, texts: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> Maps:
        """Run a batch, with whatever this network can do.

        Args:
            texts: what each map is to show, for a network of prompts.
            seeds: one per image, for sampling.

        Raises:
            UserError: a text is too long, or memory runs out.
        """
        with self._computing(), told_in_a_line():
            second = self._seconds(inputs) if texts is None else (self.network.encode_prompts(texts),)
            # Channels last is worth a factor of two on CPUs.
            image = torch.from_numpy(inputs.image_B3HW)
            image = image.to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)
            probability, uncertainty = self.compute(image, *second, sampling=self.sampling, seeds=seeds)
            return Maps(probability.cpu().numpy(), None if uncertainty is None else uncertainty.cpu().numpy())

    def compute(
        self, *inputs: Tensor, sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The tensors of `draw`, from tensors on the network's device."""
        if sampling.steps is None:
            return self.network(*inputs)[0].float().sigmoid(), None
        asked: dict[str, Any] = {"steps": sampling.steps, "ensemble_size": sampling.ensemble_size}
        return self.network.denoise(*inputs, seeds=seeds, **asked)

    def picture_bytes(self, size: tuple[int, int], prompts: int, companion: bool = False) -> int:
        """What one picture of this (height, width) takes beside the weights; see `forward_bytes`.

        Args:
            prompts: classes asked for; 0 of a network that takes no words.
            companion: whether it has one, which takes a part of the network that pictures alone do without.
        """
        members = self.sampling.ensemble_size
        maps = max(1, prompts) * members
        # Maps are drawn in chunks, so that the rest of them adds only what becomes of them.
        drawn = min(maps, self.network.rows_at_once) if maps > 1 else 1
        # Further steps take the memory of the first, and members that of prompts.
        sampling = ONE_STEP if self.sampling.steps is None else Sampling(1, 1 if prompts else drawn)
        wide = self.network.encode_prompts(["a"]).shape[1:] if prompts else ()

        def compute() -> Any:
            make = partial(torch.empty, device=self.device, dtype=self.dtype)
            second = ()
            if prompts:
                second = (torch.empty(drawn, *wide, device=self.device),)
            elif companion:
                second = (make(1, 1, *size), torch.ones(1, dtype=torch.long, device=self.device))
            return self.compute(make(1, 3, *size), *second, sampling=sampling)

        kept = _COPIES * 4 * (maps - drawn) * size[0] * size[1] * min(2, members)
        return forward_bytes(self.network, compute) + kept

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raises a UserError where one is too long; `draw` then finds them encoded."""
        with self._computing():
            self.network.encode_prompts(texts)

    def _seconds(self, inputs: Inputs) -> tuple[Tensor, ...]:
        _, companion_B1HW, modality_B = inputs
        # Where no picture has a companion, the network need not look at zeros in its place.
        if not self.card.companions or companion_B1HW is None or not modality_B.any():
            return ()
        companion = torch.from_numpy(companion_B1HW).to(device=self.device, dtype=self.dtype)
        return companion, torch.from_numpy(modality_B).to(self.device)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        before = torch.get_num_threads()
        try:
            if self._threads:
                torch.set_num_threads(self._threads)
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(before)


def _check_sampling(network: Any, model: str, sampling: Sampling) -> None:
    if sampling.steps is None:
        return
    if not network.capabilities.sampling:
        raise UserError(f"{model} does not sample: it has no denoising steps and no ensembles; leave them out")
    from limelight.models.diffusion.sampling import check_steps

    check_steps(network.scheduler, sampling.steps)
