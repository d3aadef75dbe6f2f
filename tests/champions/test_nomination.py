"""Which version of the registry is champion: by the rule, and only among figures that can be compared."""

import shutil
from pathlib import Path

import pytest

from limelight.champions.nomination import nominate, set_champion
from limelight.champions.registry import holder
from limelight.config import Params
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.models.registry import create_model
from limelight.models.weights import read_card, save_weights


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    for name in ("LIMELIGHT_PARENT_RUN", "LIMELIGHT_FLOW_RUN", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    profile = {"data": {"datasets": [{"name": "embedded"}]}, "runs": {"tiny": {"model": "sdnet"}}}
    return Params.model_validate({"profile": "small", "train": {"tiny": "sdnet"}, "profiles": {"small": profile}})


def compared(
    name: str, value: float, *, seed: int, samples: str = "a" * 64, metric: str = "wFm", task: str = "saliency"
) -> None:
    """Weights, and a leaderboard that has chosen them."""
    import torch

    if not Path("artifacts", name).exists():
        torch.manual_seed(seed)
        save_weights(Path("artifacts") / name, create_model("sdnet"), name="sdnet", input_size=(64, 64))
    record = {"artifact": name, "runtime": "torch", "metric": metric, "dataset": "mean", "value": value}
    record |= {"manifest_sha256": samples, "weights_sha256": read_card(Path("artifacts") / name).provenance.sha256}
    write_json("reports/leaderboard/champion.json", {task: record})


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
    assert not other.better and "other samples" in other.reason

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
    with pytest.raises(UserError, match=r"artifacts/first holds other weights than those that were compared; run dvc"):
        nominate(params)


def test_without_a_tracker_nothing_is_registered(params: Params) -> None:
    compared("first", 0.70, seed=1)
    off = params.model_copy(
        update={"tracking": params.tracking.model_copy(update={"uri": "sqlite:////proc/no/such.db"})}
    )
    with pytest.raises(UserError, match="failed"):
        nominate(off)
