"""Where a number comes from: code, settings and data, as tags."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from limelight.config import Params
from limelight.foundation.files import sha256_file

_CODE = ("*.py", "params.yaml", "dvc.yaml", "data.dvc", "requirements.lock")
"""Files whose changes make a checkout 'dirty'; tracked files that hold a pipeline's results do not."""


def provenance(params: Params) -> dict[str, str]:
    """Collect the tags of a stage's run; what is unavailable (no git, no DVC, no data yet) is left out.

    mlflow.source.git.commit and git.dirty; params.profile and params.sha256; data.index.sha256 (of data/index.json);
    dvc.stage; dvc.data.md5 (of the raw data that data.dvc tracks); dvc.lists.md5 (of the manifest and lists, from
    dvc.lock); prefect.flow_run.
    """
    tags = {
        "mlflow.source.git.commit": _git("rev-parse", "HEAD"),
        "git.dirty": _dirty(),
        "params.profile": params.profile,
        "params.sha256": hashlib.sha256(params.model_dump_json().encode()).hexdigest(),
        "data.index.sha256": _hash(Path("data/index.json")),
        "dvc.stage": os.environ.get("DVC_STAGE"),
        "dvc.data.md5": _first_md5(_load(Path("data.dvc"), "outs")),
        "dvc.lists.md5": _first_md5(_load(Path("dvc.lock"), "stages", "prepare", "outs")),
        "prefect.flow_run": os.environ.get("LIMELIGHT_FLOW_RUN"),
    }
    return {name: value for name, value in tags.items() if value}


def pipeline_key(tags: dict[str, str]) -> str:
    """Hash code revision, settings and data to 64 hex digits, equal for all stages of one pipeline run."""
    parts = [tags.get(name) for name in ("mlflow.source.git.commit", "params.sha256", "data.index.sha256")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _dirty() -> str | None:
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)
    return None if changes is None else str(bool(changes)).lower()


def _hash(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def _load(path: Path, *keys: str) -> Any:
    """What stands under these keys of a YAML file; None without it, also where dvc is just writing the file."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _first_md5(outs: Any) -> str | None:
    return next((out["md5"] for out in outs or () if "md5" in out), None)
