"""The pictures that networks are timed on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np

from limelight.imaging.images import read_image
from limelight.media.sources import find_sources

MOST = 8
"""Pictures; more would only take memory in every process."""
CLIP_SIDE = 320
"""Pixels of the drawn clip's frames."""


@dataclass(frozen=True)
class Inputs:
    """Pictures, and frames that follow each other."""

    pictures: list[np.ndarray] = field(default_factory=list)
    """uint8 HxWx3 RGB, of any sizes."""
    frames: list[np.ndarray] = field(default_factory=list)
    """uint8 HxWx3 RGB, of one size."""
    of: str = ""
    """What they are, in a few words."""

    def clip(self, count: int) -> list[np.ndarray]:
        """`count` frames, to and fro where there are fewer."""
        there_and_back = self.frames + self.frames[-2:0:-1]
        return [there_and_back[at % len(there_and_back)] for at in range(count)]


def photos() -> Path:
    """The folder of photos (CC0) that come with the package: the examples of the service's page."""
    return Path(str(files("limelight.services"))) / "static/examples"


def read_inputs(data: Path | None, frames: int) -> Inputs:
    """Read pictures and a clip.

    Args:
        data: a folder of pictures, or of a clip's frames in the order of their names, or one picture; None = the photos
            that come with the package, and a drawn clip.
        frames: most frames of a clip that any network takes; 0 = none takes clips.

    Raises:
        UserError: there are no pictures, or one cannot be read.
    """
    paths = [source.path for source in find_sources([data or photos()])]
    pictures = [read_image(path) for path in paths[:: -(-len(paths) // MOST)]]
    if not frames:
        return Inputs(pictures, [], f"{len(pictures)} pictures of {data or 'the package'}")
    clip = _drawn(frames) if data is None else _alike([read_image(path) for path in paths[:frames]])
    shown = "a drawn clip" if data is None else f"clips of {len(clip)} of its first pictures"
    return Inputs(pictures, clip, f"{len(pictures)} pictures of {data or 'the package'}, {shown}")


def _drawn(frames: int) -> list[np.ndarray]:
    from limelight.data.renderer import render_clip

    return render_clip(0, "test", 0, CLIP_SIDE, frames)[0]


def _alike(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The first picture and those after it that have its size."""
    return [picture for picture in pictures if picture.shape == pictures[0].shape]
