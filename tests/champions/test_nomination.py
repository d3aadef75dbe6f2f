"""Which version of the registry is champion: by the rule, and only among figures that can be compared."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from limelight.champions.nomination import _judge, check_packaged, nominate, set_champion
from limelight.champions.registry import Registered, holder
from limelight.config import Params, Rule
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.models.identity import folder_sha256
from limelight.models.registry import create_model
from limelight.models.weights import read_card, save_weights
from limelight.reporting.rows import Row
from limelight.tracking.runs import tracked_run


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    for name in ("LIMELIGHT_PARENT_RUN", "LIMELIGHT_FLOW_RUN", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    profile = {"data": {"datasets": [{"name": "embedded"}]}, "runs": {"tiny": {"model": "sdnet"}}}
    tracking = {"uri": f"sqlite:///{tmp_path}/mlflow.db"}  # MLflow keeps a store open by its address
    return Params.model_validate(
        {"profile": "small", "train": {"tiny": "sdnet"}, "profiles": {"small": profile}, "tracking": tracking}
    )


def compared(
    name: str,
    value: float,
    *,
    seed: int,
    samples: str = "a" * 64,
    metric: str = "wFm",
    task: str = "saliency",
    others: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Weights, and a leaderboard that has chosen them; its row."""
    import torch

    if not Path("artifacts", name).exists():
        torch.manual_seed(seed)
        save_weights(Path("artifacts") / name, create_model("sdnet"), name="sdnet", input_size=(64, 64))
    record = {"artifact": name, "runtime": "torch", "metric": metric, "dataset": "mean", "value": value}
    folder = Path("artifacts") / name
    write_json(
        "reports/leaderboard/champion.json",
        {task: record | {"data_sha256": samples, "folder_sha256": folder_sha256(folder)}},
    )
    row = row_of(name, value, read_card(folder).provenance.sha256, metric)
    write_json(
        "reports/leaderboard/leaderboard.json", {"contests": {task: {"rows": [row, *others]}}, "data_sha256": samples}
    )
    return row


def row_of(
    name: str, value: float, weights_sha256: str, metric: str = "wFm", datasets: Sequence[str] = ("ONE", "TWO")
) -> dict[str, Any]:
    figures = {metric: value}
    return asdict(Row(name, "torch", dict.fromkeys(datasets, figures), figures, weights_sha256=weights_sha256))


@pytest.mark.slow
def test_the_alias_moves_only_to_what_is_better_on_the_same_samples(params: Params) -> None:
    compared("first", 0.70, seed=1)
    first = nominate(params)
    assert first.better and "no champion yet" in first.reason
    assert holder(params.tracking) is None
    set_champion(params, first)
    version = holder(params.tracking)
    assert version is not None and version.sha256 == read_card("artifacts/first").provenance.sha256

    again = nominate(params)
    assert not again.better and "already champion" in again.reason and again.version == first.version

    compared("worse", 0.65, seed=2)
    assert not nominate(params).better
    challenger = holder(params.tracking, "challenger")
    assert challenger is not None and challenger.sha256 == read_card("artifacts/worse").provenance.sha256

    compared("elsewhere", 0.99, seed=3, samples="b" * 64)
    other = nominate(params)
    assert not other.better and "other data" in other.reason

    compared("lower error", 0.01, seed=4, metric="mae")
    lower = nominate(params)
    assert "another rule" in lower.reason
    set_champion(params, lower)
    compared("larger error", 0.02, seed=6, metric="mae")
    assert not nominate(params).better
    set_champion(params, first)

    compared("better", 0.75, seed=5)
    better = nominate(params)
    assert better.better and "0.7500 against 0.7000" in better.reason
    set_champion(params, better)
    assert holder(params.tracking).version == better.version  # type: ignore[union-attr]


@pytest.mark.slow
def test_another_task_has_a_registered_model_of_its_own(params: Params) -> None:
    compared("words", 0.6, seed=1, metric="mIoU", task="open-vocabulary")
    with pytest.raises(UserError, match="no champion of saliency, only of open-vocabulary"):
        nominate(params)
    set_champion(params, nominate(params, "open-vocabulary"))
    version = holder(params.tracking.model_copy(update={"registered_model": "limelight-open-vocabulary"}))
    assert version is not None and version.sha256 == read_card("artifacts/words").provenance.sha256


def test_weights_that_were_trained_anew_after_the_comparison_are_refused(params: Params) -> None:
    compared("first", 0.70, seed=1)
    shutil.rmtree("artifacts/first")
    save_weights("artifacts/first", create_model("sdnet"), name="sdnet", input_size=(64, 64))
    with pytest.raises(UserError, match=r"artifacts/first holds other files than those that were compared; run dvc"):
        nominate(params)


def test_without_a_tracker_nothing_is_registered(params: Params) -> None:
    compared("first", 0.70, seed=1)
    off = params.model_copy(
        update={"tracking": params.tracking.model_copy(update={"uri": "sqlite:////proc/no/such.db"})}
    )
    with pytest.raises(UserError, match="failed"):
        nominate(off)


@pytest.mark.slow
def test_a_training_form_with_the_weights_of_its_exported_form_is_not_taken_for_it(params: Params) -> None:
    """A network without merging has the same model.safetensors in both folders."""
    compared("net", 0.7, seed=1)
    shutil.copytree("artifacts/net", "artifacts/net-deploy")
    write_json("artifacts/net-deploy/exports/export.json", {})
    with tracked_run(params, "train", "net") as tracker:
        trained = tracker.log_weights(Path("artifacts/net"), {})
    training_form = nominate(params)
    assert holder(params.tracking, "challenger").model_id == trained  # type: ignore[union-attr]
    set_champion(params, training_form)

    compared("net-deploy", 0.7, seed=1)
    exported = nominate(params)
    challenger = holder(params.tracking, "challenger")
    assert challenger is not None and challenger.model_id != trained and exported.version != training_form.version
    assert challenger.folder_sha256 == folder_sha256(Path("artifacts/net-deploy"))
    assert "already champion" not in exported.reason and nominate(params).version == exported.version


@pytest.mark.slow
def test_on_other_data_the_champion_s_row_of_the_leaderboard_is_compared(params: Params) -> None:
    first = compared("first", 0.70, seed=1)
    set_champion(params, nominate(params))

    compared("second", 0.60, seed=2, samples="b" * 64)
    stuck = nominate(params)
    assert not stuck.better
    for step in (
        "models:/limelight/1 to artifacts/NAME",
        "under imported and evaluate",
        "dvc repro compare",
        "by hand",
    ):
        assert step in stuck.reason

    partial = row_of("first", 0.1, first["weights_sha256"], datasets=["ONE"])
    compared("second", 0.60, seed=2, samples="b" * 64, others=[partial])
    assert "other data" in nominate(params).reason, "a mean over fewer datasets"

    again = [row_of("first", value, first["weights_sha256"]) for value in (0.54, 0.55)]
    compared("second", 0.60, seed=2, samples="b" * 64, others=again)
    second = nominate(params)
    assert second.better and "0.6000 against 0.5500 of champion version 1" in second.reason


def judged(
    value: float, ms: float, rule: Rule | None = None, *, folder: str = "f" * 64, data: str = "d" * 64
) -> tuple[bool, str]:
    """The verdict on a champion of wF .9, 30 ms, against an incumbent of these figures that is on the board."""
    rows = [
        row_of("new", 0.9, "a" * 64) | {"folder_sha256": "e" * 64, "parameters": 1, "total_ms": 30.0},
        row_of("old", value, "b" * 64) | {"folder_sha256": folder, "parameters": 1, "total_ms": ms},
    ]
    write_json("reports/leaderboard/leaderboard.json", {"contests": {"saliency": {"rows": rows}}, "data_sha256": data})
    record = {"artifact": "new", "metric": "wFm", "dataset": "mean", "value": 0.9, "data_sha256": "d" * 64}
    incumbent = Registered("limelight", "1", "m", "b" * 64, "f" * 64, {"wFm/mean": value})
    return _judge(record, "wFm/mean", "e" * 64, incumbent, "saliency", rule or Rule(metric="wFm"))


def test_the_alias_follows_the_rule_that_chose_among_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    better, reason = judged(0.9003, 900.0)  # a tie, and slower
    assert better and "0.9000 against 0.9003 of champion version 1; the leaderboard's rule chose it" in reason
    for folder in ("f" * 64, "0" * 64):
        better, reason = judged(0.95, 900.0, Rule(metric="wFm", max_latency_ms=100), folder=folder)
        assert better and "breaks the limits of compare.saliency" in reason


def test_apart_from_the_rule_a_gain_within_a_tie_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, data in (("0" * 64, "d" * 64), ("f" * 64, "0" * 64)):
        assert not judged(0.8997, 900.0, folder=folder, data=data)[0]
        assert judged(0.8990, 900.0, folder=folder, data=data)[0]


def test_changed_exports_or_cards_are_refused_until_they_are_compared(params: Params) -> None:
    compared("first", 0.70, seed=1)
    write_json("artifacts/first/exports/export.json", {})
    with pytest.raises(UserError, match="other files than those that were compared"):
        nominate(params)


@pytest.mark.slow
def test_a_bento_of_other_weights_is_refused(params: Params) -> None:
    compared("first", 0.70, seed=1)
    nomination = nominate(params)
    report = "reports/package/metrics.json"
    with pytest.raises(UserError, match=r"the bento does not hold artifacts/first .*; run dvc repro package first"):
        check_packaged(nomination)
    write_json(report, {"saliency": {"weights_sha256": read_card("artifacts/first").provenance.sha256}})
    with pytest.raises(UserError, match="dvc repro package"):
        check_packaged(nomination)
    write_json(report, {"saliency": {"folder_sha256": folder_sha256(Path("artifacts/first"))}})
    check_packaged(nomination)


def test_a_folder_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone does not exist; restore it with dvc checkout or dvc pull"):
        folder_sha256(tmp_path / "gone")
