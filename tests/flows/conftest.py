"""A Prefect server for the flows' tests, and processes that run flows on it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.forks import AS_A_MODULE, Forks, Started

SERVER = ("uvicorn", "--factory", "prefect.server.api.server:create_app", "--host", "127.0.0.1", "--log-level", "error")
START_S = 600.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server, on an empty database; without Prefect's page and its services, as a temporary one.

    It and the flows have processes of their own: Prefect's threads outlast a flow, and processes that are forked beside
    them, such as a loader's in later tests, end with an error.
    """
    folder = tmp_path_factory.mktemp("server")
    variables = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect.db",
        "PREFECT_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, deadline = f"http://127.0.0.1:{port}/api", time.monotonic() + START_S
    process = subprocess.Popen([sys.executable, "-m", *SERVER, "--port", str(port)], env=os.environ | variables)
    try:
        with httpx.Client(timeout=5, trust_env=False) as client:
            while not _answers(client, f"{url}/health"):
                assert process.poll() is None and time.monotonic() < deadline, "the server did not start"
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx.HTTPError:
        return False


class Flows:
    """Starts `python -m limelight.flows.<name>` in the current folder, with the current environment."""

    def __init__(self, forks: Forks) -> None:
        self._forks = forks

    def start(self, name: str, *arguments: str) -> Started:
        return self._forks.start(AS_A_MODULE, f"limelight.flows.{name}", *arguments, folder=Path.cwd())

    def __call__(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.start(name, *arguments).wait()


@pytest.fixture(scope="module")
def flow(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flows]:
    """flow('reproduce', 'left') runs `python -m limelight.flows.reproduce left`."""
    names = ("label", "promote", "reproduce", "reproduce_parallel", "train_on_gpu")
    modules = [f"limelight.flows.{name}" for name in names]
    forks = Forks(modules, tmp_path_factory.mktemp("flows"), PREFECT_API_URL=server)
    yield Flows(forks)
    forks.close()
