"""Published recipes; see `limelight.config.presets`."""

from typing import Any

AUGMENTATIONS: dict[str, list[dict[str, Any]]] = {
    # InSPyReNet (Kim et al., arXiv 2209.09475) and its training code: everything at the training size. Bilinear here,
    # where theirs scales bicubically and rotates by whole degrees to the nearest pixel.
    "inspyrenet": [
        {"name": "resize"},
        {"name": "scale", "probability": 0.5, "least": 0.75, "most": 1.25},
        {"name": "flip", "horizontal": 0.5},
        {"name": "rotate", "probability": 0.5, "degrees": 10},
        {"name": "enhance", "probability": 0.5, "least": 1.0, "most": 1.1},
    ],
}

PRESETS: dict[str, dict[str, Any]] = {
    # On DUTS-TR, 6 pictures per process. The warm-up is published as 12,000 steps, which at 1,758 an epoch are 6.8.
    # The backbone's lr ends at a thousandth of its own, where the authors end all at 1e-7.
    "inspyrenet": {
        "epochs": 60,
        "batch": {"size": 6},
        "size": {"input": 384},
        "objective": {"name": "pyramid"},
        "augment": AUGMENTATIONS["inspyrenet"],
        "optimiser": {"name": "adam", "lr": 1e-4, "groups": {"backbone": {"lr_scale": 0.1}}},
        "schedule": {"name": "poly", "power": 0.9, "warmup_epochs": 6.8, "warmup_start": 0.1, "final": 0.001},
    },
}
