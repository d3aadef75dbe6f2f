"""Comparison of the leaderboard's champion with the registry's: which one the alias 'champion' should point at."""

from dataclasses import dataclass
from typing import Any

from limelight.champions.record import champion, record
from limelight.champions.registry import Registered, find_model, holder, register, set_alias
from limelight.config import Params, Tracking
from limelight.foundation.errors import UserError
from limelight.models.weights import read_card
from limelight.tasks import DEFAULT, get_task
from limelight.tasks.task import Metric
from limelight.tracking import tracked_run


@dataclass(frozen=True)
class Nomination:
    """A registered version, and whether the rule of params.yaml prefers it to the present champion."""

    artifact: str
    version: str
    better: bool
    reason: str
    task: str = DEFAULT


def nominate(params: Params, task: str = DEFAULT) -> Nomination:
    """Register a task's leaderboard champion as 'challenger' and compare it with the registry's champion.

    The default task's registered model is `tracking.registered_model`; another's is '<registered_model>-<task>'.
    Figures are compared only where both were measured on the same samples by the same rule.

    Raises:
        UserError: the compare stage has no champion for the task yet, its weights have changed since, or the tracker
            does not answer.
    """
    champion_record, folder = record(task), champion(task).folder
    sha256 = read_card(folder).provenance.sha256
    if sha256 != champion_record["weights_sha256"]:
        raise UserError(f"{folder} holds other weights than those that were compared; run dvc repro compare first")
    key = f"{champion_record['metric']}/{champion_record['dataset']}/{champion_record['manifest_sha256'][:12]}"
    tracking = _registry(params, task)
    with tracked_run(params, "promote", folder.name) as tracker:
        model_id = find_model(tracking, sha256) or tracker.log_weights(folder, {})
        if model_id is None:
            raise UserError(f"{folder} cannot be registered: tracking is off (params.yaml), or the tracker failed")
        version = register(tracking, model_id)
        set_alias(tracking, "challenger", version)
        challenger = holder(tracking, "challenger")
        assert challenger is not None
        tracker.log_metrics({key: champion_record["value"]}, model_id=challenger.model_id)
    better, reason = _judge(
        champion_record, key, challenger.sha256, holder(tracking), get_task(task).metrics[champion_record["metric"]]
    )
    return Nomination(folder.name, version, better, reason, task)


def set_champion(params: Params, nomination: Nomination) -> None:
    """Point the alias 'champion' at the nominated version.

    Raises:
        UserError: the tracker does not answer.
    """
    set_alias(_registry(params, nomination.task), "champion", nomination.version)


def _registry(params: Params, task: str) -> Tracking:
    tracking = params.tracking
    own_name = {} if task == DEFAULT else {"registered_model": f"{tracking.registered_model}-{task}"}
    return tracking.model_copy(update=own_name)


def _judge(
    champion_record: dict[str, Any], key: str, sha256: str, incumbent: Registered | None, direction: Metric
) -> tuple[bool, str]:
    metric, value = champion_record["metric"], champion_record["value"]
    if incumbent is None:
        return True, f"{metric} {value:.4f}; there is no champion yet"
    if incumbent.sha256 == sha256:
        return False, f"version {incumbent.version} with the same weights is already champion"
    if key not in incumbent.metrics:
        return False, f"champion version {incumbent.version} was evaluated on other samples or by another rule"
    incumbent_value = incumbent.metrics[key]
    is_better = direction.sign * value < direction.sign * incumbent_value
    return is_better, f"{metric} {value:.4f} against {incumbent_value:.4f} of champion version {incumbent.version}"
