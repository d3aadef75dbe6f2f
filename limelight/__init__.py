"""Large saliency models turned into small, fast, served ones."""

__version__ = "0.1.0"
