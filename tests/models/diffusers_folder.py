"""A Stable Diffusion base in diffusers' layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_folder(folder: Path | str, parts: Mapping[str, Any]) -> None:
    """Write parts, weights as safetensors.

    Args:
        parts: 'unet', 'vae', 'scheduler', 'text_encoder', 'tokenizer' to anything with `save_pretrained`.
    """
    for name, part in parts.items():
        part.save_pretrained(Path(folder) / name)
