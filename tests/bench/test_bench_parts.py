"""The parts of `limelight bench`: turns, pictures, figures of quality, and the form that others are compared with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limelight.bench.inputs import CLIP_SIDE, Inputs, read_inputs
from limelight.bench.models import Model, find_models
from limelight.bench.quality import find_quality
from limelight.bench.subject import Job, Timing, open_subject
from limelight.bench.turns import ROUNDS, Calls, _share
from limelight.bench.unmerged import UnmergedBackend
from limelight.bench.worker import Ready
from limelight.foundation.files import write_json
from limelight.imaging.encoding import write_png
from limelight.inference.plan import Request, plan
from limelight.models.difference.layer import DifferenceConv
from limelight.models.weights import read_card
from limelight.reporting.speed import peak_memory_mb
from tests.tolerance import assert_agree


@pytest.mark.parametrize("calls", [2, 9, 10, 11, 50, 110])
def test_turns_share_all_calls_evenly(calls: int) -> None:
    shares = [_share(calls, turn) for turn in range(ROUNDS)]
    assert sum(shares) == calls and max(shares) - min(shares) <= 1


def test_the_authors_leave_out_their_first_calls() -> None:
    timings = [Timing(float(index), 0.0, 0.0) for index in range(110)]
    assert [each.total_ms for each in Calls(110, 11, discard_first=True).counted(timings)] == list(range(12, 110))
    assert len(Calls(50, 10).counted(timings[:50])) == 50
    windows, single = (Ready("", frames, True, (32, 32)) for frames in (8, 1))
    assert Calls(50, 10).of(windows) == 10 and Calls(50, 10).of(single) == 50


def test_pictures_of_the_package_and_of_a_folder(tmp_path: Path) -> None:
    own = read_inputs(None, 8)
    assert len(own.pictures) == 3 and [frame.shape for frame in own.frames] == [(CLIP_SIDE, CLIP_SIDE, 3)] * 8
    assert any(not np.array_equal(own.frames[0], frame) for frame in own.frames), "it moves"
    for index in range(12):
        height = 30 if index == 3 else 20
        write_png(tmp_path / f"{index:02}.png", np.full((height, 25, 3), 10 * index, np.uint8))
    given = read_inputs(tmp_path, 5)
    assert [int(picture[0, 0, 0]) for picture in given.pictures] == [0, 20, 40, 60, 80, 100]
    assert [int(frame[0, 0, 0]) for frame in given.frames] == [0, 10, 20, 40], "of the first one's size"
    assert [int(frame[0, 0, 0]) for frame in given.clip(8)] == [0, 10, 20, 40, 20, 10, 0, 10]
    still = Inputs(frames=given.frames[:1])
    assert len(still.clip(3)) == 3


def test_the_reference_runs_branch_by_branch_and_channels_first(untrained: Path) -> None:
    planned = plan(untrained, read_card(untrained), Request("torch", "cpu", 1))
    backend = UnmergedBackend(planned)
    seen: list[torch.Tensor] = []
    layers = [module for module in backend.network.modules() if isinstance(module, DifferenceConv)]
    layers[1].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    image_13HW = np.random.default_rng(0).standard_normal((1, 64, 64, 3), np.float32).transpose(0, 3, 1, 2)
    probability = backend.run({"image": image_13HW}).probability_BKhw
    assert layers and all(layer.branchwise for layer in layers)
    assert seen[0].is_contiguous() and not seen[0].is_contiguous(memory_format=torch.channels_last)
    merged = backend.network.reparameterize()
    with torch.inference_mode():
        expected = merged.maps({"image": torch.from_numpy(image_13HW)}).numpy()
    assert_agree(probability, expected, merged)


def test_a_call_is_timed_within_itself(untrained: Path) -> None:
    subject = open_subject(Job(untrained, "torch", threads=1, pictures=[np.zeros((40, 50, 3), np.uint8)]))
    timing = subject.timed()
    assert 0 < timing.network_ms < timing.total_ms and timing.cpu_ms > 0
    assert (subject.frames, subject.is_video, subject.size) == (1, False, (64, 64))


def test_memory_is_that_of_the_process_itself() -> None:
    """What a parent process holds is no part of its children's figures."""
    import subprocess
    import sys

    code = "from limelight.reporting.speed import peak_memory_mb; print(peak_memory_mb())"
    ballast = np.ones(60_000_000)  # 480 MB in this process
    child = float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert child < 200 < 480 < peak_memory_mb() and ballast[0] == 1


# -------------------------------------------------------------------------------------------------------------- quality
def models(untrained: Path, **metrics: dict[str, float]) -> list[Model]:
    card = read_card(untrained)
    return [Model(name, untrained, card.derived(metrics=each), "") for name, each in metrics.items()]


def test_quality_of_cards_is_the_metric_that_most_have(untrained: Path) -> None:
    a, b, c = {"val_mae": 0.2, "A wFm": 0.9}, {"val_mae": 0.3, "B mae": 0.1}, {"B mae": 0.2}
    two_of_three = find_quality(models(untrained, a=a, b=b, c=c), None, None)
    assert (two_of_three.metric, two_of_three.missing) == ("B mae", ["a"])
    assert two_of_three.of("b", "torch") == 0.1 and two_of_three.of("a", "torch") is None
    assert find_quality(models(untrained, a=a, b=b), None, None).metric == "val_mae"
    assert find_quality(models(untrained, a=a, b=b), None, "A wFm").missing == ["b"]


def test_quality_of_reports_is_each_runtimes_own(untrained: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "a-deploy/metrics.json", {"mean": {"torch": {"mae": 0.1}, "onnx-int8": {"mae": 0.2}}})
    write_json(tmp_path / "a/metrics.json", {"mean": {"torch": {"mae": 0.3}}})
    quality = find_quality(models(untrained, a={}, b={}), tmp_path, None)
    assert [quality.of("a", runtime) for runtime in ("onnx-int8", "openvino-fp32")] == [0.2, 0.1]
    assert quality.missing == ["b"]


def test_models_of_one_folder_name_keep_their_paths(untrained: Path, tmp_path: Path) -> None:
    import shutil

    one, other = tmp_path / "one" / "net", tmp_path / "other" / "net"
    for folder in (one, other):
        shutil.copytree(untrained, folder)
    assert [model.name for model in find_models([str(one), str(other)], tmp_path)] == [str(one), str(other)]
    assert [model.name for model in find_models([str(one)], tmp_path)] == ["net"]
