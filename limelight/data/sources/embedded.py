"""The pack that comes with the repository: data/raw, tracked by data.dvc and proved against a committed hash list."""

from pathlib import Path

from limelight.config import DatasetRequest
from limelight.data.hashes import HashCache, list_files
from limelight.data.sources import DATASETS
from limelight.data.sources.unpacked import ensure_unpacked
from models.errors import UserError
from models.files import read_json

RAW = Path("data/raw")
HASHES = Path("data/raw.sha256.json")
PACK = "embedded.zip"


def fetch(request: DatasetRequest, cache: HashCache) -> Path:
    """The unpacked pack.

    Raises:
        UserError: data/raw is missing or differs from the list; names the file and how to restore it.
    """
    hashes = verify_raw(cache)
    return ensure_unpacked(RAW / PACK, hashes[PACK], DATASETS / "embedded", cache)


def verify_raw(cache: HashCache) -> dict[str, str]:
    """Compare every file of data/raw with data/raw.sha256.json. DVC does not: it would record a changed file as new.

    Returns:
        File name -> SHA-256.

    Raises:
        UserError: a file is missing, has other contents, or is not in the list.
    """
    if not HASHES.is_file():
        raise UserError(f"{HASHES} is missing; restore it with `git checkout {HASHES}`")
    wanted: dict[str, str] = read_json(HASHES)
    present = list_files(RAW) if RAW.is_dir() else {}
    for name in wanted:
        if name not in present:
            raise UserError(f"{RAW / name} is missing; run `dvc pull data.dvc`")
    for name, path in present.items():
        if name not in wanted:
            raise UserError(f"{path} is not in {HASHES}; move it out of {RAW}")
        found = cache.sha256([path])[0]
        if found != wanted[name]:
            raise UserError(
                f"{path} has changed: sha256 {found[:12]}..., but {HASHES} says {wanted[name][:12]}...; restore it "
                "with `git checkout data.dvc && dvc checkout --force data.dvc`"
            )
    if PACK not in wanted:
        raise UserError(f"{HASHES} does not list {PACK}; restore it with `git checkout {HASHES}`")
    return wanted
