"""Run a server as a process of its own, such as BentoML with a bento, for as long as a context lasts."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO

import httpx

from limelight.foundation.errors import UserError

START_S, STOP_S = 300.0, 60.0


def as_packaged(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that uses a bento as it was packaged.

    Variables by which the user sets up other services (LIMELIGHT_TOKEN and others) count only where they are in
    `environment`.
    """
    kept = [name for name in os.environ if name == "LIMELIGHT_OFFLINE" or not name.startswith("LIMELIGHT_")]
    return {name: os.environ[name] for name in kept} | dict(environment)


@contextmanager
def served(what: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Run `bentoml serve <what>` on a free port of this machine; yield its URL once it is ready, stop it afterwards.

    Args:
        environment: see `as_packaged`.

    Raises:
        UserError: it ended or was not ready within START_S; the message holds the end of its log.
    """
    arguments = ["-m", "bentoml", "serve", what, "--host", "127.0.0.1"]
    with running(arguments, as_packaged(environment), inherited={}) as url:
        yield url


@contextmanager
def running(
    arguments: list[str], environment: Mapping[str, str], inherited: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """As `served`, for any arguments of this Python that accept --port.

    Args:
        inherited: variables besides `environment`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, *arguments, "--port", str(port)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env={**inherited, **environment}, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(process, url, log)
            yield url
        finally:
            _stop(process)


def _await(process: "subprocess.Popen[bytes]", url: str, log: IO[str]) -> None:
    deadline = time.monotonic() + START_S
    with httpx.Client(timeout=5, trust_env=False) as client:  # past the environment's proxy
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                client.get(f"{url}/readyz").raise_for_status()
                return
            time.sleep(0.2)
    log.seek(0)
    raise UserError(f"the service did not start: ...{' '.join(log.read().split())[-500:]}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
