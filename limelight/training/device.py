"""Device, precision and determinism of a training."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed

from limelight.config import Run
from limelight.foundation.errors import UserError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of <malloc.h>


def make_accelerator(device: str, precision: str) -> Accelerator:
    """Set up device, autocast and, under torchrun, the process group.

    Args:
        device: 'cpu', 'cuda', or 'auto' for a GPU where there is one.
        precision: 'fp32' or 'bf16' (autocast; the weights stay float32).

    Raises:
        UserError: 'cuda' where there is no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device is 'cuda', but PyTorch sees no GPU here; set device to 'auto' or 'cpu'")
    # Accelerate keeps its settings for the life of the process; two trainings in one process may differ in theirs.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    return Accelerator(cpu=on_cpu, mixed_precision="bf16" if precision == "bf16" else "no")


def keep_freed_memory() -> None:
    """Let the C library keep the memory that tensors free, on Linux.

    Every step of a training on the CPU takes and frees the same large blocks. By default glibc gives each back to the
    system, which clears it page by page when it is taken again. `benchmarks/kept_memory.py` measures what that costs.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has none
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Within the block, use only CPU kernels that add in a fixed order; warn once if an operation has none.

    That costs nothing on the CPU. On a GPU the gradient of bilinear upsampling has no such kernel: seeds, data and
    state are exact there too, but the last bits of a sum are not, with or without an interruption.
    """
    before = torch.get_deterministic_debug_mode()
    if device.type == "cpu":
        torch.set_deterministic_debug_mode(
            "warn"
        )  # use_deterministic_algorithms would import the compiler, for seconds
        # A debugging aid that writes new tensors twice; torch sets the attribute dynamically, unseen by type checkers.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


def seed_step(seed: int, epoch: int, step: int, rank: int) -> None:
    """Seed Python, NumPy and PyTorch from the position in the training alone.

    So no generator's state outlives a step: a resumed training draws what the undisturbed one would have drawn,
    whatever else (a validation, another library) drew in between.
    """
    set_seed(int(np.random.SeedSequence([seed, epoch, step, rank]).generate_state(1)[0]))


def print_on_main(accelerator: Accelerator, text: str) -> None:
    """Print one line on standard error, from the first process only."""
    if accelerator.is_main_process:
        print(text, file=sys.stderr, flush=True)


def describe(accelerator: Accelerator, run: Run) -> str:
    """Describe where a run computes: 'NVIDIA H200, bf16, 2 processes'."""
    index = accelerator.device.index or 0
    name = torch.cuda.get_device_name(index) if accelerator.device.type == "cuda" else "CPU"
    processes = f", {accelerator.num_processes} processes" if accelerator.num_processes > 1 else ""
    return f"{name}, {run.compute.precision}{processes}"
