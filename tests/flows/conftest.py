"""A Prefect server for the flows' tests."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

SERVER = """
import sys
import limelight.flows  # sets Prefect's environment before Prefect is imported
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

with prefect_test_harness(server_startup_timeout=120):
    print(PREFECT_API_URL.value(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server, on an empty database.

    It and the flows have processes of their own: Prefect's threads outlast a flow, and processes that are forked beside
    them, such as a loader's in later tests, end with an error.
    """
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:  # a process that was forked meanwhile holds the pipe open
            process.terminate()
