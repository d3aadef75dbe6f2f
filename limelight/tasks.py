"""What a network can be asked to do; each task has its metrics, its champion and its service."""

SALIENCY, WORDS = "saliency", "words"
"""Finding what is salient, and finding what words name."""
