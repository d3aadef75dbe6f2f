"""Mapping of the authors' checkpoint names (hellozhuo/stdnet, video networks) to this project's."""

from functools import partial

from torch import Tensor

from limelight.models.importers.checkpoint import Published, import_checkpoint
from limelight.models.sdnet.checkpoint import ENCODER, rename

NAMES = [
    *ENCODER,
    (r"project1\.(\d)\.(conv|norm)\.(\w+)", r"levels.\1.project.\2.\3"),
    (r"global_spatial\.(\d)\.conv1\.conv\.(\w+)", r"levels.\1.spatial.reduce.\2"),
    (r"global_spatial\.(\d)\.conv_dils\.1\.weight", r"levels.\1.spatial.dilated.0.weight"),  # 0 is the identity
    (r"global_spatial\.(\d)\.conv_dils\.2\.weight", r"levels.\1.spatial.dilated.1.weight"),
    (r"global_spatial\.(\d)\.norm\.(\w+)", r"levels.\1.spatial.norm.\2"),
    (r"global_temporal\.(\d)\.tdc(\d)\.scales", r"levels.\1.temporal\2.mixing"),
    (r"global_temporal\.(\d)\.tdc(\d)\.convs\.(\d)\.weight", r"levels.\1.temporal\2.weight#\3"),
    (r"global_temporal\.(\d)\.tdc(\d)\.norms\.(\d)\.(\w+)", r"levels.\1.temporal\2.norms.\3.\4"),
    (r"global_temporal\.(\d)\.project2\.(conv|norm)\.(\w+)", r"levels.\1.project_temporal.\2.\3"),
    (r"project2\.(\d)\.(conv|norm)\.(\w+)", r"levels.\1.fuse.\2.\3"),
    (r"attention\.(\d)\.conv1\.(\w+)", r"levels.\1.gate.reduce.\2"),
    (r"attention\.(\d)\.conv2\.weight", r"levels.\1.gate.attend.weight"),
    (r"project_final\.conv\.(\w+)", r"head.\1"),
]


def from_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a training-form state dict of the authors' STDNet into one that `STDNet` loads.

    Raises:
        UserError: a name that no published STDNet has.
    """
    return rename(state, NAMES, "STDNet")


def from_encoder(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder of an image network's checkpoint, which STDNet's training starts from."""
    return from_published({key: value for key, value in state.items() if "block" in key})


import_published = partial(import_checkpoint, Published(from_published, from_encoder, backbone="encoder"))
"""See `limelight.models.importers.import_published`."""
