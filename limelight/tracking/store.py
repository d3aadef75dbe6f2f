"""MLflow's store: reached, or created, by one process at a time."""

import os
import socket
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from limelight.config import Tracking
from limelight.tracking.store_home import HOME_TAG, check_reachable, database_of, home_of, relocate_paths

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
    with locked(lock):
        _check_alive(tracking.uri, database)
        relocate_paths(tracking)
    import mlflow

    with locked(lock):
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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes, which `path` is the file of.

    Raises:
        TimeoutError: another process held it for too long.
    """
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
