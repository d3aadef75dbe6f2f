"""Tracking of runs in MLflow.

A tracker that is off, missing or down never stops a stage: every number is in the stage's own JSON as well. MLflow is
imported only when a run is tracked, since that takes seconds.
"""

import os
import re
import socket
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from limelight.config import Params, Tracking, load_params
from limelight.foundation.errors import reason_of
from limelight.foundation.files import read_json
from limelight.journal import FOLDER as JOURNAL
from limelight.models.identity import FOLDER_TAG, folder_sha256
from limelight.models.weights import CARD
from limelight.provenance import pipeline_key, provenance
from limelight.store_home import HOME_TAG, check_reachable, database_of, home_of, relocate_paths

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PATIENCE_S = 3.0
"""Timeout of the check that a tracker is alive."""
_CREATION_S = 90.0
"""Timeout for another process to create the store; MLflow's first migration runs for seconds."""
_LOCK = Path("work/mlflow.lock")
"""Of stores that are no file here."""

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


class Tracker:
    """One run in MLflow. Without a client, and after the first failure (reported in one line), every method does
    nothing."""

    def __init__(
        self, client: "MlflowClient | None" = None, experiment_id: str = "", run_id: str | None = None
    ) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self.run_id = run_id

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log settings; nested mappings become dotted names. A name that the run has already keeps its value."""

        def log(client: "MlflowClient") -> None:
            from mlflow.entities import Param

            known = client.get_run(self.run_id).data.params
            given = {_allowed(key): str(value)[:6000] for key, value in _flatten(values).items()}
            new = [Param(key, value) for key, value in given.items() if key not in known]
            client.log_batch(self.run_id, params=new)

        self._attempt(log)

    def log_metrics(self, values: Mapping[str, Any], step: int = 0, model_id: str | None = None) -> None:
        """Log numbers of one step (an epoch, if there are epochs) or of a logged model; nested names become dotted."""
        self._attempt(lambda client: client.log_batch(self.run_id, metrics=_metrics(_flatten(values), step, model_id)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        def log(client: "MlflowClient") -> None:
            from mlflow.entities import RunTag

            client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

        self._attempt(log)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file (images too) or a whole folder, under its own name or in `folder` of the run's artifacts."""
        kind = "log_artifacts" if path.is_dir() else "log_artifact"
        self._attempt(lambda client: getattr(client, kind)(self.run_id, str(path), folder))

    def log_dataset(self, name: str, digest: str, source: Path, context: str = "training") -> None:
        """Log a dataset that the run read: name, hash (its first 36 digits are kept) and location."""

        def log(client: "MlflowClient") -> None:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            dataset = Dataset(name, digest[:36], "local", str(source))
            tag = InputTag("mlflow.data.context", context)
            client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, [tag])])

        self._attempt(log)

    def log_weights(self, folder: Path, metrics: Mapping[str, float], step: int = 0) -> str | None:
        """Log a weights folder as a model: safetensors and card as they are, no pickle, no fixed input size.

        Returns:
            The model's id, for `limelight.champions.registry.register`; None if nothing is tracked.
        """

        def log(client: "MlflowClient") -> str:
            from mlflow.entities import LoggedModelOutput

            card = read_json(folder / CARD)
            architecture, provenance = card["architecture"], card["provenance"]
            facts = {key: str(architecture[key]) for key in ("model", "family", "form", "parameters")}
            facts |= {"input_size": str(card["prepare"]["size"]), "licence": str(provenance["licence"])}
            model = client.create_logged_model(
                self._experiment_id,
                name=folder.name,
                source_run_id=self.run_id,
                tags={"weights.sha256": provenance["sha256"], FOLDER_TAG: folder_sha256(folder)},
                params=facts,
                model_type="safetensors",
            )
            client.log_model_artifacts(model.model_id, str(folder))
            client.finalize_logged_model(model.model_id, "READY")
            client.log_batch(self.run_id, metrics=_metrics(metrics, step, model.model_id))
            client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step)])
            client.set_tag(self.run_id, "weights.sha256", provenance["sha256"])
            return model.model_id

        return self._attempt(log)

    def _attempt(self, action: Callable[["MlflowClient"], Any]) -> Any:
        if self._client is None:
            return None
        try:
            return action(self._client)
        except Exception as error:  # no tracking failure may abort a training
            self._client = None
            _warn(error)
            return None


@contextmanager
def tracked_run(
    params: Params, stage: str, name: str = "", *, key: str | None = None, tags: Mapping[str, str] | None = None
) -> Iterator[Tracker]:
    """Track one stage's run, as a child of its pipeline run.

    The parent is LIMELIGHT_PARENT_RUN where that is set, else the run of the same code revision, settings and data,
    made by whichever stage comes first: one `dvc repro` is one parent. Under torchrun the first process alone tracks.

    Args:
        stage, name: e.g. 'train', 'teacher'; the run is called 'train teacher'.
        key: identifies resumable work. An unfinished run with this key is continued.
        tags: in addition to those of `provenance`.
    """
    tracker = Tracker()
    if params.tracking.enabled and os.environ.get("RANK", "0") == "0":
        tracker = _start(params, f"{stage} {name}".strip(), key, {"stage": stage, **(tags or {})})
    try:
        yield tracker
    except BaseException as error:
        stopped = isinstance(error, SystemExit | KeyboardInterrupt)
        _finish(tracker, "KILLED" if stopped else "FAILED")
        raise
    _finish(tracker, "FINISHED")


@contextmanager
def open_store(tracking: Tracking) -> Iterator[tuple["MlflowClient", str]]:
    """Yield a client of a reachable store and its experiment's id; both store and experiment are created if missing.

    The paths of a store on disk are updated if its project was moved or copied.

    Raises:
        Exception: of whatever kind, within seconds, if the store is unreachable, locked or not a store.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    database = database_of(tracking)
    # Two processes that create the same SQLite store at the same time break each other's migration; and stages that
    # start together would each make a run for their pipeline.
    lock = database.with_name(f"{database.name}.lock") if database else _LOCK
    with _locked(lock):
        _check_alive(tracking.uri, database)
        relocate_paths(tracking)
    import mlflow

    with _locked(lock):
        mlflow.set_tracking_uri(tracking.uri)  # parts of MLflow use this rather than the client's
        client = mlflow.MlflowClient(tracking.uri)
        experiment = client.get_experiment_by_name(tracking.experiment)
        if experiment:
            experiment_id = experiment.experiment_id
            if database:
                check_reachable(experiment.artifact_location)
        elif database:
            root = Path(tracking.artifacts).absolute()
            root.mkdir(parents=True, exist_ok=True)
            home = {HOME_TAG: str(home_of(database))}
            experiment_id = client.create_experiment(tracking.experiment, root.as_uri(), home)
        else:
            experiment_id = client.create_experiment(tracking.experiment)
        yield client, experiment_id


def _start(params: Params, name: str, key: str | None, tags: dict[str, str]) -> Tracker:
    try:
        facts = provenance(params)
        with open_store(params.tracking) as (client, experiment_id):
            log_journal(client, experiment_id)
            parent = os.environ.get("LIMELIGHT_PARENT_RUN") or _parent(client, experiment_id, facts)
            run_id = _unfinished(client, experiment_id, parent, key) if key else None
            if run_id is None:
                own = {**facts, **tags, "mlflow.parentRunId": parent, "limelight.key": key or ""}
                run_id = client.create_run(experiment_id, tags=own, run_name=name).info.run_id
            return Tracker(client, experiment_id, run_id)
    except Exception as error:
        _warn(error)
        return Tracker()


def log_journal(client: "MlflowClient", experiment_id: str, folder: Path = JOURNAL) -> None:
    """Log the runs recorded by `limelight.journal.noted_run`, oldest first; those that fail stay in the journal."""
    if not folder.is_dir():
        return
    with _locked(folder / "lock"):
        for path in sorted(folder.glob("*.json")):
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
    if tracker._client is None:
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
            _end_parent(client, tracker._experiment_id, parent)

    tracker._attempt(finish)


def _end_parent(client: "MlflowClient", experiment_id: str, parent: str) -> None:
    """End a pipeline's run with its last stage, as FAILED or KILLED if the newest run of any stage is."""
    query, order = f"tags.`mlflow.parentRunId` = '{parent}'", ["attributes.start_time ASC"]
    newest = {run.info.run_name: run.info for run in client.search_runs([experiment_id], query, order_by=order)}
    statuses = {info.status for info in newest.values()}
    status = next((status for status in ("FAILED", "KILLED") if status in statuses), "FINISHED")
    client.set_terminated(parent, status, end_time=max(info.end_time or 0 for info in newest.values()))


def _metrics(values: Mapping[str, float | None], step: int, model_id: str | None = None) -> list[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(_allowed(key), float(value), now, step, model_id=model_id)
        for key, value in values.items()
        if value is not None  # NaN, where it was written as JSON
    ]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _allowed(name: str) -> str:
    """A name of a figure or setting with `_` for what MLflow refuses: names of datasets and methods are part of it."""
    return re.sub(r"[^/\w.\- :]", "_", name)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout  # its import takes a tenth of a second

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path).acquire(timeout=_CREATION_S)
    except Timeout:
        raise TimeoutError(f"{path} is held by another process") from None
    with held:
        yield


def _check_alive(uri: str, database: Path | None) -> None:
    """Check that the store is reachable before MLflow tries: its own retries take minutes."""
    if database and database.is_file():
        with closing(sqlite3.connect(database, timeout=_PATIENCE_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    elif uri.startswith(("http://", "https://")):
        with suppress(urllib.error.HTTPError):  # an error status is an answer too
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_PATIENCE_S).close()
    elif "://" in uri and (parts := urlsplit(uri)).hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=_PATIENCE_S).close()


def _warn(error: Exception) -> None:
    reason = reason_of(error)
    print(f"warning: MLflow tracking stopped: {reason}; the numbers are in the reports", file=sys.stderr)


def main() -> None:
    """Log the journal's pending runs: `python -m limelight.tracking`."""
    params = load_params()
    if params.tracking.enabled:
        try:
            with open_store(params.tracking) as (client, experiment_id):
                log_journal(client, experiment_id)
        except Exception as error:
            _warn(error)


if __name__ == "__main__":
    main()
