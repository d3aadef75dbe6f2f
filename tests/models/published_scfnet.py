"""A checkpoint of KD-SCFNet's student, re-created: the authors' names, random values, Paddle's kind of file."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from limelight.models.registry import create_model


def write_pickle(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def published_student() -> dict[str, np.ndarray]:
    """A student's random weights under the published names, written out here by hand, not by the map under test."""
    names = [
        ("backbone.stem.", "bkbone.conv."),
        ("backbone.blocks.", "bkbone.blocks."),
        (".expand.conv.", ".expand_conv.conv."),
        (".expand.bn.", ".expand_conv.bn."),
        (".depthwise.", ".bottleneck_conv."),
        (".project.", ".linear_conv."),
        (".se.reduce.", ".mid_se.conv1."),
        (".se.expand.", ".mid_se.conv2."),
        *[(f"mappings.{i}.", f"mp.cv{i + 1}.") for i in range(4)],
        ("context.", "cv1."),
        *[(f"fusions.{i}.", f"de{3 - i}.") for i in range(3)],
        *[(f"heads.{i}.", f"linear{i + 2}.") for i in range(4)],
        (".high.", ".cv1."),
        (".low.", ".cv2."),
        (".merge.", ".cv3."),
        ("running_mean", "_mean"),
        ("running_var", "_variance"),
    ]
    published = {}
    for key, value in create_model("scfnet-mobilenetv3").state_dict().items():
        for ours, theirs in names:
            key = key.replace(ours, theirs)
        if not key.startswith("bkbone."):
            key = key.replace(".conv.", ".0.").replace(".bn.", ".1.")
        if not key.endswith("num_batches_tracked"):
            published[key] = value.numpy()
    return published
