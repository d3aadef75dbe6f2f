"""Sizes of Seg-diffusion's text encoder, as JSON.

The keys are those of transformers' CLIPTextConfig; missing ones have its defaults.
"""

from limelight.models.diffusion.configs import Config

TEXTS: dict[str, Config] = {
    "sd2": {
        "vocab_size": 49408,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
        "max_position_embeddings": 77,
        "hidden_act": "gelu",
    },
    "tiny": {
        "vocab_size": 1024,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "hidden_act": "gelu",
        "bos_token_id": 838,
        "eos_token_id": 839,
        "pad_token_id": 839,
    },
}
"""'sd2' is OpenCLIP-H without its last layer, as Stable Diffusion 2 uses it."""
