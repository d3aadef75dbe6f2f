"""DVC's resolved stage graph."""

import json
import subprocess
import sys
from pathlib import Path


def stages_to_run(targets: list[str] | None = None) -> dict[str, list[str]]:
    """Find the stages that are out of date or depend on one that is, each with those of them it must wait for.

    Stages that DVC runs every time (`always_changed`) are left out and make nothing stale: run them before calling.

    Args:
        targets: limit to these stages and what they depend on; none = all.

    Returns:
        Stage name -> names of its direct dependencies within the result, in an order that respects them.
    """
    from dvc.repo import Repo
    from networkx import ancestors, descendants, topological_sort

    with Repo() as repo:
        # DVC's edges point from a stage to what it depends on. Stages of .dvc files have no name to run by.
        graph = repo.index.graph.reverse()
        names = {stage: getattr(stage, "name", "") for stage in graph}
        candidates = {stage for stage, name in names.items() if name and not stage.always_changed}
        selected = {stage for stage in candidates if not targets or names[stage] in targets}
        missing = set(targets or ()) - {names[stage] for stage in selected}
        if missing:
            raise ValueError(f"dvc.yaml has no stage {', '.join(sorted(missing))}")
        within = selected.union(*(ancestors(graph, stage) for stage in selected)) if targets else candidates
        changed_names = _changed()
        changed = {stage for stage in graph if names[stage] in changed_names and not stage.always_changed}
        stale = {other for stage in changed for other in ({stage} | descendants(graph, stage))}
        chosen = [stage for stage in topological_sort(graph) if stage in within & candidates & stale]
        return {
            names[stage]: [names[other] for other in graph.predecessors(stage) if other in chosen] for stage in chosen
        }


def _changed() -> set[str]:
    """Names of the stages that `dvc status` calls changed."""
    dvc = str(Path(sys.executable).with_name("dvc"))
    answer = subprocess.run([dvc, "--wait-for-lock", "status", "--json"], capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(f"dvc status failed: {answer.stderr.strip() or answer.stdout.strip()}")
    return {name.removeprefix("dvc.yaml:") for name in json.loads(answer.stdout)}
