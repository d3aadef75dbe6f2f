"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """A folder of reference fixtures and real photos kept beside the repository; tests that use it skip without it."""
    folder = Path(os.environ.get("LIMELIGHT_SHARED", ROOT.parent / "shared"))
    if not (folder / "realdata").is_dir():
        pytest.skip(f"no reference data at {folder}; set LIMELIGHT_SHARED to run this")
    return folder
