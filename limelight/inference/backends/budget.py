"""How many pictures free memory holds at once, and what to ask for where it does not hold one."""

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
    """What a picture is given to the network with."""

    prompts: int
    """Asked of it; 0 of a network without."""
    companion: bool = False


class Measurable(Protocol):
    """A backend that can tell what a picture takes."""

    network: Network
    planned: Plan
    dtype: torch.dtype

    def picture_bytes(self, size: Size, prompts: int, companion: bool = False) -> int: ...


_KNOWN: dict[tuple[Any, ...], dict[Size, int]] = {}
"""What was found out in this process, which takes seconds for each size."""
_SHARES = (0.75, 0.5, 0.375, 0.25, 0.125)
"""Of a size, that are tried where it does not fit."""


def pictures_at_once(backend: Measurable, size: Size, beside: Beside, most: int, option: str = "--size") -> int:
    """As many as fit, 1 to `most`. Prompts and members of an ensemble are drawn fewer at once where they must.

    Args:
        beside: of the picture that has most beside it.
        option: by which the size can be asked for.

    Raises:
        Shortage: not even one fits; says what is needed, what there is, and what would fit.
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
    """Requests that would fit."""
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
    """What is known of sizes that this one fits into, upright or lying."""
    for (height, width), needed in _KNOWN.get(_key(backend, beside), {}).items():
        if min(size) <= min(height, width) and max(size) <= max(height, width):
            yield needed


def _key(backend: Measurable, beside: Beside) -> tuple[Any, ...]:
    planned, rows = backend.planned, backend.network.rows_at_once
    weights = planned.card.provenance.sha256, planned.vae
    return *weights, planned.device, backend.dtype, beside, rows, planned.sampling


def _either(requests: Iterator[str]) -> str:
    found = list(requests)
    return f"what would fit: {', or '.join(found)}" if found else "free some, or use a machine with more"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
