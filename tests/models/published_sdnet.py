"""A checkpoint of the authors' SDNet, re-created: their names and shapes, with deterministic values."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = {
    kind: golden
    for name in ("golden_sdnet.json", "golden_stdnet.json")
    for kind, golden in json.loads((Path(__file__).parent / name).read_text(encoding="utf-8")).items()
}
"""What the authors' networks, filled by `published_state`, put out; every eighth pixel of the probability map. 'a' is
SDNet-A; those of clips have a row per frame."""


def published_state(kind: str) -> dict[str, Tensor]:
    """A deterministic fill of the authors' checkpoint: the i-th name, sorted, is drawn from RandomState(i)."""
    shapes, state = GOLDEN[kind]["shapes"], {}
    counted = [key for key in sorted(shapes) if not key.endswith("num_batches_tracked")]
    for index, key in enumerate(counted):
        normal = np.random.RandomState(index).standard_normal(shapes[key])
        value = 0.1 * normal
        if key.endswith("running_var"):
            value = 1 + 0.2 * abs(normal)
        elif len(shapes[key]) >= 2:
            value = normal / np.sqrt(np.prod(shapes[key][1:]))
        elif key.endswith("weight"):
            value = 1 + 0.1 * normal
        state[key] = torch.from_numpy(value.astype("float32"))
    return state | {key: torch.tensor(0) for key in shapes if key not in state}
