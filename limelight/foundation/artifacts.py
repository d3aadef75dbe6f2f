"""The weights folders that the pipeline makes, one for each run and one for its inference form."""

from pathlib import Path

ARTIFACTS = Path("artifacts")
_MERGED = "-deploy"


def merged_name(run: str) -> str:
    """The artifact that holds a run's inference form and its exports: 'base' -> 'base-deploy'."""
    return f"{run}{_MERGED}"


def run_name(artifact: str) -> str:
    """The run that an artifact comes from: 'base' or 'base-deploy' -> 'base'."""
    return artifact.removesuffix(_MERGED)
