"""The leaderboard's champion against the registry's: which of the two the alias 'champion' should point at."""

from dataclasses import dataclass
from typing import Any

from limelight.config import Params
from limelight.inference.champion import RECORD
from limelight.inference.champion import champion as leaders_choice
from limelight.promotion import Champion, champion, find_model, register, set_alias
from limelight.tracking import tracked_run
from models.errors import UserError
from models.files import read_json
from models.weights import read_card


@dataclass(frozen=True)
class Nomination:
    """A registered version, and whether the rule of params.yaml prefers it to the present champion."""

    artifact: str
    version: str
    better: bool
    reason: str


def nominate(params: Params) -> Nomination:
    """Register the leaderboard's champion, call it 'challenger', and hold it against the registry's champion.

    Figures are compared only where both were measured on the same samples by the same rule.

    Raises:
        UserError: nothing was compared yet, or the tracker does not answer.
    """
    record, folder = read_json(RECORD), leaders_choice().folder
    key = f"{record['metric']}/{record['dataset']}/{record['manifest_sha256'][:12]}"
    tracking = params.tracking
    with tracked_run(params, "promote", folder.name) as tracker:
        model_id = find_model(tracking, read_card(folder).sha256) or tracker.log_weights(folder, {})
        if model_id is None:
            raise UserError(f"{folder} cannot be registered: nothing is tracked (tracking in params.yaml)")
        version = register(tracking, model_id)
        set_alias(tracking, "challenger", version)
        challenger = champion(tracking, "challenger")
        assert challenger is not None
        tracker.log_metrics({key: record["value"]}, model_id=challenger.model_id)
    better, reason = _judge(record, key, challenger.sha256, champion(tracking))
    return Nomination(folder.name, version, better, reason)


def crown(params: Params, nomination: Nomination) -> None:
    """Point 'champion' at the nominated version.

    Raises:
        UserError: the tracker does not answer.
    """
    set_alias(params.tracking, "champion", nomination.version)


def _judge(record: dict[str, Any], key: str, sha256: str, incumbent: Champion | None) -> tuple[bool, str]:
    from limelight.evaluation.metrics import METRICS

    metric, value = record["metric"], record["value"]
    if incumbent is None:
        return True, f"{metric} {value:.4f}; there is no champion yet"
    if incumbent.sha256 == sha256:
        return False, f"version {incumbent.version} with the same weights is champion already"
    if key not in incumbent.metrics:
        return False, f"champion version {incumbent.version} was measured on other samples or by another rule"
    theirs = incumbent.metrics[key]
    better = value > theirs if METRICS[metric] == "higher" else value < theirs
    return better, f"{metric} {value:.4f} against {theirs:.4f} of champion version {incumbent.version}"
