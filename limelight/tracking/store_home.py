"""Repair of MLflow's SQLite store after its project was moved or copied.

MLflow writes absolute artifact paths into the database, even if it was given relative ones. The project's folder is
therefore stored as a tag of the experiment; once it has changed, every path below it is rewritten. Paths elsewhere,
other databases and servers are left alone.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from limelight.config import Tracking
from limelight.foundation.errors import UserError
from limelight.models.weights import CARD, WEIGHTS

HOME_TAG = "limelight.home"
_SQLITE = "sqlite:///"
_DEFAULT_EXPERIMENT = Path("mlruns/0")
"""Artifacts of MLflow's first experiment, relative to the folder in which it made the database; for stores without the
tag."""
_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def database_of(tracking: Tracking) -> Path | None:
    """The file of an SQLite store; None for other stores."""
    return Path(tracking.uri.removeprefix(_SQLITE)) if tracking.uri.startswith(_SQLITE) else None


def home_of(database: Path) -> Path:
    """The project folder of a database: the working folder, or the database's own if its path is absolute."""
    return database.parent if database.is_absolute() else Path.cwd()


def moved_from(tracking: Tracking) -> Path | None:
    """The project's folder when the store's paths were written; None if it is still the same."""
    database = database_of(tracking)
    if database is None or not database.is_file():
        return None
    with closing(sqlite3.connect(database)) as connection:
        recorded = _recorded(connection, tracking.experiment, trusted=not database.is_absolute())
    # A database in a sub-folder that is now given by an absolute path has not moved.
    if recorded == home_of(database) or (recorded and database.is_absolute() and database.is_relative_to(recorded)):
        return None
    return recorded


def relocate_paths(tracking: Tracking) -> None:
    """Rewrite the paths of an SQLite store whose project moved, all or none. The caller holds the store's lock.

    Raises:
        sqlite3.Error: the database is locked or damaged.
    """
    old, database = moved_from(tracking), database_of(tracking)
    if old is None or database is None:
        return
    new = home_of(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.create_function("moved", 1, lambda value: _moved(value, old, new))
        for table, column in _PATHS:
            if column in _columns(connection, table):
                connection.execute(f'UPDATE "{table}" SET "{column}" = moved("{column}") WHERE "{column}" IS NOT NULL')
        connection.execute(
            "UPDATE experiment_tags SET value = ? WHERE key = ? AND value = ?", (str(new), HOME_TAG, str(old))
        )


def check_reachable(location: str) -> None:
    """Check that an artifact root exists, before MLflow re-creates a missing one.

    Raises:
        UserError: the artifact root is local and its folder is gone.
    """
    path = local_path(location)
    if path is not None and not path.parent.is_dir():
        raise UserError(
            f"the experiment keeps its artifacts in {path}, and {path.parent} is gone; restore it, or give another "
            "tracking.experiment in params.yaml"
        )


def lost_weights(location: str) -> Path | None:
    """The folder of tracked weights if it is local and lacks a file; MLflow would download an empty folder."""
    folder = local_path(location)
    if folder is None or all((folder / name).is_file() for name in (CARD, WEIGHTS)):
        return None
    return folder


def lost_versions(tracking: Tracking) -> list[str]:
    """Registered versions with an alias whose files an SQLite store has lost, such as 'champion version 1 of limelight:
    <folder>'."""
    database = database_of(tracking)
    if database is None or not database.is_file():
        return []
    old, new = moved_from(tracking), home_of(database)
    with closing(sqlite3.connect(database)) as connection:
        if not _columns(connection, "registered_model_aliases"):
            return []
        rows = connection.execute(
            "SELECT alias, version, name, storage_location FROM registered_model_aliases JOIN model_versions "
            "USING (name, version) WHERE storage_location IS NOT NULL ORDER BY name, alias"
        ).fetchall()
    return [
        f"{alias} version {version} of {name}: {folder}"
        for alias, version, name, location in rows
        if (folder := lost_weights(_moved(location, old, new) if old else location))
    ]


def local_path(location: str) -> Path | None:
    """The path of a location as MLflow stores it, plain or as a file URI; None where it is not local."""
    if location.startswith("/"):
        return Path(location)
    parts = urlsplit(location)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _recorded(connection: sqlite3.Connection, experiment: str, *, trusted: bool) -> Path | None:
    """The project's folder, from the experiment's tag or, where that is `trusted`, from MLflow's first experiment."""
    if not _columns(connection, "experiment_tags"):
        return None
    tagged = connection.execute(
        "SELECT value FROM experiment_tags JOIN experiments USING (experiment_id) WHERE name = ? AND key = ?",
        (experiment, HOME_TAG),
    ).fetchone()
    if tagged:
        return Path(tagged[0])
    first = connection.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
    path = local_path(first[0]) if first and first[0] and trusted else None
    if path is None or Path(*path.parts[-2:]) != _DEFAULT_EXPERIMENT:
        return None
    return path.parent.parent


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')}


def _moved(location: str, old: Path, new: Path) -> str:
    path = local_path(location)
    if path is None or not path.is_relative_to(old):
        return location
    there = new / path.relative_to(old)
    return there.as_uri() if location.startswith("file:") else str(there)
