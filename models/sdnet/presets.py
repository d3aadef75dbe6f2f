"""Published recipes; see `limelight.config.presets`."""

from typing import Any

# SDNet's training code: up to 14 pixels off each side by itself; a flip of half the pictures, one way or the other.
_SDNET: list[dict[str, Any]] = [
    {"name": "crop", "pixels": 14},
    {"name": "flip", "horizontal": 0.25, "vertical": 0.25, "exclusive": True},
]
# STDNet's are the same, drawn once for all frames of a clip.
AUGMENTATIONS: dict[str, list[dict[str, Any]]] = {"sdnet": _SDNET, "stdnet": _SDNET}

PRESETS: dict[str, dict[str, Any]] = {
    # SDNet (Su et al., TPAMI 2025, arXiv 2507.01182), section V and its training code, on DUTS-TR.
    "sdnet": {
        "epochs": 180,
        "batch": {"size": 24},
        # The whole set four times an epoch, in this order.
        "size": {"input": 320, "training": [480, 400, 240, 320], "order": "passes"},
        "augment": _SDNET,
        "optimiser": {
            "name": "adam",
            "lr": 1e-3,
            "betas": [0.9, 0.99],
            "weight_decay": 1e-4,
            "groups": {
                "norm": {"weight_decay": 1e-5},
                "mixing": {"weight_decay": 5e-5, "freeze_epochs": 5},
            },
        },
        "schedule": {"name": "steps", "warmup_epochs": 0, "milestones": [90, 150], "gamma": 0.1},
        "objective": {"name": "supervised", "loss": "balanced-bce"},
    },
    # STDNet (ibid.) on DUTS-TR's stills and the clips of DAVIS, DAVSOD and VOS; its encoder starts from that of an
    # SDNet with batch norm (`parts`). Ours: windows at every frame of a clip, where theirs are cut from it once at each
    # of three strides. `stride` counts labelled frames: of clips that are labelled at every fifteenth frame, as VOS is,
    # the frames of a window lie 60 apart.
    "stdnet": {
        "epochs": 60,
        "batch": {"size": 8},
        "size": {"input": 256},
        "samples": {"frames": 8, "stride": 4},
        "augment": _SDNET,
        "optimiser": {
            "name": "adam",
            "lr": 1e-3,
            "betas": [0.9, 0.99],
            "weight_decay": 1e-4,
            "groups": {
                "encoder": {"lr_scale": 0.05, "weight_decay": 5e-5},
                "norm": {"weight_decay": 1e-5},
                "mixing": {"weight_decay": 5e-5},
            },
        },
        "schedule": {"name": "steps", "warmup_epochs": 0, "milestones": [30, 50], "gamma": 0.1},
        "objective": {"name": "supervised", "loss": "bce-ssim-iou"},
    },
}
