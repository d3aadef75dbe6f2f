"""As much of a hub of models as its client needs to download one repository, from a folder."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "25" * 20


class Hub(ThreadingHTTPServer):
    """Serves `folder` as the only commit of `repository`."""

    daemon_threads = True

    def __init__(self, folder: Path, repository: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.repository = folder, repository
        self.requests: list[str] = []
        """Method, path and range of every request."""
        self.break_off: set[str] = set()
        """Files whose next transfer ends half-way."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *arguments: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        files, api = f"/{self.server.repository}/resolve/{COMMIT}/", f"/api/models/{self.server.repository}"
        if path in (api, f"{api}/revision/main"):
            self._json({"id": self.server.repository, "sha": COMMIT})
        elif path == f"{api}/tree/{COMMIT}":
            self._json([self._entry(file) for file in sorted(self.server.folder.rglob("*")) if file.is_file()])
        elif path.startswith(files) and (self.server.folder / path.removeprefix(files)).is_file():
            self._file(path.removeprefix(files), body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RevisionNotFound" if "/tree/" in path else "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _entry(self, file: Path) -> dict[str, object]:
        content = file.read_bytes()
        name = file.relative_to(self.server.folder).as_posix()
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def _file(self, name: str, body: bool) -> None:
        content = (self.server.folder / name).read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body and name in self.server.break_off:
            self.server.break_off.remove(name)
            self.wfile.write(content[start : len(content) // 2])
            self.close_connection = True
        elif body:
            self.wfile.write(content[start:])

    def _json(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def local_hub(folder: Path, repository: str) -> Iterator[Hub]:
    with Hub(folder, repository) as hub:
        threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield hub
        hub.shutdown()
