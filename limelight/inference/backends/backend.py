"""The call that every engine answers, and what the engines of exports share."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from limelight.foundation.errors import UserError
from limelight.imaging.feeds import Feeds
from limelight.models.inputs import Size

Sides = tuple[int | None, int | None]
"""Height and width; None stands for any."""


class Maps(NamedTuple):
    """Of a batch; K prompts, or one map where there are none."""

    probability_BKhw: np.ndarray
    """float32 in [0, 1]."""
    uncertainty_BKhw: np.ndarray | None = None
    """float32 in [0, 0.5], of an ensemble; see `limelight.models.diffusion.ensemble`."""


class Backend(Protocol):
    """A network ready to run."""

    takes: Sides
    """Height and width that it was made for; None where it takes any."""
    concurrent: bool
    """Whether several threads may call it at once."""

    def run(self, feeds: Feeds, seeds: Sequence[int] | None = None) -> Maps:
        """Run a batch.

        Args:
            feeds: the inputs that the network declares, by name.
            seeds: one per row, where it samples.

        Raises:
            UserError: an input is missing or of a size that the network does not take, or memory runs out.
        """
        ...

    def encode_prompts(self, texts: Sequence[str]) -> np.ndarray:
        """The input 'prompt' of a network of prompts.

        Raises:
            UserError: a text is too long.
        """
        ...

    def at_once(self, batch_size: int, size: Size, *, prompts: int, companion: bool, option: str) -> int:
        """How many pictures of a size to run at once: at most `batch_size`, or as many as fit where that is 0.

        Args:
            prompts: asked of each picture; 0 of a network without.
            companion: whether a picture has one.
            option: by which the size can be asked for, named in the error.

        Raises:
            Shortage: memory does not hold one.
        """
        ...


MOST_AT_ONCE = 16
"""Pictures, where memory alone decides."""


class ExportedBackend:
    """What the engines of exports share."""

    takes: Sides
    concurrent = True

    def encode_prompts(self, texts: Sequence[str]) -> np.ndarray:
        raise UserError("exports take no text prompts; use runtime 'torch'")

    def at_once(self, batch_size: int, size: Size, *, prompts: int, companion: bool, option: str) -> int:
        """As many as are asked for: exported networks are small."""
        return batch_size or MOST_AT_ONCE


def check_size(takes: Sides, size: Size | None) -> None:
    """Refuse pictures of another size than an export was made for.

    Args:
        size: None = each picture's own.

    Raises:
        UserError: a side differs.
    """
    wrong = [wanted for wanted, got in zip(takes, size or (None, None), strict=True) if wanted not in (None, got)]
    if wrong:
        got = f"{size[0]} x {size[1]}" if size else "sizes of their own"
        raise UserError(
            f"this export takes images of {takes[0]} x {takes[1]} pixels, got {got}; leave the size out, or use "
            "runtime 'torch'"
        )
