"""Where the service may listen, and what is said where it cannot."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from limelight.foundation.errors import UserError
from limelight.services.address import bindable


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert bindable("127.0.0.1", port) == "127.0.0.1"
    assert bindable("localhost", port) in ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("host", "part"),
    [
        ("203.0.113.5", "203.0.113.5 is not an address of this machine"),
        ("host.invalid", "host 'host.invalid' cannot be resolved"),
        ("", "host '' cannot be resolved"),
        ("a..b", "host 'a..b' cannot be resolved"),
        ("[::1]", "cannot be resolved"),
    ],
)
def test_where_nothing_can_listen_is_one_line(host: str, part: str) -> None:
    with pytest.raises(UserError) as caught:
        bindable(host, 3000)
    assert part in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run something as a user without rights")
def test_a_port_that_needs_rights_is_one_line() -> None:
    code = (
        "import os, limelight.services.address as a; ''.encode('idna'); os.setuid(65534); a.bindable('127.0.0.1', 80)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "port 80 of 127.0.0.1 needs more rights" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_one_line_before_anything_starts(host: str, untrained: Path) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        port = taken.getsockname()[1]
        command = ["-m", "limelight.cli", "serve", "--model", str(untrained), "--host", host, "--port", str(port)]
        result = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: port {port} of {host} is in use; choose another with --port")
    assert result.stderr.count("\n") == 1
