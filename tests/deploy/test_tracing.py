"""What exports are traced with: the same numbers as without."""

from typing import Any

import pytest
import torch
from torch.nn.functional import interpolate

from limelight.deploy.tracing import OneOperatorResize


@pytest.mark.parametrize(
    "options",
    [
        {"size": (5, 11), "mode": "bilinear", "align_corners": False},
        {"size": [9, 4], "mode": "bilinear", "align_corners": True},
        {"size": (5, 11), "mode": "bilinear"},
        {"size": (3, 3), "mode": "bilinear", "antialias": True},
        {"size": 5, "mode": "bilinear"},
        {"size": (5, 11)},
        {"scale_factor": 2, "mode": "bilinear"},
    ],
)
def test_resizing_is_the_same(options: dict[str, Any]) -> None:
    maps_BCHW = torch.rand(2, 3, 6, 8)
    with OneOperatorResize():
        resized = interpolate(maps_BCHW, **options)
    assert torch.equal(resized, interpolate(maps_BCHW, **options))
