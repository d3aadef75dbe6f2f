"""What is checked of params.yaml before a stage runs, since it would show only after the trainings."""

from typing import Any

import pytest

from limelight.config import Params
from limelight.foundation.errors import UserError
from limelight.stages import runner


def params(compare: dict[str, Any], **runs: Any) -> Params:
    profile = {"data": {"datasets": [{"name": "embedded"}]}, "runs": runs, "compare": compare}
    return Params.model_validate({"profile": "demo", "train": {"student": "sdnet"}, "profiles": {"demo": profile}})


STUDENT = {"model": "sdnet"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"metric": "wfm"}, r"compare\.saliency\.metric is 'wfm'; choose one of Sm, mae"),
        (
            {"metric": "wFm", "table": ["mae", "nonsense"]},
            r"compare\.saliency\.table names 'nonsense'; choose of Sm, mae",
        ),
    ],
)
def test_metrics_are_known_before_anything_is_trained(
    rule: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    monkeypatch.setattr(runner, "load_params", lambda: params({"saliency": rule}, student=STUDENT))
    monkeypatch.setattr(runner, "end_with_parent", lambda: None)
    monkeypatch.setattr("sys.argv", ["train", "student"])
    with pytest.raises(UserError, match=message):
        runner.check(runner.load_params())
    with pytest.raises(SystemExit) as stopped:
        runner.stage_main(lambda params, name: trained.append(name))
    assert stopped.value.code == 2 and not trained


def test_a_run_that_no_section_lists_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    rule = {"saliency": {"metric": "wFm", "table": ["mae"]}}
    runner.check(params(rule, student=STUDENT))
    assert capsys.readouterr().err == ""
    runner.check(params(rule, student=STUDENT, later=STUDENT))
    assert capsys.readouterr().err == (
        "warning: profiles.demo.runs: no stage trains later; list them under one of train, finetune, distill, "
        "finetune_distill, or remove them\n"
    )
