"""One run in MLflow, as stages write to it."""

import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limelight.foundation.errors import reason_of
from limelight.foundation.files import read_json
from limelight.models.identity import FOLDER_TAG, folder_sha256
from limelight.models.weights import CARD

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Tracker:
    """One run in MLflow. Without a client, and after the first failure (reported in one line), every method does
    nothing."""

    def __init__(
        self, client: "MlflowClient | None" = None, experiment_id: str = "", run_id: str | None = None
    ) -> None:
        self.client = client
        self.experiment_id = experiment_id
        self.run_id = run_id

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log settings; nested mappings become dotted names. A name that the run has already keeps its value."""

        def log(client: "MlflowClient") -> None:
            from mlflow.entities import Param

            known = client.get_run(self.run_id).data.params
            given = {_allowed(key): str(value)[:6000] for key, value in _flatten(values).items()}
            new = [Param(key, value) for key, value in given.items() if key not in known]
            client.log_batch(self.run_id, params=new)

        self.attempt(log)

    def log_metrics(self, values: Mapping[str, Any], step: int = 0, model_id: str | None = None) -> None:
        """Log numbers of one step (an epoch, if there are epochs) or of a logged model; nested names become dotted."""
        self.attempt(lambda client: client.log_batch(self.run_id, metrics=_metrics(_flatten(values), step, model_id)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        def log(client: "MlflowClient") -> None:
            from mlflow.entities import RunTag

            client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

        self.attempt(log)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file (images too) or a whole folder, under its own name or in `folder` of the run's artifacts."""
        kind = "log_artifacts" if path.is_dir() else "log_artifact"
        self.attempt(lambda client: getattr(client, kind)(self.run_id, str(path), folder))

    def log_dataset(self, name: str, digest: str, source: Path) -> None:
        """Log a dataset that the run was trained on: name, hash (its first 36 digits are kept) and location."""

        def log(client: "MlflowClient") -> None:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            dataset = Dataset(name, digest[:36], "local", str(source))
            tag = InputTag("mlflow.data.context", "training")
            client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, [tag])])

        self.attempt(log)

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
                self.experiment_id,
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

        return self.attempt(log)

    def attempt(self, action: Callable[["MlflowClient"], Any]) -> Any:
        """Return what an action returns; None if nothing is tracked, or it fails: no failure may stop a training."""
        if self.client is None:
            return None
        try:
            return action(self.client)
        except Exception as error:
            self.client = None
            warn_stopped(error)
            return None


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


def warn_stopped(error: Exception) -> None:
    """Say in one line that tracking stopped, and why."""
    reason = reason_of(error)
    print(f"warning: MLflow tracking stopped: {reason}; the numbers are in the reports", file=sys.stderr)
