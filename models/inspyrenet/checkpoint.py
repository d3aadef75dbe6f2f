"""Mapping of the authors' checkpoint names (plemeri/InSPyReNet, transparent-background) to this project's."""

import re
from functools import partial

from torch import Tensor

from limelight.models.importers.checkpoint import Published, import_checkpoint

_LEFT_OUT = re.compile(r"backbone\.fc\.|.*relative_position_index$|.*attn_mask$")
"""A classifier's head, and what follows from the window's size."""
_MERGING = re.compile(r"backbone\.layers\.(\d)\.downsample\.(.+)")
_RES2NET = re.compile(r"backbone\.(conv1|bn1|layer\d)\..+")


def from_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict of the authors' InSPyReNet, of whichever version, into one that `InSPyReNet` loads."""
    return {_rename(key): value for key, value in state.items() if not _LEFT_OUT.match(key)}


def _rename(key: str) -> str:
    if match := _MERGING.fullmatch(key):  # theirs ends a stage, timm's begins the next
        return f"backbone.layers.{int(match[1]) + 1}.downsample.{match[2]}"
    if _RES2NET.fullmatch(key):
        return key.replace("backbone.", "backbone.network.", 1)
    return key


import_published = partial(
    import_checkpoint,
    Published(
        from_published,
        options={"attention": "published"},
        prepare={"filter": "bilinear-antialiased", "rounding": "nearest"},
        finish={"full_contrast": True, "filter": "bilinear-aligned"},
    ),
)
"""See `limelight.models.importers.import_published`. Pictures are resized, and maps stretched, as the authors do it."""
