"""Published training recipes as values for `limelight.config.Run`. What stands here is in the papers or their code."""

from typing import Any

from limelight.foundation.errors import UserError

AUGMENTATIONS: dict[str, list[dict[str, Any]]] = {
    # KD-SCFNet's training code: blur, contrast and brightness, then a crop of less than an eighth of each side.
    "scfnet": [
        {"name": "photometric", "blur": 0.1, "contrast": 0.5, "brightness": 15 / 255},
        {"name": "crop", "share": 0.125},
        {"name": "flip", "horizontal": 0.5, "vertical": 0.2},
    ],
    # SDNet's training code: up to 14 pixels off each side by itself; a flip of half the pictures, one way or the other.
    "sdnet": [
        {"name": "crop", "pixels": 14},
        {"name": "flip", "horizontal": 0.25, "vertical": 0.25, "exclusive": True},
    ],
    # STDNet's: SDNet's, drawn once for all frames of a clip.
    "stdnet": [
        {"name": "crop", "pixels": 14},
        {"name": "flip", "horizontal": 0.25, "vertical": 0.25, "exclusive": True},
    ],
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
"""Lists of operations, by the names that `augment` may have in place of a list."""

_SCFNET: dict[str, Any] = {
    # KD-SCFNet (Zhang et al., arXiv 2208.02178), section 4.1, and its training code for what the paper leaves out.
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

_DIFFUSION: dict[str, Any] = {
    "size": {"input": 384},
    "optimiser": {"name": "adamw", "lr": 3e-5, "weight_decay": 1e-2, "clip_norm": 1.0},
}

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
            "distil": "dice",
            "label_weight": 0.0,
            "loss": "dice-boundary",
            "level_weights": _SCFNET_LEVELS,
        },
    },
    # SDNet (Su et al., TPAMI 2025, arXiv 2507.01182), section V and its training code, on DUTS-TR.
    "sdnet": {
        "epochs": 180,
        "batch": {"size": 24},
        # The whole set four times an epoch, in this order.
        "size": {"input": 320, "training": [480, 400, 240, 320], "order": "passes"},
        "augment": AUGMENTATIONS["sdnet"],
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
    # diffSOD's and Seg-diffusion's own training code: 32 images a step, no augmentation. Of
    # prompts, the objective is {name: prompted-velocity}, whose noise is the same by default.
    "diffusion-velocity": {
        **_DIFFUSION,
        "epochs": 500,
        "batch": {"size": 4, "accumulate": 8},
        "augment": [],
        "schedule": {"name": "constant"},
        "objective": {"name": "velocity", "noise_levels": 6, "noise_discount": 0.3},
    },
    # End-to-end fine-tuning in one step (Martin Garcia et al., arXiv 2409.11355), section 5 and its training code:
    # 20 000 steps of 32 images, which are 40 epochs of the 16 038 that diffSOD is trained on, 100 of them a warm-up.
    "diffusion-one-step": {
        **_DIFFUSION,
        "epochs": 40,
        "batch": {"size": 2, "accumulate": 16},
        "augment": [{"name": "flip", "horizontal": 0.5}],
        "schedule": {"name": "exponential", "warmup_epochs": 0.2, "warmup_start": 0.01, "final": 0.01},
    },
}


def with_preset(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """Lay a run's settings over the preset that they name, and put the list in place of an augmentation's name.

    Nested mappings are merged key by key, lists are replaced, and so is an objective where the run names another one,
    since its keys are others.

    Raises:
        UserError: no such preset, or no such augmentation.
    """
    name = settings.get("preset")
    if name is not None and name not in PRESETS:
        raise UserError(f"{where}: unknown preset {name!r}; choose one of: {', '.join(PRESETS)}")
    base = PRESETS.get(name, {}) if name is not None else {}
    merged = _merge(base, settings)
    own, published = settings.get("objective"), base.get("objective")
    if isinstance(own, dict) and published and own.get("name", published["name"]) != published["name"]:
        merged["objective"] = own
    if isinstance(listed := merged.get("augment"), str):
        if listed not in AUGMENTATIONS:
            raise UserError(f"{where}: unknown augmentation {listed!r}; choose one of: {', '.join(AUGMENTATIONS)}")
        merged["augment"] = AUGMENTATIONS[listed]
    return merged


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = base.keys() & over.keys()
    nested = {
        key: _merge(base[key], over[key]) for key in both if isinstance(base[key], dict) and isinstance(over[key], dict)
    }
    return {**base, **over, **nested}
