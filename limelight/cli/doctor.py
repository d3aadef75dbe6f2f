"""`limelight doctor`: check the machine, the environment and the folder before a long run."""

import importlib.metadata
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from limelight.config import Params, Tracking, load_params
from limelight.data.index import INDEX, read_index
from limelight.data.sources.embedded import HASHES, RAW
from limelight.foundation.artifacts import ARTIFACTS
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, sha256_file
from limelight.foundation.this_process import cores
from limelight.tracking.store_home import database_of, lost_versions, moved_from

State = Literal["ok", "note", "broken"]
GIB = 1 << 30
LOW_DISK = 2 * GIB
SETTINGS = Path("params.yaml")
PORTS = {3000: "limelight serve", 4200: "the Prefect server", 5000: "MLflow's pages"}


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    what: str
    state: State
    """'note': worth knowing, or missing and not needed yet. 'broken': something will fail because of it."""
    text: str


def examine() -> list[Finding]:
    """Run all checks. A UserError in a check becomes a finding and does not stop the others."""
    findings: list[Finding] = []
    params: Params | None = None
    try:
        params = load_params() if SETTINGS.is_file() else None
    except UserError as error:
        findings.append(Finding("settings", "broken", str(error)))
    for check in _CHECKS:
        try:
            findings += check(params)
        except UserError as error:
            findings.append(Finding(check.__name__.strip("_"), "broken", str(error)))
    return findings


def render(findings: list[Finding], *, as_json: bool) -> str:
    """Format findings as a JSON list, or as aligned lines."""
    if as_json:
        return json.dumps([asdict(finding) for finding in findings], indent=2)
    width = max(len(finding.what) for finding in findings)
    return "\n".join(f"{finding.state:6}  {finding.what.ljust(width)}  {finding.text}" for finding in findings)


def _python(params: Params | None) -> Iterator[Finding]:
    supported = (3, 11) <= sys.version_info < (3, 14)
    text = f"{sys.version.split()[0]} at {sys.executable}"
    yield Finding("python", "ok" if supported else "broken", text if supported else f"{text}; 3.11 to 3.13 is needed")


def _packages(params: Params | None) -> Iterator[Finding]:
    """Check every requirement in limelight's metadata: the core must be installed, extras may be absent."""
    from packaging.requirements import Requirement

    missing: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("limelight") or []:
        requirement = Requirement(line)
        extra = next(
            (
                name
                for name in _extras()
                if requirement.marker is not None and requirement.marker.evaluate({"extra": name})
            ),
            "",
        )
        if requirement.name == "limelight" or (requirement.marker is not None and not extra):
            continue
        problem = _problem(requirement.name, str(requirement.specifier))
        if problem:
            missing.setdefault(extra, []).append(problem)
    core = missing.pop("", [])
    yield Finding("packages", "broken" if core else "ok", "; ".join(core) or f"all {_core_count()} of the core")
    for extra, problems in missing.items():
        yield Finding(f"extra {extra}", "note", f"{'; '.join(problems)}; pip install 'limelight[{extra}]'")


def _extras() -> list[str]:
    declared = importlib.metadata.metadata("limelight").get_all("Provides-Extra") or []
    return [name for name in declared if name != "all"]


def _core_count() -> int:
    return sum("extra ==" not in line for line in importlib.metadata.requires("limelight") or [])


def _problem(name: str, specifier: str) -> str:
    from packaging.specifiers import SpecifierSet

    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is missing"
    return "" if version in SpecifierSet(specifier, prereleases=True) else f"{name} {version} is not {specifier}"


def _devices(params: Params | None) -> Iterator[Finding]:
    import torch

    requested = params.device if params else "auto"
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Finding("torch", "ok", f"{torch.__version__}, CUDA {torch.version.cuda}: {names}")
    elif requested == "cuda":
        yield Finding("torch", "broken", f"{torch.__version__} finds no GPU, and params.yaml asks for device: cuda")
    elif shutil.which("nvidia-smi"):
        yield Finding("torch", "note", f"{torch.__version__} cannot use this machine's GPU; install a CUDA build")
    else:
        yield Finding("torch", "ok", f"{torch.__version__} on the CPU")
    present = {name: importlib.util.find_spec(name) is not None for name in ("onnxruntime", "openvino")}
    versions = [f"{name} {importlib.metadata.version(name)}" for name, here in present.items() if here]
    text = ", ".join(["torch", *versions])
    yield Finding("runtimes", "ok" if all(present.values()) else "note", text)


def _resources(params: Params | None) -> Iterator[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("processor", "ok", f"{cores()} cores, {memory / GIB:.0f} GiB of memory")
    free = shutil.disk_usage(".").free
    text = f"{free / GIB:.1f} GiB free in {Path.cwd()}"
    if not os.access(".", os.W_OK):
        yield Finding("disk", "broken", f"{Path.cwd()} is not writable")
    else:
        yield Finding("disk", "ok" if free > LOW_DISK else "note", text if free > LOW_DISK else f"{text}: little")


def _settings(params: Params | None) -> Iterator[Finding]:
    if params:
        datasets = ", ".join(request.name for request in params.active.data.datasets)
        yield Finding("settings", "ok", f"profile {params.profile}, seed {params.seed}, datasets {datasets}")
    elif not SETTINGS.is_file():
        yield Finding("settings", "note", f"no {SETTINGS} here: predict and serve work, the pipeline does not")


def _repository(params: Params | None) -> Iterator[Finding]:
    revision = _output("git", "rev-parse", "--short", "HEAD")
    changed = len((_output("git", "status", "--porcelain") or "").splitlines())
    if revision:
        yield Finding("git", "ok", f"{revision}, " + (f"{changed} files differ from it" if changed else "clean"))
    else:
        yield Finding("git", "note", "no git repository here: runs cannot be traced to a revision")
    if params:
        state: State = "ok" if Path(".dvc/config").is_file() else "broken"
        yield Finding("dvc", state, "initialised" if state == "ok" else "no .dvc/config here; restore it from git")


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _raw_data(params: Params | None) -> Iterator[Finding]:
    if not HASHES.is_file():
        yield Finding("raw data", "note", f"{HASHES} is missing, so {RAW} cannot be verified")
        return
    for name, expected in read_json(HASHES).items():
        path = RAW / name
        if not path.is_file():
            yield Finding(f"raw {name}", "note", f"{path} is not here yet; dvc repro restores it")
        elif sha256_file(path) != expected:
            yield Finding(f"raw {name}", "broken", f"{path} is damaged; delete it, then dvc pull data.dvc")
        else:
            yield Finding(f"raw {name}", "ok", f"{path}, as committed")


def _data(params: Params | None) -> Iterator[Finding]:
    if not INDEX.is_file():
        yield Finding("data", "note", "no dataset downloaded or drawn yet; run dvc repro download")
        return
    for name, entry in read_index().items():
        here = Path(entry.root).is_dir()
        text = f"{name}: {entry.files} files in {entry.root}"
        yield Finding(
            "data", "ok" if here else "broken", text if here else f"{text}, which is gone; dvc repro download"
        )


def _weights(params: Params | None) -> Iterator[Finding]:
    from limelight.cli.listing import find_weights
    from limelight.models.shipped import shipped_names
    from limelight.models.weights import check_weights

    cards = find_weights(ARTIFACTS)
    if not cards:
        here = f"; {' and '.join(shipped_names())} come with the package" if shipped_names() else ""
        yield Finding("weights", "note", f"none in artifacts/ yet{here}; dvc repro trains others")
    for folder, card in cards.items():
        if isinstance(card, UserError):
            yield Finding(f"weights {folder}", "broken", str(card))
            continue
        try:
            check_weights(folder, card)
        except UserError as error:
            yield Finding(f"weights {folder}", "broken", str(error))
            continue
        known = f"{card.architecture.model}, {card.architecture.parameters:,} parameters"
        yield Finding(f"weights {folder}", "ok", f"{known}, sha256 {card.provenance.sha256[:12]} verified")


def _champion(params: Params | None) -> Iterator[Finding]:
    from limelight.champions.record import champion, champions
    from limelight.models.shipped import DEFAULT, shipped_names

    chosen = champions()
    for task in chosen:
        folder, runtime = champion(task)
        here = folder.is_dir()
        yield Finding(
            f"champion of {task}",
            "ok" if here else "broken",
            f"{folder}, {runtime}" if here else f"{folder} is missing; dvc repro",
        )
    if not chosen:
        instead = f"uses {DEFAULT}" if DEFAULT in shipped_names() else "needs --model"
        yield Finding("champion", "note", f"none chosen yet; limelight predict {instead} until dvc repro has run")


def _ports(params: Params | None) -> Iterator[Finding]:
    for port, user in PORTS.items():
        with socket.socket() as probe:
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        text = f"in use; {user} needs it, unless that is what is running" if taken else f"free for {user}"
        yield Finding(f"port {port}", "note" if taken else "ok", text)


def _tracker(params: Params | None) -> Iterator[Finding]:
    if params is None or not params.tracking.enabled:
        yield Finding("tracker", "note", "off")
        return
    uri = params.tracking.uri
    parts = urlsplit(uri)
    if database_of(params.tracking):
        yield from _store(params.tracking)
        return
    if parts.scheme not in ("http", "https"):
        yield Finding(
            "tracker", "ok", uri if Path(parts.path.lstrip("/")).exists() else f"{uri}, made by the first run"
        )
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "", port), timeout=3):
            yield Finding("tracker", "ok", f"{uri} answers")
    except OSError as error:
        yield Finding("tracker", "note", f"{uri} does not answer ({error}); runs are not tracked until it does")


def _store(tracking: Tracking) -> Iterator[Finding]:
    """Check an SQLite store: whether it is readable, was moved, and has the weights of its champions."""
    try:
        old, lost_models = moved_from(tracking), lost_versions(tracking)
    except sqlite3.Error as error:
        yield Finding(
            "tracker",
            "broken",
            f"{tracking.uri} cannot be read ({error}); end the process that holds it, or restore it",
        )
        return
    if old:
        text = f"{tracking.uri} was made in {old}; the next run or python -m limelight.tracking updates its paths"
        yield Finding("tracker", "note", text)
    else:
        database = database_of(tracking)
        here = database is not None and database.exists()
        yield Finding("tracker", "ok", tracking.uri if here else f"{tracking.uri}, made by the first run")
    for version in lost_models:
        yield Finding("registry", "broken", f"{version} lacks its files; restore them, or move the alias")


_CHECKS: tuple[Callable[[Params | None], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _devices,
    _resources,
    _settings,
    _repository,
    _raw_data,
    _data,
    _weights,
    _champion,
    _ports,
    _tracker,
)
