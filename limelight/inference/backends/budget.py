"""How many pictures fit in free memory at once, and which smaller requests to suggest where not even one fits."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch

from limelight.foundation.errors import Shortage
from limelight.imaging.geometry import proportional_size
from limelight.inference.backends.memory import free_bytes
from limelight.inference.plan import Plan
from limelight.models.base import Network
from limelight.models.inputs import Size


class Beside(NamedTuple):
    """Further inputs that the network gets with a picture."""

    prompts: int
    """Number of prompts; 0 for a network without prompts."""
    companion: bool = False


class Measurable(Protocol):
    """A backend that can estimate the memory a picture needs."""

    network: Network
    planned: Plan
    dtype: torch.dtype

    def picture_bytes(self, size: Size, prompts: int, companion: bool = False) -> int: ...


_KNOWN: dict[tuple[Any, ...], dict[Size, int]] = {}
"""Cache of measured bytes for this process: measuring takes seconds per size."""
_SHARES = (0.75, 0.5, 0.375, 0.25, 0.125)
"""Fractions of a size to try as suggestions where the size itself does not fit."""


def pictures_at_once(backend: Measurable, size: Size, beside: Beside, most: int, option: str = "--size") -> int:
    """Return how many pictures fit in memory, 1 to `most`. Prompts and ensemble members are run in chunks if need be.

    Args:
        beside: the further inputs of the picture that has the most of them.
        option: the option that sets the size, named in the error.

    Raises:
        Shortage: not even one fits; the message gives the bytes needed, the bytes free and requests that would fit.
    """
    free, network = free_bytes(backend.planned.device), backend.network
    network.rows_at_once = type(network).rows_at_once
    if any(most * bound <= free for bound in _bounds(backend, size, beside)):
        return most
    needed = _needed(backend, size, beside)
    several = max(1, beside.prompts) * backend.planned.sampling.ensemble_size > 1
    while needed > free and several and (network.rows_at_once or 1) > 1:
        network.rows_at_once = (network.rows_at_once or 1) // 2
        needed = _needed(backend, size, beside)
    if needed > free:
        height, width = size
        raise Shortage(
            f"a picture at {height}x{width} needs {_gigabytes(needed)} of memory beside the weights, "
            f"{_gigabytes(max(0, free))} is free; {_either(_smaller(backend, size, beside, needed, free, option))}"
        )
    return min(most, free // needed)


def _smaller(backend: Measurable, size: Size, beside: Beside, needed: int, free: int, option: str) -> Iterator[str]:
    """Yield requests that would fit."""
    prepare = backend.planned.card.prepare
    for share in _SHARES:
        longest = int(max(size) * share)
        if longest >= prepare.divisor and _needed(backend, proportional_size(size, longest, prepare), beside) <= free:
            yield f"{option} {longest}"
            break
    if backend.dtype == torch.float32 and needed / 2 <= free:
        yield "--half-precision"
    if beside.prompts > 1 and _needed(backend, size, beside._replace(prompts=1)) <= free:
        yield "fewer classes"


def _needed(backend: Measurable, size: Size, beside: Beside) -> int:
    known = _KNOWN.setdefault(_key(backend, beside), {})
    if size not in known:
        known[size] = backend.picture_bytes(size, *beside)
    return known[size]


def _bounds(backend: Measurable, size: Size, beside: Beside) -> Iterator[int]:
    """Yield the known bytes of sizes at least as large as this one, in either orientation."""
    for (height, width), needed in _KNOWN.get(_key(backend, beside), {}).items():
        if min(size) <= min(height, width) and max(size) <= max(height, width):
            yield needed


def _key(backend: Measurable, beside: Beside) -> tuple[Any, ...]:
    planned, rows = backend.planned, backend.network.rows_at_once
    weights = planned.card.provenance.sha256, planned.vae
    return *weights, planned.device, backend.dtype, beside, rows, planned.sampling


def _either(requests: Iterator[str]) -> str:
    found = list(requests)
    return f"what would fit: {', or '.join(found)}" if found else "free some memory, or use a machine with more"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
