"""Sizes of the parts of a latent diffusion model, as JSON, since they are stored in the options of a card.

The keys are diffusers' own; missing ones have diffusers' default, which is Stable Diffusion's.
"""

from typing import Any

from limelight.foundation.errors import UserError

Config = dict[str, Any]

PUBLISHED_STEPS = 10
"""Denoising steps that diffSOD and Seg-diffusion are published with, each in ensembles of ten."""

SCHEDULER_SD2: Config = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
"""Noise schedule of Stable Diffusion 2 at 768 pixels, the model that predicts velocities."""

UNETS: dict[str, Config] = {
    "sd2": {
        "in_channels": 8,
        "out_channels": 4,
        "sample_size": 48,
        "block_out_channels": [320, 640, 1280, 1280],
        "attention_head_dim": [5, 10, 20, 20],
        "cross_attention_dim": 1024,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "use_linear_projection": True,
    },
    "tiny": {
        "in_channels": 16,
        "out_channels": 8,
        "sample_size": 16,
        "block_out_channels": [32, 64, 64],
        "attention_head_dim": [2, 4, 4],
        "cross_attention_dim": 32,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "use_linear_projection": True,
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": 4,
        "resnet_time_scale_shift": "scale_shift",
    },
}
"""Two latents come in, the image's and the noisy mask's. attention_head_dim counts heads, not channels. 'tiny' also
scales every block's features by what its tokens say together."""

VAES: dict[str, Config] = {
    "sd2": {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 768,
        "scaling_factor": 0.18215,
    },
    "tiny": {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [8, 16, 32],
        "down_block_types": ["DownEncoderBlock2D"] * 3,
        "up_block_types": ["UpDecoderBlock2D"] * 3,
        "layers_per_block": 1,
        "latent_channels": 8,
        "norm_num_groups": 4,
        "sample_size": 64,
        "scaling_factor": 0.18215,
    },
    "taesd": {"_class_name": "AutoencoderTiny"},
}
"""Latents are eight times smaller than the picture on either side, those of 'tiny' four times, since its pictures are
small already. 'taesd' decodes Stable Diffusion's latents 18 times cheaper than its own decoder."""

SCHEDULERS: dict[str, Config] = {"sd2": SCHEDULER_SD2}


def chosen(value: str | Config, known: dict[str, Config], what: str) -> Config:
    """Look up a config by name; a config itself is returned as it is.

    Raises:
        UserError: no config has that name.
    """
    if not isinstance(value, str):
        return value
    if value not in known:
        raise UserError(f"unknown {what} {value!r}; choose one of {', '.join(known)}, or give its settings as a dict")
    return known[value]
