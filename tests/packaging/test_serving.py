"""Servers as processes of their own: their environment, the proxy, and their end."""

import os
import time
from pathlib import Path

import httpx
import pytest

from limelight.foundation.errors import UserError
from limelight.packaging.serving import running, served

NOBODY = "http://127.0.0.1:9"
"""A proxy that does not answer."""
SERVER = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if "UNREADY" in os.environ else 200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())
        if "UNREADY" in os.environ:
            os._exit(0)

if "DEAF" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""
"""A service that answers with its environment. Where UNREADY is set, it says that it is not ready, and ends; where DEAF
is set, it does not stop."""


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=5, trust_env=False)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not start or stop is given up after seconds."""
    monkeypatch.setattr("limelight.packaging.serving.START_S", 20.0)
    monkeypatch.setattr("limelight.packaging.serving.STOP_S", 0.5)


def test_a_bento_is_served_as_it_was_packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for BentoML: the variables that the user has for other services do not count."""
    (tmp_path / "bentoml").mkdir()
    (tmp_path / "bentoml" / "__init__.py").touch()
    (tmp_path / "bentoml" / "__main__.py").write_text(SERVER)
    for name, value in (("TOKEN", "secret"), ("MODEL", "gone"), ("THREADS", "1"), ("OFFLINE", "1")):
        monkeypatch.setenv(f"LIMELIGHT_{name}", value)
    with served("a.bento", {"PYTHONPATH": str(tmp_path), "LIMELIGHT_THREADS": "2"}) as url:
        seen = get(url).json()
    own = {name: value for name, value in seen.items() if name.startswith("LIMELIGHT_")}
    assert own == {"LIMELIGHT_OFFLINE": "1", "LIMELIGHT_THREADS": "2"}
    assert seen["PATH"] == os.environ["PATH"], "the others do"


def test_a_service_of_this_machine_is_asked_past_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, NOBODY)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running(["-c", SERVER], {}) as url:
        assert get(url).status_code == 200


def test_a_service_that_answers_that_it_is_not_ready_has_not_started() -> None:
    with pytest.raises(UserError, match=r"did not start: .* 503 "), running(["-c", SERVER], {"UNREADY": "1"}):
        pass


def test_a_service_that_does_not_stop_is_killed() -> None:
    started = time.monotonic()
    with running(["-c", SERVER], {"DEAF": "1"}) as url:
        pass
    assert time.monotonic() - started < 20
    with pytest.raises(httpx.ConnectError, match="refused"):
        get(url)
