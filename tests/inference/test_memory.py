"""What a forward pass takes, told before it is run."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import torch

from limelight.foundation.errors import Shortage, raising_shortage
from limelight.imaging.encoding import write_png
from limelight.imaging.images import read_picture
from limelight.inference.backends import budget, memory
from limelight.inference.backends.budget import ExtraInputs
from limelight.inference.loading import load
from limelight.inference.sampling import Sampling
from limelight.models.registry import create_model
from limelight.models.weights import save_weights
from tests.tolerance import assert_agree

pytestmark = pytest.mark.slow

MEASURED = """
from pathlib import Path
import psutil, torch
from limelight.inference.backends.memory import forward_bytes
from limelight.models.registry import create_model

# Ascending, since the system keeps one peak of the process.
for name, size, batch in (("sdnet", 384, 1), ("diffsod-tiny", 256, 1)):
    network = create_model(name).eval().to(memory_format=torch.channels_last)

    def compute(size=size, batch=batch):
        image = torch.empty(batch, 3, size, size).to(memory_format=torch.channels_last)
        given = {"companion": torch.empty(batch, 1, size, size), "modality": torch.ones(batch, dtype=torch.long)}
        return network.maps({"image": image, **given})

    estimated = forward_bytes(network, compute)
    with torch.inference_mode():
        compute(64, 1)  # what the libraries set up once
        before = psutil.Process().memory_info().rss
        compute()
    # Not getrusage's, which a process has from the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(name, estimated, 1024 * int(status["VmHWM"].split()[0]) - before)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights as initialised, for 64x64 pictures."""
    root = tmp_path_factory.mktemp("memory")
    for name in ("diffsod-tiny", "segdiffusion-tiny"):
        torch.manual_seed(0)
        model = create_model(name)
        save_weights(root / name, model, name=name, input_size=(64, 64))
    return {name: root / name for name in ("diffsod-tiny", "segdiffusion-tiny")}


def picture(height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak that Linux keeps")
def test_told_is_like_measured() -> None:
    """In a process of its own: its largest resident set, less what it had before."""
    printed = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True).stdout
    for line in printed.splitlines():
        name, estimated, measured = line.split()
        slack = 0 if name == "sdnet" else memory.SLACK
        assert int(estimated) / 1.5 < int(measured) < 1.5 * int(estimated) + slack
    assert printed.count("\n") == 2


def test_counting_leaves_the_network_alone() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 1, 3, padding=1)).eval()
    before = [parameter.clone() for parameter in network.parameters()]
    counted = memory.forward_bytes(network, lambda: network(torch.empty(2, 3, 16, 16)))
    assert counted == 4 * 2 * 16 * 16 * (3 + 8 + 1), "input, middle and output live together for a moment"
    assert all(torch.equal(one, other) for one, other in zip(before, network.parameters(), strict=True))
    assert network(torch.ones(1, 3, 4, 4)).isfinite().all()


def test_free_memory_is_the_machine_s_or_the_container_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert 0 < memory.free_bytes("cpu") + memory.SLACK <= psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text("700000000\n")
    (tmp_path / "memory.current").write_text("300000000\n")
    (tmp_path / "memory.stat").write_text("anon 200000000\nactive_file 30000000\ninactive_file 70000000\n")
    assert memory.free_bytes("cpu") == 500_000_000 - memory.SLACK, "files in memory make room when they have to"
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes("cpu") > 10**9


def test_batches_are_as_large_as_fits(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(folders["diffsod-tiny"], device="cpu")
    backend = predictor._backend
    needed = backend.picture_bytes((64, 64), 0)
    monkeypatch.setattr(budget, "free_bytes", lambda device: 3 * needed + 1)
    assert [budget.fitting_batch_size(backend, (64, 64), ExtraInputs(0), most) for most in (2, 8)] == [2, 3]
    seen = []
    run = backend.run
    monkeypatch.setattr(backend, "run", lambda feeds, *rest: (seen.append(len(feeds["image"])), run(feeds, *rest))[1])
    for batch_size, expected in ((0, [3, 2]), (2, [2, 2, 1]), (8, [3, 2])):
        seen.clear()
        assert len(predictor.predict([picture()] * 5, batch_size=batch_size)) == 5
        assert seen == expected


@pytest.mark.slow
def test_too_little_memory_says_what_would_fit(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(folders["diffsod-tiny"], device="cpu", sampling=Sampling(1, 2), processing_res=0)
    predictor._backend.network.rows_per_chunk = 1
    small = predictor._backend.picture_bytes((64, 96), 0)
    monkeypatch.setattr(budget, "free_bytes", lambda device: int(1.01 * small))
    assert predictor.predict([picture(64, 96)])[0].saliency_HW.shape == (64, 96)
    with pytest.raises(Shortage, match=r"a picture at 96x128 needs .* GB of memory beside the weights") as raised:
        predictor.predict([picture(90, 128)])
    message = str(raised.value)
    assert message.endswith("what would fit: --processing-res 64, or --half-precision")
    monkeypatch.setattr(budget, "free_bytes", lambda device: -1)
    with pytest.raises(Shortage, match="0 GB is free; free some memory, or use a machine with more"):
        predictor.predict([picture(64, 64)])

    stretched = load(folders["diffsod-tiny"], device="cpu", size=128)
    small = stretched._backend.picture_bytes((64, 64), 0)
    monkeypatch.setattr(budget, "free_bytes", lambda device: int(1.01 * small))
    with pytest.raises(Shortage, match=r"would fit: --size 64$"):
        stretched.predict([picture()])


def test_fewer_maps_at_once_where_memory_is_short(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(folders["segdiffusion-tiny"], device="cpu")
    words = [f"thing {number}" for number in range(20)]
    before = predictor.predict([picture()], words)[0].probability_Khw
    backend = predictor._backend
    assert backend.network.rows_per_chunk == 16
    needed = backend.picture_bytes((64, 64), 20)
    monkeypatch.setattr(budget, "free_bytes", lambda device: int(0.5 * needed))
    after = predictor.predict([picture()], words)[0].probability_Khw
    assert backend.network.rows_per_chunk in (2, 4)
    assert_agree(after, before, "segdiffusion-tiny")


@pytest.mark.slow
def test_fewer_members_at_once_where_memory_is_short(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(folders["diffsod-tiny"], device="cpu", sampling=Sampling(2, 5))
    (before,) = predictor.predict([picture()])
    backend = predictor._backend
    needed = backend.picture_bytes((64, 64), 0)
    monkeypatch.setattr(budget, "free_bytes", lambda device: int(0.5 * needed))
    assert (
        budget.fitting_batch_size(backend, (64, 64), ExtraInputs(0), 8) == 1
    )  # counted now; what is drawn below is drawn
    drawn = []
    backend.network.unet.register_forward_pre_hook(lambda module, inputs: drawn.append(len(inputs[0])))
    (after,) = predictor.predict([picture()])
    assert max(drawn) < 5 and sum(drawn) == 2 * 5
    maps, again = (np.stack([prediction.saliency_HW, prediction.uncertainty_HW]) for prediction in (before, after))
    assert_agree(again, maps, "diffsod-tiny", steps=2)

    monkeypatch.setattr(budget, "free_bytes", lambda device: 10**12)
    drawn.clear()
    predictor.predict([picture()])
    assert drawn == [5, 5], "memory that is free again is used again"


def test_what_a_larger_picture_takes_is_enough_for_a_smaller_one(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = load(folders["diffsod-tiny"], device="cpu")._backend
    monkeypatch.setattr(budget, "_MEASURED_BYTES", {})
    counted = []
    count = backend.picture_bytes
    monkeypatch.setattr(backend, "picture_bytes", lambda size, *rest: (counted.append(size), count(size, *rest))[1])
    monkeypatch.setattr(budget, "free_bytes", lambda device: 10**12)
    for size in ((64, 96), (64, 64), (96, 64), (96, 96)):
        assert budget.fitting_batch_size(backend, size, ExtraInputs(0), 4) == 4
    assert counted == [(64, 96), (96, 96)]


def test_what_many_prompts_take_is_enough_for_fewer(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(folders["segdiffusion-tiny"], device="cpu")
    backend, counted = predictor._backend, []
    count = backend.picture_bytes
    monkeypatch.setattr(budget, "_MEASURED_BYTES", {})
    monkeypatch.setattr(backend, "picture_bytes", lambda *given: (counted.append(given[1]), count(*given))[1])
    monkeypatch.setattr(budget, "free_bytes", lambda device: 10**12)
    predictor.measure(64)
    for prompts in (1, 2, 3):
        predictor.predict([picture()], [f"thing {number}" for number in range(prompts)], batch_size=1)
    assert counted == [64]
    assert budget.fitting_batch_size(backend, (64, 64), ExtraInputs(65), 1) == 1
    assert counted == [64, 65]


def test_prompts_that_memory_does_not_hold_are_one_line(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = load(folders["segdiffusion-tiny"], device="cpu")._backend

    def refuse(texts: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(backend.network, "encode_prompts", refuse)
    with pytest.raises(Shortage, match="out of memory; name fewer classes"):
        backend.encode_prompts(["a"])


def test_a_companion_is_counted_where_there_is_one(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(folders["diffsod-tiny"], device="cpu")
    alone, both = (predictor._backend.picture_bytes((64, 64), 0, companion) for companion in (False, True))
    assert alone < both
    monkeypatch.setattr(budget, "free_bytes", lambda device: (alone + both) // 2)
    depth = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    for _ in range(2):  # whatever was counted before
        assert len(predictor.predict([picture(), picture()])) == 2
        for companions in ([depth], [None, depth]):
            with pytest.raises(Shortage, match="a picture at 64x64 needs"):
                predictor.predict([picture()] * len(companions), companions, modality="rgbd")


def test_running_out_is_one_line() -> None:
    def refuse() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    calls = (
        lambda: torch.empty(1 << 60, dtype=torch.uint8),
        lambda: np.empty(1 << 60, np.uint8),
        lambda: cv2.resize(np.zeros((1, 1), np.float64), (1 << 30, 1 << 30)),
        refuse,
    )
    for ask in calls:
        with (
            pytest.raises(Shortage, match=r"out of memory; .* --size or --processing-res"),
            raising_shortage(),
        ):
            ask()
    with pytest.raises(RuntimeError, match="shape"), raising_shortage():
        torch.ones(2, 3) @ torch.ones(2, 3)
    with pytest.raises(cv2.error, match="Assertion failed"), raising_shortage():
        cv2.resize(np.zeros((0, 0)), (1, 1))
    with pytest.raises(NotImplementedError), raising_shortage():
        raise NotImplementedError


def test_an_input_that_memory_does_not_hold_is_one_line(untrained: Path) -> None:
    predictor = load(untrained, device="cpu", size=1 << 27)
    with pytest.raises(Shortage, match="out of memory"):
        predictor.predict([picture()])


def test_a_picture_that_memory_does_not_hold_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*arguments: object) -> None:
        raise MemoryError

    write_png(tmp_path / "a.png", picture())
    monkeypatch.setattr("cv2.imdecode", refuse)
    with pytest.raises(Shortage, match="out of memory"):
        read_picture(tmp_path / "a.png")
