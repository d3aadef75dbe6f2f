"""The networks, and their weights. Imports nothing of this repository but itself, `foundation` and `download`.

PyTorch is imported when a network is built.
"""

from limelight.models.registry import create_model, list_models

__all__ = ["create_model", "list_models"]
