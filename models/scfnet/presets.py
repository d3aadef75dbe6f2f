"""Published recipes; see `limelight.config.presets`."""

from typing import Any

AUGMENTATIONS: dict[str, list[dict[str, Any]]] = {
    # KD-SCFNet's training code: blur, contrast and brightness, then a crop of less than an eighth of each side.
    "scfnet": [
        {"name": "photometric", "blur": 0.1, "contrast": 0.5, "brightness": 15 / 255},
        {"name": "crop", "share": 0.125},
        {"name": "flip", "horizontal": 0.5, "vertical": 0.2},
    ],
}

_SCFNET: dict[str, Any] = {
    # KD-SCFNet (Zhang et al., arXiv 2208.02178), section 4.1, and its training code for what the paper leaves out. A
    # MobileNet that begins at random is shown pictures normalised by ImageNet's statistics, not by the authors' own.
    "epochs": 69,
    "batch": {"size": 128},
    "size": {"input": 352, "training": [224, 256, 288, 320, 352], "order": "random"},
    "augment": AUGMENTATIONS["scfnet"],
    "optimiser": {
        "name": "sgd",
        "lr": 0.064,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "groups": {
            "backbone": {"lr_scale": 0.1},
            "backbone_norm": {"lr_scale": 0.1, "weight_decay": 0.0},  # of the MobileNet
        },
    },
    # 0.00064 -> 0.064 over 5 epochs and back over the other 64. Published in steps of 83 (625) an epoch, which differ
    # from these epochs' by the incomplete last batch.
    "schedule": {"name": "cosine", "warmup_epochs": 5, "warmup_start": 0.01, "final": 0.01},
}
_SCFNET_LEVELS = [1.0, 0.5, 0.25, 0.125]

PRESETS: dict[str, dict[str, Any]] = {
    # Full supervision on DUTS-TR (10 553 images), for teachers and for students by themselves.
    "scfnet-fs": {
        **_SCFNET,
        "objective": {"name": "supervised", "loss": "dice-boundary", "level_weights": _SCFNET_LEVELS},
    },
    # Distillation on KD-SOD80K (80 000 images without labels): dice against the teacher's map, nothing else.
    "scfnet-kd": {
        **_SCFNET,
        "samples": {"labelled": [], "unlabelled": ["unlabelled"]},
        "objective": {
            "name": "distilled",
            "teacher_loss": "dice",
            "label_weight": 0.0,
            "loss": "dice-boundary",
            "level_weights": _SCFNET_LEVELS,
        },
    },
}
