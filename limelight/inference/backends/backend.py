"""The interface that every inference backend implements, and a base class for exported networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from limelight.foundation.errors import UserError
from limelight.imaging.feeds import Feeds
from limelight.models.inputs import Size

Sides = tuple[int | None, int | None]
"""Height and width; None = any."""


class Maps(NamedTuple):
    """A batch's output maps; K is the number of prompts, or 1 without prompts."""

    probability_BKhw: np.ndarray
    """float32 in [0, 1]."""
    uncertainty_BKhw: np.ndarray | None = None
    """float32 in [0, 0.5]; None without an ensemble. See `limelight.models.diffusion.ensemble`."""


class Backend(Protocol):
    """A loaded network, ready to run."""

    takes: Sides
    """Height and width that the network accepts; None where it accepts any."""
    concurrent: bool
    """Whether several threads may call it concurrently."""
    streams: bool
    """Whether `step` takes the frames of a clip one by one."""
    windows: bool
    """Whether `encode` and `decode` spare windows that overlap what they share."""

    def run(self, feeds: Feeds, seeds: Sequence[int] | None = None) -> Maps:
        """Run a batch.

        Args:
            feeds: the inputs that the network declares, by name.
            seeds: one per row, for a network that samples.

        Raises:
            UserError: an input is missing or of a size that the network does not accept, or memory runs out.
        """
        ...

    def step(self, image_13HW: np.ndarray, state: Any) -> tuple[Maps, Any]:
        """Run the next frame of a stream, only where `streams`.

        Args:
            image_13HW: normalised.
            state: what the call for the frame before returned, which it is good for once; None at the first.

        Returns:
            The frame's map, and the state for the next.
        """
        ...

    def encode(self, image_13HW: np.ndarray) -> Any:
        """Compute what windows share of a frame, only where `windows`; see `Network.encode_frame`."""
        ...

    def decode(self, window: Sequence[Any], place: int, size: Size) -> Maps:
        """Compute the map of one frame of a window, only where `windows`; see `Network.decode_frame`."""
        ...

    def encode_prompts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode text prompts as the network's input 'prompt'.

        Raises:
            UserError: a text is too long.
        """
        ...

    def choose_batch_size(self, batch_size: int, size: Size, *, prompts: int, companion: bool, option: str) -> int:
        """Choose the batch size for a picture size: at most `batch_size`, or as many pictures as fit in memory if 0.

        Args:
            prompts: number of prompts per picture; 0 for a network without prompts.
            companion: whether the pictures have companions.
            option: the option that sets the size, named in the error.

        Raises:
            Shortage: not even one picture fits in memory.
        """
        ...


MAX_BATCH_SIZE = 16
"""Upper limit of pictures per batch where only memory limits it."""


class ExportedBackend:
    """Base class of the backends that run exported networks."""

    takes: Sides
    concurrent = True
    streams = False
    windows = False
    step_path: Path
    """The exported step, where `streams`."""

    def open_step(self, path: Path, size: Size | None) -> None:
        """Stream by an exported step, if there is one for frames of this size.

        Args:
            size: of the network's input; None = not always the same.
        """
        if path.is_file() and size is not None and self.step_size(path) == size:
            self.streams, self.step_path = True, path

    def step_size(self, path: Path) -> Size:
        """Read the height and width that a step was exported for."""
        raise NotImplementedError

    def step(self, image_13HW: np.ndarray, state: Any) -> tuple[Maps, Any]:
        raise NotImplementedError("this export takes whole clips")

    def encode(self, image_13HW: np.ndarray) -> Any:
        raise NotImplementedError("exports take whole clips")

    def decode(self, window: Sequence[Any], place: int, size: Size) -> Maps:
        raise NotImplementedError("exports take whole clips")

    def encode_prompts(self, texts: Sequence[str]) -> np.ndarray:
        raise UserError("exports take no text prompts; use runtime 'torch'")

    def choose_batch_size(self, batch_size: int, size: Size, *, prompts: int, companion: bool, option: str) -> int:
        """Return `batch_size`, or `MAX_BATCH_SIZE` if 0, whatever the free memory: exported networks are small."""
        return batch_size or MAX_BATCH_SIZE


def check_size(takes: Sides, size: Size | None) -> None:
    """Check that pictures have the size that an export was made for.

    Args:
        size: None = each picture's own.

    Raises:
        UserError: a side differs.
    """
    wrong = [expected for expected, got in zip(takes, size or (None, None), strict=True) if expected not in (None, got)]
    if wrong:
        got = f"{size[0]} x {size[1]}" if size else "sizes of their own"
        raise UserError(
            f"this export takes images of {takes[0]} x {takes[1]} pixels, got {got}; leave the size out, or use "
            "runtime 'torch'"
        )
