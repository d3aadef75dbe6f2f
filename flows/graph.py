"""DVC's resolved stage graph."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from limelight.foundation.errors import UserError

if TYPE_CHECKING:
    from dvc.stage import Stage

TIMED = "evaluate@"
"""Stages that measure how long networks take, and so run alone."""


def stages_to_run(targets: list[str] | None = None) -> dict[str, list[str]]:
    """Find the stages that are out of date or depend on one that is, each with those of them it must wait for.

    Stages that DVC runs every time (`always_changed`) are left out and make nothing stale: run them before calling.

    Args:
        targets: limit to these stages or groups of stages ('train'), and what they depend on; none = all.

    Returns:
        Stage name -> names of its direct dependencies within the result, in an order that respects them, with
        evaluations as late as it allows.

    Raises:
        UserError: dvc.yaml has no such target, or `dvc status` fails.
    """
    from dvc.repo import Repo
    from networkx import ancestors, descendants, lexicographical_topological_sort

    with Repo() as repo:
        # DVC's edges point from a stage to what it depends on. Stages of .dvc files have no name to run by.
        graph = repo.index.graph.reverse()
        names = {stage: getattr(stage, "name", "") for stage in graph}
        candidates = {stage for stage, name in names.items() if name and not stage.always_changed}
        within = candidates
        if targets:
            selected = _selected(names, set(targets))
            within = selected.union(*(ancestors(graph, stage) for stage in selected))
        changed_names = _changed()
        changed = {stage for stage in graph if names[stage] in changed_names and not stage.always_changed}
        stale = {other for stage in changed for other in ({stage} | descendants(graph, stage))}
        order = lexicographical_topological_sort(graph, key=lambda stage: names[stage].startswith(TIMED))
        chosen = [stage for stage in order if stage in within & candidates & stale]
        return {
            names[stage]: [names[other] for other in graph.predecessors(stage) if other in chosen] for stage in chosen
        }


def _selected(names: "Mapping[Stage, str]", targets: set[str]) -> "set[Stage]":
    """Find the stages of these names and groups: 'train' is every stage 'train@...', as for `dvc repro`."""
    aliases = {stage: {name, name.split("@")[0]} for stage, name in names.items() if name}
    if missing := targets.difference(*aliases.values()):
        raise UserError(f"dvc.yaml has no stage {', '.join(sorted(missing))}; `dvc stage list` shows those it has")
    return {stage for stage, own in aliases.items() if own & targets}


def _changed() -> set[str]:
    """Names of the stages that `dvc status` calls changed."""
    dvc = str(Path(sys.executable).with_name("dvc"))
    answer = subprocess.run([dvc, "--wait-for-lock", "status", "--json"], capture_output=True, text=True)
    if answer.returncode:
        raise UserError(f"dvc status failed: {answer.stderr.strip() or answer.stdout.strip()}")
    return {name.removeprefix("dvc.yaml:") for name in json.loads(answer.stdout)}
