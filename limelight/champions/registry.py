"""The model registry: versions of tracked weights, and which of them is the champion."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limelight.config import Tracking
from limelight.foundation.errors import UserError, reason_of
from limelight.models.identity import FOLDER_TAG
from limelight.tracking.store import open_store
from limelight.tracking.store_home import lost_weights

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Registered:
    """A registered version that carries an alias."""

    name: str
    version: str
    model_id: str
    sha256: str
    """Hash of its weights."""
    folder_sha256: str
    """Hash of its whole folder; empty where an earlier Limelight registered it."""
    metrics: dict[str, float]


def register(tracking: Tracking, model_id: str) -> str:
    """Make a logged model a version of `tracking.registered_model`; a folder already registered keeps its version.

    Args:
        model_id: from `Tracker.log_weights`.

    Returns:
        The version.

    Raises:
        UserError: the store does not answer, or knows no such model.
    """
    with _client(tracking) as client:
        name = tracking.registered_model
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        logged = client.get_logged_model(model_id).tags
        hashes = {name: logged[name] for name in ("weights.sha256", FOLDER_TAG)}
        for version in client.search_model_versions(f"name = '{name}'"):
            if version.tags.get(FOLDER_TAG) == hashes[FOLDER_TAG]:
                return str(version.version)
        tags = {**hashes, "model.id": model_id}  # MLflow's own field stays empty on a SQL store
        made = client.create_model_version(name, f"models:/{model_id}", tags=tags, model_id=model_id)
        return str(made.version)


def set_alias(tracking: Tracking, alias: str, version: str) -> None:
    """Point an alias ('champion', 'challenger') at a version; the version that had it loses it.

    Raises:
        UserError: the store does not answer, or there is no such version.
    """
    with _client(tracking) as client:
        client.set_registered_model_alias(tracking.registered_model, alias, version)


def holder(tracking: Tracking, alias: str = "champion") -> Registered | None:
    """The version that carries an alias; None where none does.

    Raises:
        UserError: the store does not answer, or the version's files are gone.
    """
    with _client(tracking) as client:
        name = tracking.registered_model
        models = client.search_registered_models(f"name = '{name}'")
        version = dict(models[0].aliases).get(alias) if models else None
        if version is None:
            return None
        tags = client.get_model_version(name, version).tags
        model = client.get_logged_model(tags["model.id"])
        if folder := lost_weights(model.artifact_location):
            raise UserError(
                f"{alias} version {version} of {name} has lost its files: {folder} is not there or incomplete; restore "
                "it, or give the alias to another version"
            )
        metrics = {metric.key: metric.value for metric in model.metrics or []}
        hashes = tags["weights.sha256"], tags.get(FOLDER_TAG, "")
        return Registered(name, str(version), tags["model.id"], *hashes, metrics)


def find_model(tracking: Tracking, sha256: str) -> str | None:
    """The id of the newest logged model of this weights folder; None where it was never tracked.

    Args:
        sha256: from `limelight.models.identity.folder_sha256`.

    Raises:
        UserError: the store does not answer.
    """
    with _client(tracking) as client:
        experiment = client.get_experiment_by_name(tracking.experiment)
        models = client.search_logged_models([experiment.experiment_id], f"tags.`{FOLDER_TAG}` = '{sha256}'")
        # Of a model whose upload failed the tag is there, and not all files.
        return next((model.model_id for model in models if model.status == "READY"), None)


@contextmanager
def _client(tracking: Tracking) -> Iterator["MlflowClient"]:
    try:
        with open_store(tracking) as (client, _):
            yield client
    except UserError:
        raise
    except Exception as error:
        reason = reason_of(error)
        raise UserError(f"the model registry at {tracking.uri} failed: {reason}; is the tracker running?") from error
