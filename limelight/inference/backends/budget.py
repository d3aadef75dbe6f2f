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


class ExtraInputs(NamedTuple):
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


_MEASURED_BYTES: dict[tuple[Any, ...], dict[tuple[Size, ExtraInputs], int]] = {}
"""Cache of measured bytes for this process: measuring takes seconds per size and number of prompts."""
_SHARES = (0.75, 0.5, 0.375, 0.25, 0.125)
"""Fractions of a size to try as suggestions where the size itself does not fit."""


def fitting_batch_size(
    backend: Measurable, size: Size, extra_inputs: ExtraInputs, most: int, option: str = "--size"
) -> int:
    """Return how many pictures fit in memory, 1 to `most`. Prompts and ensemble members are run in chunks if need be.

    Args:
        extra_inputs: the further inputs of the picture that has the most of them.
        option: the option that sets the size, named in the error.

    Raises:
        Shortage: not even one fits; the message gives the bytes needed, the bytes free and requests that would fit.
    """
    free, network = free_bytes(backend.planned.device), backend.network
    network.rows_per_chunk = type(network).rows_per_chunk
    if any(most * bound <= free for bound in _bounds(backend, size, extra_inputs)):
        return most
    needed = _needed_bytes(backend, size, extra_inputs)
    splittable = max(1, extra_inputs.prompts) * backend.planned.sampling.ensemble_size > 1
    while needed > free and splittable and (network.rows_per_chunk or 1) > 1:
        network.rows_per_chunk = (network.rows_per_chunk or 1) // 2
        needed = _needed_bytes(backend, size, extra_inputs)
    if needed > free:
        height, width = size
        suggestion = _suggestion(_fitting_requests(backend, size, extra_inputs, needed, free, option))
        raise Shortage(
            f"a picture at {height}x{width} needs {_gigabytes(needed)} of memory beside the weights, "
            f"{_gigabytes(max(0, free))} is free; {suggestion}"
        )
    return min(most, free // needed)


def _fitting_requests(
    backend: Measurable, size: Size, extra_inputs: ExtraInputs, needed: int, free: int, option: str
) -> Iterator[str]:
    """Yield requests that would fit."""
    prepare = backend.planned.card.prepare
    for share in _SHARES:
        longest = int(max(size) * share)
        if (
            longest >= prepare.divisor
            and _needed_bytes(backend, proportional_size(size, longest, prepare), extra_inputs) <= free
        ):
            yield f"{option} {longest}"
            break
    if backend.dtype == torch.float32 and needed / 2 <= free:
        yield "--half-precision"
    if extra_inputs.prompts > 1 and _needed_bytes(backend, size, extra_inputs._replace(prompts=1)) <= free:
        yield "fewer classes"


def _needed_bytes(backend: Measurable, size: Size, extra_inputs: ExtraInputs) -> int:
    known = _MEASURED_BYTES.setdefault(_key(backend), {})
    if (size, extra_inputs) not in known:
        known[size, extra_inputs] = backend.picture_bytes(size, *extra_inputs)
    return known[size, extra_inputs]


def _bounds(backend: Measurable, size: Size, extra_inputs: ExtraInputs) -> Iterator[int]:
    """Yield the known bytes of sizes at least as large as this one, in either orientation, with no fewer inputs."""
    for ((height, width), known), needed in _MEASURED_BYTES.get(_key(backend), {}).items():
        larger = min(size) <= min(height, width) and max(size) <= max(height, width)
        if larger and extra_inputs.prompts <= known.prompts and extra_inputs.companion <= known.companion:
            yield needed


def _key(backend: Measurable) -> tuple[Any, ...]:
    planned, rows = backend.planned, backend.network.rows_per_chunk
    weights = planned.card.provenance.sha256, planned.request.vae
    return *weights, planned.device, backend.dtype, rows, planned.sampling


def _suggestion(requests: Iterator[str]) -> str:
    suggestions = list(requests)
    return (
        f"what would fit: {', or '.join(suggestions)}"
        if suggestions
        else "free some memory, or use a machine with more"
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
