"""Fixtures that every test may use, and what holds for the whole run."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

# Networks this small are computed faster by one thread. PyTorch reads it when it is imported; workers and the processes
# that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

LONGEST = (
    "test_every_network.py",
    "test_pipeline.py",
    "test_flows.py",
    "test_bench_command.py",
    "test_parallel.py",
    "test_package.py",
    "test_memory.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: begun last, one would run while the other worker has nothing left to do.

    The others, and the tests of each file, stay in the random order that pytest-randomly has put them in.
    """
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """What is there before the first test stays until the last: the garbage collector need not look at it again."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed PyTorch by the run and the test, as pytest-randomly seeds `random` and NumPy.

    Whatever ran before, a test draws the same when the run's seed is given again, and something else in the next run:
    one whose outcome hangs on its draws has to set a seed itself.
    """
    if torch := sys.modules.get("torch"):
        seed = item.config.getoption("randomly_seed", 0)
        torch.manual_seed(crc32(f"{seed} {item.nodeid}".encode()))


@pytest.fixture(scope="session")
def shared() -> Path:
    """A folder of reference fixtures and real photos kept beside the repository; tests that use it skip without it."""
    folder = Path(os.environ.get("LIMELIGHT_SHARED", ROOT.parent / "shared"))
    if not (folder / "realdata").is_dir():
        pytest.skip(f"no reference data at {folder}; set LIMELIGHT_SHARED to run this")
    return folder


def files(folder: Path) -> dict[Path, int]:
    """When each was last written, ns."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A weights folder: SDNet as it is initialised with seed 0, made for 64x64 pictures. Not to be changed."""
    import torch

    from limelight.models.registry import create_model
    from limelight.models.weights import save_weights

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("untrained") / "sdnet"
    save_weights(folder, create_model("sdnet"), name="sdnet", input_size=(64, 64))
    before = files(folder)
    yield folder
    assert files(folder) == before, "a test changed the weights that others use"


@pytest.fixture(scope="session")
def taking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """taking('rgb', 'rgbd') is a weights folder: a narrow SDNet of these modalities, as initialised, for 64x64.

    Not to be changed.
    """
    import torch

    from limelight.models.registry import create_model
    from limelight.models.weights import save_weights

    root = tmp_path_factory.mktemp("taking")
    made: dict[Path, int] = {}

    def make(*modalities: str) -> Path:
        folder = root / "-".join(modalities)
        if not folder.exists():
            torch.manual_seed(0)
            save_weights(
                folder, create_model("sdnet", modalities=modalities, width=12), name="sdnet", input_size=(64, 64)
            )
            made.update(files(folder))
        return folder

    yield make
    assert files(root) == made, "a test changed the weights that others use"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder of `tests.small_network`, made for 64x64 pictures; for this process alone."""
    from limelight.models.weights import save_weights
    from tests.small_network import NAME, create, register

    register(monkeypatch)
    folder = tmp_path_factory.mktemp("small") / "w"
    save_weights(folder, create(), name=NAME, input_size=(64, 64))
    return folder
