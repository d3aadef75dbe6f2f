"""The networks. Imports torch and timm, and nothing of this repository but itself."""

from limelight.models.registry import create_model, list_models

__all__ = ["create_model", "list_models"]
