"""A server of files that behaves as hosts of weights and archives do, and as they do on a bad day.

As a proxy it pretends to be every host: over HTTP, and with a certificate of its own over HTTPS.
"""

import datetime
import re
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Quiet(ThreadingHTTPServer):
    """Clients may leave before the end."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class FileServer:
    """Serves bodies by their paths, with Range and If-Range; redirects, breaks off, answers with errors."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etag = '"one"'
        self.redirects: dict[str, str] = {}
        """Path -> address, of another host or port as a rule."""
        self.break_after: list[int] = []
        """Bytes after which the next answers break off."""
        self.statuses: list[int] = []
        """Of the next answers, which then have no body."""
        self.headers: dict[str, str] = {}
        self.headers_of: dict[str, dict[str, str]] = {}
        """Path -> headers instead of `headers`."""
        self.tls: ssl.SSLContext | None = None
        self.without_length = False
        self.requests: list[tuple[str, str | None]] = []
        """Path with its query, or as an HTTP proxy the whole address, and Range."""
        self.encodings: set[str | None] = set()
        """That the requests accept."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def do_CONNECT(self) -> None:
                """As a proxy: be the host that is asked for."""
                assert outer.tls, "no certificate"
                self.send_response(200)
                self.end_headers()
                self.connection = outer.tls.wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb")
                self.wfile = socketserver._SocketWriter(self.connection)
                self.close_connection = False

            def log_message(self, *_: object) -> None:
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"

    @property
    def ranges(self) -> list[str | None]:
        """Of the requests so far."""
        return [byte_range for _, byte_range in self.requests]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        byte_range, unless_changed = request.headers.get("Range"), request.headers.get("If-Range")
        self.requests.append((request.path, byte_range))
        self.encodings.add(request.headers.get("Accept-Encoding"))
        path = re.sub(r"^https?://[^/]+", "", request.path)
        if target := self.redirects.get(path):
            request.send_response(302)
            request.send_header("Location", target)
            return self.without_body(request)
        if self.statuses or path not in self.files:
            request.send_response(self.statuses.pop(0) if self.statuses else 404)
            return self.without_body(request)
        body = self.files[path]
        start = int(re.findall(r"\d+", byte_range)[0]) if byte_range and unless_changed in (None, self.etag) else 0
        if start and start >= len(body):
            request.send_response(416)
            return self.without_body(request)
        piece = body[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if not self.without_length:
            request.send_header("Content-Length", str(len(piece)))
        headers = self.headers_of.get(path, self.headers)
        for name, value in (headers | ({"ETag": self.etag} if self.etag else {})).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(piece[: self.break_after.pop(0)] if self.break_after else piece)
        request.close_connection = self.without_length or len(piece) + start == len(body)

    def without_body(self, request: BaseHTTPRequestHandler) -> None:
        request.send_header("Content-Length", "0")
        request.end_headers()


@dataclass(frozen=True)
class Certificate:
    """By which a server pretends to be some hosts over HTTPS."""

    file: Path
    """What clients have to trust."""
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


@contextmanager
def serving(certificate: Certificate | None = None) -> Iterator[FileServer]:
    """Run a server for the time of the block."""
    server = FileServer()
    server.tls = certificate and certificate.context()
    threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()


def make_certificate(folder: Path, *hosts: str) -> Certificate:
    """Write a certificate of some hosts, and its key, into a folder."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, private = folder / "certificate.pem", folder / "key.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*form))
    return Certificate(file, private)
