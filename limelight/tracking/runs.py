"""Tracking of runs in MLflow.

A tracker that is off, missing or down never stops a stage: every number is in the stage's own JSON as well. MLflow is
imported only when a run is tracked, since that takes seconds.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limelight.config import Params
from limelight.foundation.files import read_json
from limelight.tracking.journal import FOLDER as JOURNAL
from limelight.tracking.provenance import pipeline_key, provenance
from limelight.tracking.store import locked, open_store
from limelight.tracking.tracker import Tracker, warn_stopped

if TYPE_CHECKING:
    from mlflow import MlflowClient


@contextmanager
def tracked_run(params: Params, stage: str, name: str = "", *, key: str | None = None) -> Iterator[Tracker]:
    """Track one stage's run, as a child of its pipeline run.

    The parent is LIMELIGHT_PARENT_RUN where that is set, else the run of the same code revision, settings and data,
    made by whichever stage comes first: one `dvc repro` is one parent. Under torchrun the first process alone tracks.

    Args:
        stage, name: e.g. 'train', 'teacher'; the run is called 'train teacher'.
        key: identifies resumable work. An unfinished run with this key is continued.
    """
    tracker = Tracker()
    if params.tracking.enabled and os.environ.get("RANK", "0") == "0":
        tracker = _start(params, stage, name, key)
    try:
        yield tracker
    except BaseException as error:
        stopped = isinstance(error, SystemExit | KeyboardInterrupt)
        _finish(tracker, "KILLED" if stopped else "FAILED")
        raise
    _finish(tracker, "FINISHED")


def _start(params: Params, stage: str, name: str, key: str | None) -> Tracker:
    try:
        facts = provenance(params)
        with open_store(params.tracking) as (client, experiment_id):
            log_journal(client, experiment_id)
            parent = os.environ.get("LIMELIGHT_PARENT_RUN") or _parent(client, experiment_id, facts)
            run_id = _unfinished(client, experiment_id, parent, key) if key else None
            if run_id is None:
                tags = {**facts, "stage": stage, "mlflow.parentRunId": parent, "limelight.key": key or ""}
                run_name = f"{stage} {name}".strip()
                run_id = client.create_run(experiment_id, tags=tags, run_name=run_name).info.run_id
            return Tracker(client, experiment_id, run_id)
    except Exception as error:
        warn_stopped(error)
        return Tracker()


def log_journal(client: "MlflowClient", experiment_id: str) -> None:
    """Log the runs recorded by `limelight.tracking.journal.noted_run`, oldest first; those that fail stay there."""
    if not JOURNAL.is_dir():
        return
    with locked(JOURNAL / "lock"):
        for path in sorted(JOURNAL.glob("*.json")):
            _log_entry(client, experiment_id, read_json(path), path.stem)
            path.unlink()


def _log_entry(client: "MlflowClient", experiment_id: str, entry: dict[str, Any], name: str) -> None:
    parent = entry["parent"] or _parent(client, experiment_id, entry["facts"])
    tags = {**entry["facts"], **entry["tags"], "mlflow.parentRunId": parent, "limelight.entry": name}
    for half in client.search_runs([experiment_id], f"tags.`limelight.entry` = '{name}'"):
        client.delete_run(half.info.run_id)  # the store failed while it was logged
    run = client.create_run(experiment_id, start_time=entry["started"], tags=tags, run_name=entry["name"]).info.run_id
    tracker = Tracker(client, experiment_id, run)
    tracker.log_params(entry["params"])
    tracker.log_metrics(entry["metrics"])
    for path in filter(Path.exists, map(Path, entry["artifacts"])):
        tracker.log_artifact(path, path.name if path.is_dir() else None)
    if tracker.client is None:
        raise ConnectionError(f"the store failed half-way through {entry['name']}")
    client.set_terminated(run, entry["status"], end_time=entry["ended"])
    if not entry["parent"]:
        _end_parent(client, experiment_id, parent)


def _parent(client: "MlflowClient", experiment_id: str, facts: dict[str, str]) -> str:
    key = pipeline_key(facts)
    runs = client.search_runs([experiment_id], f"tags.`limelight.pipeline` = '{key}'", max_results=1)
    if runs:
        return runs[0].info.run_id
    name = f"pipeline {facts.get('mlflow.source.git.commit', '')[:7]} {facts['params.profile']}"
    kept = {key: value for key, value in facts.items() if key != "dvc.stage"}
    run = client.create_run(experiment_id, tags={**kept, "limelight.pipeline": key}, run_name=name)
    return run.info.run_id


def _unfinished(client: "MlflowClient", experiment_id: str, parent: str, key: str) -> str | None:
    query = f"tags.`limelight.key` = '{key}' and tags.`mlflow.parentRunId` = '{parent}'"
    for run in client.search_runs([experiment_id], query, max_results=5):
        if run.info.status in ("RUNNING", "KILLED"):
            client.update_run(run.info.run_id, status="RUNNING")
            return run.info.run_id
    return None


def _finish(tracker: Tracker, status: str) -> None:
    def finish(client: "MlflowClient") -> None:
        client.set_terminated(tracker.run_id, status)
        parent = client.get_run(tracker.run_id).data.tags.get("mlflow.parentRunId")
        if parent and not os.environ.get("LIMELIGHT_PARENT_RUN"):
            _end_parent(client, tracker.experiment_id, parent)

    tracker.attempt(finish)


def _end_parent(client: "MlflowClient", experiment_id: str, parent: str) -> None:
    """End a pipeline's run with its last stage, as FAILED or KILLED if the newest run of any stage is."""
    query, order = f"tags.`mlflow.parentRunId` = '{parent}'", ["attributes.start_time ASC"]
    newest = {run.info.run_name: run.info for run in client.search_runs([experiment_id], query, order_by=order)}
    statuses = {info.status for info in newest.values()}
    status = next((status for status in ("FAILED", "KILLED") if status in statuses), "FINISHED")
    client.set_terminated(parent, status, end_time=max(info.end_time or 0 for info in newest.values()))
