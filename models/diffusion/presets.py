"""Published recipes; see `limelight.config.presets`."""

from typing import Any

_DIFFUSION: dict[str, Any] = {
    "size": {"input": 384},
    "optimiser": {"name": "adamw", "lr": 3e-5, "weight_decay": 1e-2, "clip_norm": 1.0},
}

PRESETS: dict[str, dict[str, Any]] = {
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
