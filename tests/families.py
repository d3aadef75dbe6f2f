"""What params.yaml says of the families of a test's runs."""

from collections.abc import Mapping
from typing import Any

from limelight.models.registry import entry


def family_of(run: Mapping[str, Any]) -> str:
    return entry(run["model"]).family


def families(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Run -> family, as `train` has it."""
    return {name: family_of(run) for name, run in runs.items()}


def taught(runs: Mapping[str, Mapping[str, Any]], teachers: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Run -> family and teacher, as `distill` has it."""
    return {name: {"family": family_of(runs[name]), "teacher": teacher} for name, teacher in teachers.items()}
