"""A headless Chromium, driven by its DevTools protocol over a WebSocket."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_S, WAIT_S = 60.0, 120.0


def chromium() -> str:
    """The installed Chromium; without it, or without what drives it, the test is skipped."""
    pytest.importorskip("websockets", reason="the package websockets, which drives Chromium, is not installed")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no Chromium is installed (none of {', '.join(NAMES)} on PATH)")
    return found


@contextmanager
def started(command: str) -> Iterator[str]:
    """Start a browser with an empty profile; yield the address of its WebSocket.

    Args:
        command: see `chromium`.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        arguments = [
            "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-gpu", "--no-sandbox",
            "--no-proxy-server", "--disable-dev-shm-usage",  # containers have no sandbox, and little shared memory
        ]  # fmt: skip
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([command, *arguments, "about:blank"], **silent)
        try:
            yield _address(Path(profile), process)
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def browsing(address: str, width: int = 1280, height: int = 900, dark: bool = False) -> Iterator["Page"]:
    """Open an empty page, which shares no storage, cache or permission with other pages of its browser.

    Args:
        address: of the browser, see `started`.
        width, height: of the page, CSS pixels.
        dark: whether the person prefers dark colours.
    """
    from websockets.sync.client import connect

    with connect(address, max_size=None, ping_interval=None) as socket:
        page = Page(socket)
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        page.call("Emulation.setDeviceMetricsOverride", **screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        try:
            yield page
        finally:
            page.close()


def _address(profile: Path, process: "subprocess.Popen[bytes]") -> str:
    """The WebSocket of a browser, once it says which."""
    told, deadline = profile / "DevToolsActivePort", time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if told.is_file() and len(lines := told.read_text().splitlines()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.1)
    raise RuntimeError(f"Chromium did not start (exit status {process.poll()})")


class Page:
    """One page: what it does, what it asks for, and what it complains of."""

    def __init__(self, socket: Any) -> None:
        """
        Args:
            socket: connection to the browser, of `websockets`.
        """
        self._socket, self._calls, self._session = socket, 0, ""
        self.requests: list[str] = []
        """Addresses that the page and its workers have asked for, in order."""
        self.errors: list[str] = []
        """Errors and warnings of the console, and exceptions that nothing has caught."""
        self._context = {"browserContextId": self.call("Target.createBrowserContext")["browserContextId"]}
        target = self.call("Target.createTarget", url="about:blank", **self._context)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._watch(self._session)
        self.call("Page.enable")

    def _watch(self, session: str) -> None:
        for domain in ("Runtime", "Network", "Log"):
            self._send(f"{domain}.enable", {}, session)
        self._send(
            "Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}, session
        )

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result.

        Raises:
            RuntimeError: the browser refuses it.
        """
        own = self._context if method.startswith("Browser.") else {}
        number = self._send(method, params | own, self._session)
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_S))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._note(message)

    def close(self) -> None:
        """Close it, and forget what it has stored."""
        self._session = ""
        self.call("Target.disposeBrowserContext", **self._context)

    def _send(self, method: str, params: dict[str, Any], session: str) -> int:
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        return self._calls

    def _note(self, message: dict[str, Any]) -> None:
        kind, facts = message.get("method"), message.get("params", {})
        if kind == "Target.attachedToTarget" and facts["sessionId"] != self._session:
            self._watch(facts["sessionId"])
        elif kind == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif kind == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.errors.append(str([each.get("value", each.get("description")) for each in facts["args"]]))
        elif kind == "Runtime.exceptionThrown":
            self.errors.append(facts["exceptionDetails"].get("exception", {}).get("description", str(facts)))
        elif kind == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, expression: str) -> Any:
        """The value of an expression, awaited if it is a promise, as JSON.

        Raises:
            RuntimeError: it throws.
        """
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", expression))
        return answer["result"].get("value")

    def until(self, condition: str | Callable[[], Any]) -> None:
        """Wait until an expression, or a function, is truthy."""
        deadline = time.monotonic() + WAIT_S
        while not (self.run(f"Boolean({condition})") if isinstance(condition, str) else condition()):
            if time.monotonic() > deadline:
                shown = self.run("document.body.innerText.slice(0, 2000)")
                raise TimeoutError(f"{condition} did not come true; errors {self.errors}; the page shows: {shown}")
            self.run("0")  # takes what the browser has said meanwhile
            time.sleep(0.05)

    def drop(self, selector: str, *paths: Path) -> None:
        """Drag files from outside onto an element, and drop them there."""
        x, y = self.middle(selector)
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def choose(self, selector: str, *paths: Path) -> None:
        """Choose files for an <input type=file>, as its dialog does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def drag(self, selector: str, within: str, to: float) -> None:
        """Move the mouse from the middle of an element to a share of another's width, its button held down."""
        x, y = self.middle(selector)
        left, width = self.run(f"(({{left, width}}) => [left, width])({_box(within)})")
        end = left + to * width
        self._mouse("mousePressed", x, y)
        for step in (0.5, 1.0):
            self._mouse("mouseMoved", x + step * (end - x), y)
        self._mouse("mouseReleased", end, y)

    def click(self, selector: str) -> None:
        x, y = self.middle(selector)
        self._mouse("mousePressed", x, y)
        self._mouse("mouseReleased", x, y)

    def _mouse(self, kind: str, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press and release a key, such as ArrowLeft with its Windows code 37."""
        facts = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **facts)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def middle(self, selector: str) -> tuple[float, float]:
        """Bring an element into view, and return where its middle is, CSS pixels from the page's left and top."""
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'nearest'}})")
        x, y = self.run(f"(box => [box.left + box.width / 2, box.top + box.height / 2])({_box(selector)})")
        return x, y

    def save_downloads(self, folder: Path) -> None:
        """Let the page save files into a folder."""
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def screenshot(self, path: Path, whole: bool = False, **options: Any) -> None:
        """Write a picture of what is shown, or of the page's whole length."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **options)
        path.write_bytes(base64.b64decode(shot["data"]))


def _box(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"


def downloaded(folder: Path, name: str) -> bytes | None:
    """The content of a file that a browser has saved whole; None until then."""
    path = folder / name
    return path.read_bytes() if path.is_file() and path.stat().st_size else None
