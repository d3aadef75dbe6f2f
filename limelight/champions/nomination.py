"""Comparison of the leaderboard's champion with the registry's: which one the alias 'champion' should point at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limelight.champions.record import RECORD, champion, record
from limelight.champions.registry import Registered, find_model, holder, register, set_alias
from limelight.config import Params, Rule, Tracking
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.models.identity import folder_sha256
from limelight.reporting.rows import Row
from limelight.reporting.rule import MEAN, TIE, excess, value_of
from limelight.tasks import DEFAULT, get_task
from limelight.tracking.runs import tracked_run

_BOARD = RECORD.with_name("leaderboard.json")
_PACKAGED = Path("reports/package/metrics.json")
"""Report of the package stage."""


@dataclass(frozen=True)
class Nomination:
    """A registered version, and whether the rule of params.yaml prefers it to the present champion."""

    artifact: str
    version: str
    better: bool
    reason: str
    folder_sha256: str
    """Hash of the weights folder, see `limelight.models.identity`."""
    task: str = DEFAULT


def nominate(params: Params, task: str = DEFAULT) -> Nomination:
    """Register a task's leaderboard champion as 'challenger' and compare it with the registry's champion.

    The default task's registered model is `tracking.registered_model`; another's is '<registered_model>-<task>'.
    Both are compared only where they were measured on the same data by the same rule: on the current leaderboard, or
    when the registry's champion was promoted.

    Raises:
        UserError: the compare stage has no champion for the task yet, its weights folder has changed since, or the
            tracker does not answer.
    """
    champion_record, folder = record(task), champion(task).folder
    sha256 = folder_sha256(folder)
    if sha256 != champion_record.get("folder_sha256"):  # records of earlier versions have none
        raise UserError(f"{folder} holds other files than those that were compared; run dvc repro compare first")
    key = f"{champion_record['metric']}/{champion_record['dataset']}/{champion_record['data_sha256'][:12]}"
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
    dataset = None if champion_record["dataset"] == MEAN else champion_record["dataset"]
    limits = {str(name): rule for name, rule in params.active.compare.items()}.get(task, get_task(task).rule)
    rule = limits.model_copy(update={"metric": champion_record["metric"], "dataset": dataset})
    better, reason = _judge(champion_record, key, sha256, holder(tracking), task, rule)
    return Nomination(folder.name, version, better, reason, sha256, task)


def check_packaged(nomination: Nomination) -> None:
    """Check that the last run of the package stage packed the nominated weights folder.

    Raises:
        UserError: it packed another one, or has not run yet.
    """
    packaged = read_json(_PACKAGED) if _PACKAGED.is_file() else {}
    if packaged.get(nomination.task, {}).get("folder_sha256") != nomination.folder_sha256:
        raise UserError(
            f"the bento does not hold artifacts/{nomination.artifact} as it was compared; run dvc repro package first"
        )


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
    champion_record: dict[str, Any], key: str, sha256: str, incumbent: Registered | None, task: str, rule: Rule
) -> tuple[bool, str]:
    """Whether the leaderboard's champion is better than the incumbent, and why.

    Where the incumbent took part in the current comparison, the rule has decided between both, with its ties and
    limits; elsewhere a gain within a tie is none.
    """
    metric, value = champion_record["metric"], champion_record["value"]
    if incumbent is None:
        return True, f"{metric} {value:.4f}; there is no champion yet"
    version = f"champion version {incumbent.version}"
    if incumbent.folder_sha256 == sha256:
        return False, f"version {incumbent.version} with the same weights is already champion"
    rows, known = _leaderboard_rows(champion_record, task)
    own = [row for row in rows if row.folder_sha256 == incumbent.folder_sha256 != ""]
    alike = own or [row for row in rows if row.weights_sha256 == incumbent.sha256]
    if alike and all(excess(row, rule) > 1 for row in alike):
        return True, f"{metric} {value:.4f}; {version} breaks the limits of compare.{task} in params.yaml"
    sign = get_task(task).metrics[metric].sign
    values = [of_row for row in alike if (of_row := value_of(row, rule, known)) is not None]
    compared = min(values, key=lambda each: sign * each, default=None)
    if own and compared is not None:
        return True, f"{metric} {value:.4f} against {compared:.4f} of {version}; the leaderboard's rule chose it"
    incumbent_value = incumbent.metrics.get(key, compared)
    if incumbent_value is None:
        return False, _way_out(incumbent)
    is_better = sign * (incumbent_value - value) > TIE
    return is_better, f"{metric} {value:.4f} against {incumbent_value:.4f} of {version}"


def _leaderboard_rows(champion_record: dict[str, Any], task: str) -> tuple[list[Row], list[str]]:
    """The current leaderboard's rows and datasets; none where they were measured on other data."""
    board = read_json(_BOARD)
    if board["data_sha256"] != champion_record["data_sha256"]:
        return [], []
    rows = [Row(**row) for row in board["contests"][task]["rows"]]
    return rows, sorted({dataset for row in rows for dataset in row.datasets})


def _way_out(incumbent: Registered) -> str:
    return (
        f"champion version {incumbent.version} was evaluated on other data or by another rule; download "
        f"models:/{incumbent.name}/{incumbent.version} to artifacts/NAME, list NAME under imported and evaluate in "
        "params.yaml, run dvc repro compare and promote again, or move the alias by hand in MLflow"
    )
