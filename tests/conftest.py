"""Fixtures that every test may use."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: begun last, the whole pipeline would run while the other worker has nothing left to do."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(scope="session")
def shared() -> Path:
    """A folder of reference fixtures and real photos kept beside the repository; tests that use it skip without it."""
    folder = Path(os.environ.get("LIMELIGHT_SHARED", ROOT.parent / "shared"))
    if not (folder / "realdata").is_dir():
        pytest.skip(f"no reference data at {folder}; set LIMELIGHT_SHARED to run this")
    return folder


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder: SDNet as it is initialised with seed 0, made for 64x64 pictures."""
    import torch

    from models.registry import create_model
    from models.weights import save_weights

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("untrained") / "sdnet"
    save_weights(folder, create_model("sdnet"), name="sdnet", input_size=(64, 64))
    return folder


@pytest.fixture(scope="session")
def taking(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """taking('rgb', 'rgbd') is a weights folder: a narrow SDNet of these modalities, as initialised, for 64x64."""
    import torch

    from models.registry import create_model
    from models.weights import save_weights

    root = tmp_path_factory.mktemp("taking")

    def make(*modalities: str) -> Path:
        folder = root / "-".join(modalities)
        if not folder.exists():
            torch.manual_seed(0)
            save_weights(
                folder, create_model("sdnet", modalities=modalities, width=12), name="sdnet", input_size=(64, 64)
            )
        return folder

    return make
