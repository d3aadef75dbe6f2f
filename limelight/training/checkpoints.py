"""The resume state of a training: written atomically, tied to one set of settings and inputs."""

import hashlib
import json
import pickle
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from limelight.config import Run
from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path

RECIPE_VERSION = 4
"""Incremented when a code change makes the same settings train differently; older states are then not resumed."""

KEEP = 2
_NEUTRAL = {"workers", "cache_mb", "checkpoint_minutes"}
"""Settings of `compute` that do not affect a training's result."""


@dataclass
class Progress:
    """How far a training has come."""

    epoch: int = 0
    """Epochs finished."""
    step: int = 0
    """Optimiser steps made in the current, unfinished epoch."""
    sums: dict[str, float] = field(default_factory=dict)
    """Loss and parts, summed over those steps."""
    records: list[dict[str, float]] = field(default_factory=list)
    """One per finished epoch, see `History`."""

    def add(self, values: Mapping[str, float]) -> None:
        """Count one more step, with its loss and parts."""
        self.step += 1
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in values.items()}


class Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


def state_key(run: Run, **inputs: Any) -> str:
    """Return 16 hex digits that change with whatever changes a training's result: settings, data, teacher, seed, code.

    Only settings given by the run or its preset count, so that a setting that is new in this version leaves older
    states valid. Changing a default needs a new `RECIPE_VERSION`.

    Args:
        inputs: anything JSON can hold, e.g. seed=0, manifest='ab12...', teacher='cd34...'.
    """
    given = run.model_dump(mode="json", exclude_unset=True, exclude={"preset": True, "compute": _NEUTRAL})
    given = {name: value for name, value in given.items() if value != {}}
    facts = {"run": given, "inputs": inputs, "version": RECIPE_VERSION}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


class Checkpoints:
    """The newest two states of one training, in a folder named by its key.

    Args:
        folder: `work/<run>/<key>`.
        minutes: between two states within an epoch.
        writes: whether this process is the one that saves.
    """

    def __init__(self, folder: Path, minutes: float, *, writes: bool = True) -> None:
        self.folder = folder
        self.seconds = minutes * 60
        self.writes = writes
        self.last_saved = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self.last_saved >= self.seconds

    @property
    def newest(self) -> Path | None:
        return max(self.folder.glob("*.pt"), default=None)

    def save(self, parts: Mapping[str, Stateful], progress: Progress) -> None:
        """Write the state of `parts` as it is now; a file under its final name is always whole.

        Raises:
            UserError: the disk is full; the states written before remain.
        """
        self.last_saved = time.monotonic()
        if not self.writes:
            return
        state = {name: part.state_dict() for name, part in parts.items()}
        path = self.folder / f"epoch{progress.epoch:05}-step{progress.step:07}.pt"
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            torch.save({"key": self.folder.name, "progress": asdict(progress), "parts": state}, handle)
        for old in sorted(self.folder.glob("*.pt"))[:-KEEP]:
            old.unlink()

    def restore(self, parts: Mapping[str, Stateful]) -> Progress:
        """Load the newest readable state into `parts`; without one, leave them and return an empty Progress.

        Raises:
            UserError: the state belongs to a training with other settings or inputs.
        """
        for path in sorted(self.folder.glob("*.pt"), reverse=True):
            try:
                saved = torch.load(path, map_location="cpu", weights_only=True)
            except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
                print(f"warning: {path} cannot be read ({error}); trying the one before", file=sys.stderr)
                continue
            if saved["key"] != self.folder.name:
                raise UserError(
                    f"{path} belongs to a training with other settings or data (key {saved['key']}, this one has "
                    f"{self.folder.name}); delete it or move it back to its folder"
                )
            for name, part in parts.items():
                part.load_state_dict(saved["parts"][name])
            return Progress(**saved["progress"])
        return Progress()
