"""The pack that comes with the repository: data/raw, tracked by data.dvc and verified against a committed hash list."""

import subprocess
import sys
from pathlib import Path

from limelight.config import DatasetRequest
from limelight.data.hashes import HashCache, list_files
from limelight.data.index import DATASETS
from limelight.data.sources.unpacked import ensure_unpacked
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json

RAW = Path("data/raw")
HASHES = Path("data/raw.sha256.json")
TRACKED = Path("data.dvc")
PACK = "embedded.zip"


def fetch(request: DatasetRequest, cache: HashCache) -> Path:
    """Return the unpacked pack; without data/raw, as in a new clone, restore that first.

    Raises:
        UserError: data/raw cannot be restored, or differs from the list; names the file and how to restore it.
    """
    if not RAW.is_dir() and TRACKED.is_file():
        _restore()
    hashes = verify_raw(cache)
    return ensure_unpacked(RAW / PACK, hashes[PACK], DATASETS / "embedded", cache)


def _restore() -> None:
    """Restore data/raw from the DVC remote in the repository. `dvc repro` refuses to start if a source is missing,
    which is why data/raw is not a dependency of a stage."""
    answer = subprocess.run([sys.executable, "-m", "dvc", "pull", str(TRACKED)], capture_output=True, text=True)
    if answer.returncode:
        last = (answer.stderr.strip() or "no reason given").splitlines()[-1]
        raise UserError(f"{RAW} cannot be restored ({last}); run `dvc pull {TRACKED}`")


def verify_raw(cache: HashCache) -> dict[str, str]:
    """Compare every file of data/raw with data/raw.sha256.json. DVC does not: it would record a changed file as new.

    Returns:
        File name -> SHA-256.

    Raises:
        UserError: a file is missing, has other contents, or is not in the list.
    """
    if not HASHES.is_file():
        raise UserError(f"{HASHES} is missing; restore it with `git checkout {HASHES}`")
    expected_hashes: dict[str, str] = read_json(HASHES)
    present = list_files(RAW) if RAW.is_dir() else {}
    for name in expected_hashes:
        if name not in present:
            raise UserError(f"{RAW / name} is missing; run `dvc pull data.dvc`")
    for name, path in present.items():
        if name not in expected_hashes:
            raise UserError(f"{path} is not in {HASHES}; move it out of {RAW}")
        digest = cache.sha256([path])[0]
        if digest != expected_hashes[name]:
            raise UserError(
                f"{path} has changed: sha256 {digest[:12]}..., but {HASHES} says {expected_hashes[name][:12]}...; "
                "restore it with `git checkout data.dvc && dvc checkout --force data.dvc`"
            )
    if PACK not in expected_hashes:
        raise UserError(f"{HASHES} does not list {PACK}; restore it with `git checkout {HASHES}`")
    return expected_hashes
