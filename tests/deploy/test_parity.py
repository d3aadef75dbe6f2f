"""Drift of exports against its limits."""

import json

import pytest

from limelight.config import Deploy
from limelight.deploy.parity import Accuracy, Drift, Parity


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_violates_every_limit_and_is_null(value: float) -> None:
    drift = Drift(value, value, value, value, megabytes=1.5)
    parity = Parity(2, Accuracy(mae=0.1, max_f=0.9), {"openvino-fp32": drift, "openvino-int8": drift}, {})
    assert [problem.split(f" {abs(value)} ")[0] for problem in parity.violations(Deploy())] == [
        "openvino-fp32: MAE change",
        "openvino-fp32: max F change",
        "openvino-fp32: probability difference",
        "openvino-int8: MAE change",
        "openvino-int8: max F change",
    ]
    written = json.loads(json.dumps(parity.as_dict(), allow_nan=False))
    assert written["runtimes"]["openvino-int8"] == {
        "max_probability_difference": None,
        "mean_probability_difference": None,
        "mae_change": None,
        "max_f_change": None,
        "megabytes": 1.5,
    }
    assert written["reference"] == {"mae": 0.1, "max_f": 0.9} and written["samples"] == 2
