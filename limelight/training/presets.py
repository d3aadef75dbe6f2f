"""Published training recipes as values for `limelight.config.Run`. What stands here is in the papers or their code."""

from typing import Any

from limelight.foundation.errors import UserError

_SCFNET: dict[str, Any] = {
    # KD-SCFNet (Zhang et al., arXiv 2208.02178), section 4.1, and its training code for what the paper leaves out.
    "epochs": 69,
    "batch_size": 128,
    "input_size": 352,
    "sizes": [224, 256, 288, 320, 352],
    "size_order": "random",
    "augment": {
        "blur": 0.1,
        "contrast": 0.5,
        "brightness": 15 / 255,
        "crop": 0.125,
        "flip_horizontal": 0.5,
        "flip_vertical": 0.2,
    },
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
    "level_weights": [1.0, 0.5, 0.25, 0.125],
}

_DIFFUSION: dict[str, Any] = {
    "input_size": 384,
    "optimiser": {"name": "adamw", "lr": 3e-5, "weight_decay": 1e-2},
    "clip_norm": 1.0,
}

PRESETS: dict[str, dict[str, Any]] = {
    # Full supervision on DUTS-TR (10 553 images), for teachers and for students by themselves.
    "scfnet-fs": {**_SCFNET, "loss": "dice-boundary"},
    # Distillation on KD-SOD80K (80 000 images without labels): dice against the teacher's map, nothing else.
    "scfnet-kd": {
        **_SCFNET,
        "labelled": [],
        "unlabelled": ["unlabelled"],
        "loss": "dice-boundary",
        "distil": "dice",
        "label_weight": 0.0,
    },
    # SDNet (Su et al., TPAMI 2025, arXiv 2507.01182), section V and its training code, on DUTS-TR. A flip with
    # probability 0.5, half of them left-right and half up-down, becomes two independent ones of 0.25.
    "sdnet": {
        "epochs": 180,
        "batch_size": 24,
        "input_size": 320,
        "sizes": [480, 400, 240, 320],  # the whole set four times an epoch, in this order
        "size_order": "passes",
        "augment": {"crop_pixels": 14, "flip_horizontal": 0.25, "flip_vertical": 0.25},
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
        "loss": "balanced-bce",
    },
    # diffSOD's and Seg-diffusion's own training code: 32 images a step, no augmentation. For `objective: velocity`.
    "diffusion-velocity": {
        **_DIFFUSION,
        "epochs": 500,
        "batch_size": 4,
        "accumulate": 8,
        "augment": {"flip_horizontal": 0.0},
        "schedule": {"name": "constant"},
        "noise_levels": 6,
        "noise_discount": 0.3,
    },
    # End-to-end fine-tuning in one step (Martin Garcia et al., arXiv 2409.11355), section 5 and its training code:
    # 20 000 steps of 32 images, which are 40 epochs of the 16 038 that diffSOD is trained on, 100 of them a warm-up.
    "diffusion-one-step": {
        **_DIFFUSION,
        "epochs": 40,
        "batch_size": 2,
        "accumulate": 16,
        "augment": {"flip_horizontal": 0.5},
        "schedule": {"name": "exponential", "warmup_epochs": 0.2, "warmup_start": 0.01, "final": 0.01},
    },
}


def with_preset(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """Lay `settings` over the preset that they name; nested mappings are merged key by key, lists are replaced.

    Raises:
        UserError: no such preset.
    """
    name = settings.get("preset")
    if name is None:
        return settings
    if name not in PRESETS:
        raise UserError(f"{where}: unknown preset {name!r}; choose one of: {', '.join(PRESETS)}")
    return _merge(PRESETS[name], settings)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = base.keys() & over.keys()
    nested = {
        key: _merge(base[key], over[key]) for key in both if isinstance(base[key], dict) and isinstance(over[key], dict)
    }
    return {**base, **over, **nested}
