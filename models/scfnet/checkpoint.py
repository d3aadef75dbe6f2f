"""Mapping of the names in KD-SCFNet's published checkpoints to this project's."""

import re
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from limelight.models.importers.checkpoint import Published, import_checkpoint

Rule = tuple[str, str | Callable[[re.Match[str]], str]]

_CLASSIFIER = ("last_second_conv.", "last_conv.", "fc.", "head.")
_PART = {"0": "conv", "1": "bn"}
_BRANCH = {"1": "high", "2": "low", "3": "merge"}

_BACKBONE: tuple[Rule, ...] = (
    (r"conv\.(conv|bn)\.", r"stem.\1."),
    (r"blocks\.(\d+)\.expand_conv\.", r"blocks.\1.expand."),
    (r"blocks\.(\d+)\.bottleneck_conv\.", r"blocks.\1.depthwise."),
    (r"blocks\.(\d+)\.linear_conv\.", r"blocks.\1.project."),
    (r"blocks\.(\d+)\.mid_se\.conv1\.", r"blocks.\1.se.reduce."),
    (r"blocks\.(\d+)\.mid_se\.conv2\.", r"blocks.\1.se.expand."),
    (r"(conv1|bn1|layer\d)\.", r"network.\1."),
    # The authors merge Swin's patches at the end of a stage, timm at the start of the next.
    (r"layers\.(\d)\.downsample\.", lambda m: f"layers.{int(m[1]) + 1}.downsample."),
)
_HEAD: tuple[Rule, ...] = (
    (r"mp\.cv([1-4])\.([01])\.", lambda m: f"mappings.{int(m[1]) - 1}.{_PART[m[2]]}."),
    (r"cv1\.([01])\.", lambda m: f"context.{_PART[m[1]]}."),
    (r"de([1-3])\.cv([1-3])\.([01])\.", lambda m: f"fusions.{3 - int(m[1])}.{_BRANCH[m[2]]}.{_PART[m[3]]}."),
    (r"linear([2-5])\.", lambda m: f"heads.{int(m[1]) - 2}."),
)


def from_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a published SCFNet, any of the three backbones, to those of `SCFNet`.

    Args:
        state: torch's conventions (running_mean, linear weights as (out, in)), the authors' module names.

    Returns:
        A state dict; names that no rule knows are kept, so that strict loading reports them. Paddle does not count
        batches, so the counters of the batch norms are added, at zero.
    """
    renamed = {_rename(key): value for key, value in state.items()}
    counters = [key.replace("running_mean", "num_batches_tracked") for key in renamed if key.endswith("running_mean")]
    return renamed | {key: torch.tensor(0) for key in counters}


def from_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename an ImageNet classifier, as PaddleClas publishes it, to `SCFNet`'s backbone, without its last layers.

    Args:
        state: torch's conventions, PaddleClas' module names.

    Returns:
        The part of a state dict that begins with 'backbone.'.
    """
    return from_published({f"bkbone.{key}": value for key, value in state.items() if not key.startswith(_CLASSIFIER)})


def _rename(key: str) -> str:
    if not key.startswith("bkbone."):
        return _apply(_HEAD, key)
    return "backbone." + _apply(_BACKBONE, key.removeprefix("bkbone."))


def _apply(rules: tuple[Rule, ...], key: str) -> str:
    """Rewrite a key by the first rule whose pattern matches its beginning."""
    for pattern, replacement in rules:
        if re.match(pattern, key):
            return re.sub(f"^{pattern}", replacement, key)
    return key


import_published = partial(
    import_checkpoint,
    Published(
        from_published,
        from_classifier,
        mean=(124.55 / 255, 118.90 / 255, 102.94 / 255),
        std=(56.77 / 255, 55.97 / 255, 57.50 / 255),
        finish={"filter": "bilinear-aligned"},
    ),
)
"""See `limelight.models.importers.import_published`."""
