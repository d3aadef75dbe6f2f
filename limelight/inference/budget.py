"""How many pictures free memory holds at once, and what to ask for where it does not hold one."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from limelight.foundation.errors import Shortage
from limelight.inference.memory import free_bytes
from limelight.inference.preprocess import fit_inside
from limelight.inference.runtimes.pytorch import PyTorchRuntime

Size = tuple[int, int]


class Beside(NamedTuple):
    """What a picture is given to the network with."""

    prompts: int
    """Classes asked for; 0 of a network that takes no words."""
    companion: bool = False


_KNOWN: dict[tuple[Any, ...], dict[Size, int]] = {}
"""What was found out in this process, which takes seconds for each size."""
_SHARES = (0.75, 0.5, 0.375, 0.25, 0.125)
"""Of a size, that are tried where it does not fit."""


def pictures_at_once(runtime: PyTorchRuntime, size: Size, beside: Beside, most: int, option: str = "--size") -> int:
    """As many as fit, 1 to `most`. Prompts and members of an ensemble are drawn fewer at once where they must.

    Args:
        beside: of the picture that has most beside it.
        option: by which the size can be asked for.

    Raises:
        Shortage: not even one fits; says what is needed, what there is, and what would fit.
    """
    free = free_bytes(runtime.device)
    if hasattr(runtime.network, "rows_at_once"):
        runtime.network.rows_at_once = type(runtime.network).rows_at_once
    if any(most * bound <= free for bound in _bounds(runtime, size, beside)):
        return most
    needed = _needed(runtime, size, beside)
    several = max(1, beside.prompts) * runtime.sampling.ensemble_size > 1
    while needed > free and several and runtime.network.rows_at_once > 1:
        runtime.network.rows_at_once //= 2
        needed = _needed(runtime, size, beside)
    if needed > free:
        height, width = size
        raise Shortage(
            f"a picture at {height}x{width} needs {_gigabytes(needed)} of memory beside the weights, "
            f"{_gigabytes(max(0, free))} is free; {_either(_smaller(runtime, size, beside, needed, free, option))}"
        )
    return min(most, free // needed)


def _smaller(runtime: PyTorchRuntime, size: Size, beside: Beside, needed: int, free: int, option: str) -> Iterator[str]:
    """Requests that would fit."""
    divisor, least = runtime.card.input_divisor, runtime.card.least_input
    for share in _SHARES:
        longest = int(max(size) * share)
        if longest >= divisor and _needed(runtime, fit_inside(size, longest, divisor, least), beside) <= free:
            yield f"{option} {longest}"
            break
    if runtime.dtype == torch.float32 and needed / 2 <= free:
        yield "--half-precision"
    if beside.prompts > 1 and _needed(runtime, size, beside._replace(prompts=1)) <= free:
        yield "fewer classes"


def _needed(runtime: PyTorchRuntime, size: Size, beside: Beside) -> int:
    known = _KNOWN.setdefault(_key(runtime, beside), {})
    if size not in known:
        known[size] = runtime.picture_bytes(size, *beside)
    return known[size]


def _bounds(runtime: PyTorchRuntime, size: Size, beside: Beside) -> Iterator[int]:
    """What is known of sizes that this one fits into, upright or lying."""
    for (height, width), needed in _KNOWN.get(_key(runtime, beside), {}).items():
        if min(size) <= min(height, width) and max(size) <= max(height, width):
            yield needed


def _key(runtime: PyTorchRuntime, beside: Beside) -> tuple[Any, ...]:
    rows = getattr(runtime.network, "rows_at_once", None)
    return runtime.card.sha256, runtime.vae, runtime.device, runtime.dtype, beside, rows, runtime.sampling


def _either(requests: Iterator[str]) -> str:
    found = list(requests)
    return f"what would fit: {', or '.join(found)}" if found else "free some, or use a machine with more"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
