"""A training that is killed and started again ends as if nothing had happened, bit for bit."""

import random
import signal
from pathlib import Path

import pytest
import toy_process
from toy import equal

pytestmark = pytest.mark.slow

CASES = {
    "plain": {},
    "average, accumulation, clipping": {
        "settings": {
            "optimiser": {"lr": 0.02, "ema": 0.9, "clip_norm": 1.0},
            "batch": {"size": 2, "accumulate": 2},
        }
    },
    "mixed with its start": {
        "settings": {"optimiser": {"lr": 0.02, "ema": 0.9, "start_share": 0.5}, "init": "elsewhere"}
    },
    "momentum, two sizes as passes, workers": {
        "settings": {
            "optimiser": {"name": "sgd", "lr": 0.05},
            "size": {"input": 32, "training": [24, 32], "order": "passes"},
            "compute": {"workers": 2},
            "batch": {"size": 7},
        }
    },
    "bf16, random sizes": {"settings": {"compute": {"precision": "bf16"}, "size": {"input": 32, "training": [24, 32]}}},
    "distilled": {
        "distilled": True,
        "settings": {
            "objective": {"name": "distilled", "label_weight": 0.3},
            "samples": {"unlabelled": ["unlabelled"]},
            "optimiser": {"lr": 0.02, "ema": 0.8},
        },
    },
}


@pytest.mark.parametrize("case", CASES)
def test_killed_twice_at_random_steps(case: str, tmp_path: Path):
    options = CASES[case]
    assert toy_process.start(tmp_path, state="undisturbed", **options) == 0
    moments = random.Random(case)
    for _ in range(2):
        at = (signal.SIGKILL, moments.randint(2, 3))
        assert toy_process.start(tmp_path, signal_at=at, **options) == -signal.SIGKILL
        assert list((tmp_path / "toy" / "state").glob("*.pt"))
    assert toy_process.start(tmp_path, **options) == 0
    expected, actual = toy_process.result(tmp_path, "undisturbed"), toy_process.result(tmp_path)
    assert equal(expected[0], actual[0])
    assert expected[1] == actual[1]


def test_killed_while_it_saves(tmp_path: Path):
    assert toy_process.start(tmp_path, state="undisturbed") == 0
    assert toy_process.start(tmp_path, kill_save=3) == -signal.SIGKILL
    assert toy_process.start(tmp_path) == 0
    assert equal(toy_process.result(tmp_path, "undisturbed")[0], toy_process.result(tmp_path)[0])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_stop_it_saves_and_says_so_by_its_exit_code(number: int, code: int, tmp_path: Path):
    # Without timed checkpoints: what it goes on from is what the signal made it save.
    rare = {"settings": {"compute": {"checkpoint_minutes": 60}}}
    assert toy_process.start(tmp_path, state="undisturbed", **rare) == 0
    assert toy_process.start(tmp_path, signal_at=(number, 2), **rare) == code
    saved = [path.name for path in (tmp_path / "toy" / "state").iterdir()]
    assert saved == ["epoch00000-step0000002.pt"]
    assert toy_process.start(tmp_path, **rare) == 0
    assert equal(toy_process.result(tmp_path, "undisturbed")[0], toy_process.result(tmp_path)[0])


def test_asked_to_stop_while_it_validates_the_average(tmp_path: Path):
    """What is saved then are the trained weights, not the average that takes their place for the while."""
    options = {
        "settings": {"compute": {"checkpoint_minutes": 60}, "optimiser": {"lr": 0.02, "ema": 0.9}},
        "validation": 9,
    }  # two batches
    assert toy_process.start(tmp_path, state="undisturbed", **options) == 0
    stopped = {"signal_at": (signal.SIGTERM, 1), "signal_in": "predict"}
    assert toy_process.start(tmp_path, **stopped, **options) == 143
    saved = [path.name for path in (tmp_path / "toy" / "state").iterdir()]
    assert saved == ["epoch00000-step0000003.pt"]
    assert toy_process.start(tmp_path, **options) == 0
    expected, actual = toy_process.result(tmp_path, "undisturbed"), toy_process.result(tmp_path)
    assert equal(expected[0], actual[0])
    assert expected[1] == actual[1]


def test_asked_to_stop_together_with_its_workers(tmp_path: Path):
    settings = {"settings": {"compute": {"checkpoint_minutes": 60, "workers": 2}, "batch": {"size": 1}}}
    assert toy_process.start(tmp_path, signal_at=(signal.SIGTERM, 3), **settings) == 143
