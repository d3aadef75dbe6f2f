"""What every task says of itself, and that a wrong one is named early."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import limelight.models
from limelight.config import Params, Rule
from limelight.foundation.errors import UserError
from limelight.models.card import Architecture, Card, Prepare
from limelight.packaging.proof import PROOFS
from limelight.reporting.evaluate import code_sha256
from limelight.reporting.rule import metric_of
from limelight.tasks import DEFAULT, TASKS, get_task, task_of

ROOT = Path(__file__).resolve().parents[2]


def card(**architecture: Any) -> Card:
    return Card(architecture=Architecture(family="sdnet", **architecture), prepare=Prepare(size=(32, 32)))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_whole(name: str) -> None:
    task = get_task(name)
    assert task.name == name and task is get_task(name)
    assert {*task.ranked_by} <= {*task.per_image} and {*task.per_image} <= task.metrics.keys()
    assert metric_of(task.rule, task) is task.metrics[task.rule.metric]
    assert name in PROOFS
    entry = yaml.safe_load((ROOT / task.service.bentofile).read_text())
    assert entry["service"] == task.service.entry and entry["models"] == [f"{task.service.name}:latest"]
    module, _, service = task.service.entry.rpartition(".")[2].partition(":")
    assert f"class {service}:" in (ROOT / "services" / f"{module}.py").read_text()


def test_weights_name_their_task() -> None:
    assert task_of(card(model="sdnet")) is get_task(DEFAULT)
    assert task_of(card(model="segdiffusion", task="open-vocabulary")).name == "open-vocabulary"
    with pytest.raises(UserError, match="autoencoder-tiny is for reconstruction, which is neither"):
        task_of(card(model="autoencoder-tiny", task="reconstruction"))
    with pytest.raises(UserError, match="unknown task 'words'; choose one of: saliency, open-vocabulary"):
        get_task("words")


def test_a_task_costs_no_heavy_import() -> None:
    heavy = {"numpy", "torch", "cv2", "scipy", "PIL", "pyarrow"}
    script = (
        "import json, sys; from limelight.tasks import TASKS, get_task; [get_task(name) for name in TASKS];"
        f"print(json.dumps(sorted({heavy} & sys.modules.keys())))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == []


def params(compare: dict[str, Any]) -> Params:
    profile = {"data": {"datasets": [{"name": "embedded"}]}, "runs": {"a": {"model": "sdnet"}}, "compare": compare}
    return Params.model_validate({"profile": "p", "train": {"a": "sdnet"}, "profiles": {"p": profile}})


def test_rules_are_by_task() -> None:
    assert params({}).active.compare == {}
    rules = params({"open-vocabulary": {"metric": "pixel_accuracy"}}).active.compare
    assert rules == {"open-vocabulary": Rule(metric="pixel_accuracy")}
    for wrong in ({"words": {"metric": "mIoU"}}, {"metric": "wFm"}, {"saliency": {"metrik": "wFm"}}):
        with pytest.raises(ValueError, match="compare"):
            params(wrong)
    with pytest.raises(UserError, match=r"compare\.saliency\.metric is 'mIoU'; choose one of Sm, mae"):
        metric_of(Rule(metric="mIoU"), get_task("saliency"))


def test_the_hash_of_code_is_that_of_one_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for family in ("sdnet", "scfnet"):
        (tmp_path / family / "part").mkdir(parents=True)
        (tmp_path / family / "part" / "a.py").write_text("a = 1\n")
    monkeypatch.setattr(limelight.models, "__path__", [str(tmp_path)])
    before = code_sha256(card(model="sdnet"))
    (tmp_path / "scfnet" / "part" / "a.py").write_text("a = 2\n")
    assert code_sha256(card(model="sdnet")) == before
    (tmp_path / "sdnet" / "part" / "a.py").write_text("a = 2\n")
    changed = code_sha256(card(model="sdnet"))
    (tmp_path / "sdnet" / "part" / "a.py").rename(tmp_path / "sdnet" / "part" / "b.py")
    assert len({before, changed, code_sha256(card(model="sdnet"))}) == 3
