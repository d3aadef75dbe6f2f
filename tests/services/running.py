"""Applications on real servers, and clients that do not behave."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

FEW_BYTES = 8 << 10
"""Of a socket's buffer, so that what nobody reads is soon more than the system holds."""


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Host and port of a server of its own for an application."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, FEW_BYTES)  # its connections have the same
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


def deaf(host: str) -> socket.socket:
    """A connection of which the system takes next to nothing unless it is read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FEW_BYTES)
    name, _, port = host.rpartition(":")
    connection.settimeout(30)
    connection.connect((name, int(port)))
    return connection
