"""Two processes over gloo."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import toy_process
from toy import equal, toy_samples

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent


@pytest.mark.slow
def test_torchrun_with_two_processes_does_what_one_process_does(tmp_path: Path):
    # Without batch norm and dropout, which see each process's share alone.
    plain = {"network": {"norm": False, "dropout": 0.0}}
    assert toy_process.start(tmp_path, state="one", settings={"batch": {"size": 4}}, **plain) == 0
    options = json.dumps({"state": "two", "settings": {"batch": {"size": 2}}, **plain})
    run = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
            *(str(HERE / "parallel_case.py"), str(tmp_path), options),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)])},
        capture_output=True,
        text=True,
        timeout=toy_process.HANGS_S,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("2 processes; 14 samples, 12 images and 3 steps per epoch") == 1
    results = [toy_process.result(tmp_path, name) for name in ("one", "two0", "two1")]
    (one, history), (first, records), (second, _) = results
    assert equal(first, second)
    for name, value in one.items():
        torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-5)
    for ours, theirs in zip(records, history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_killed_and_stopped_it_ends_as_if_undisturbed(tmp_path: Path):
    toy_samples(tmp_path, 14), toy_samples(tmp_path, 3, "val")
    options = {"settings": {"batch": {"size": 2}, "optimiser": {"lr": 0.02, "ema": 0.5}, "epochs": 3}}
    assert toy_process.start_pair(tmp_path, state="undisturbed", **options) == [0, 0]
    # One process dies, the other fails on its next exchange; then one is asked to stop, and both do.
    codes = toy_process.start_pair(tmp_path, second={"signal_at": (signal.SIGKILL, 5)}, **options)
    assert codes[0] != 0 and codes[1] == -signal.SIGKILL
    assert list((tmp_path / "toy/state").glob("*.pt"))
    assert toy_process.start_pair(tmp_path, second={"signal_at": (signal.SIGTERM, 2)}, **options) == [143, 143]
    assert toy_process.start_pair(tmp_path, **options) == [0, 0]
    expected, actual = (toy_process.result(tmp_path, f"{name}0") for name in ("undisturbed", "state"))
    assert equal(expected[0], actual[0])
    assert expected[1] == actual[1]


def test_asked_to_stop_while_they_validate(tmp_path: Path):
    """Both end at the next step; where there is none, the training ends as it would have."""
    toy_samples(tmp_path, 14), toy_samples(tmp_path, 18, "val")  # two batches in each
    settings = {
        "batch": {"size": 2},
        "optimiser": {"lr": 0.02, "ema": 0.5},
        "compute": {"checkpoint_minutes": 60},
    }
    options = {"settings": settings, "validation": 18}
    assert toy_process.start_pair(tmp_path, state="undisturbed", **options) == [0, 0]
    second = {"signal_at": (signal.SIGTERM, 1), "signal_in": "predict"}  # in the first epoch, then in the last one
    assert toy_process.start_pair(tmp_path, second=second, **options) == [143, 143]
    assert toy_process.start_pair(tmp_path, second=second, **options) == [0, 0]
    expected, actual = (toy_process.result(tmp_path, f"{name}0") for name in ("undisturbed", "state"))
    assert equal(expected[0], actual[0])
    assert expected[1] == actual[1]


def test_a_diffusion_network_learns_the_same_in_both(tmp_path: Path):
    """Whatever a process's batch holds: depth beside no picture, some, or all."""
    toy_samples(tmp_path, 14), toy_samples(tmp_path, 3, "val")
    settings = {"size": {"input": 64}, "batch": {"size": 1}, "epochs": 1, "lora": {"rank": 2}}
    settings["compute"] = {"checkpoint_minutes": 60}
    assert toy_process.start_pair(tmp_path, diffusion=True, settings=settings) == [0, 0]
    (first, records), (second, others) = (toy_process.result(tmp_path, f"state{rank}") for rank in range(2))
    # Batch norms keep the statistics of their own process.
    shared = {name for name in first if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert equal({name: first[name] for name in shared}, {name: second[name] for name in shared})
    assert any(name.endswith("lora_B.default.weight") and bool(first[name].any()) for name in shared)
    assert records == others
