"""Datasets drawn by the renderer: drawn once per settings, and anew when they change."""

from pathlib import Path

from limelight.config import DatasetRequest
from limelight.data.hashes import HashCache, file_hashes
from limelight.data.sources import DATASETS
from limelight.data.sources.unpacked import check_unchanged
from models.errors import UserError
from models.files import atomic_path, read_json, write_json


def fetch(request: DatasetRequest, cache: HashCache) -> Path:
    """The drawn folder data/datasets/<name>; what was drawn stands in '<name>.json', with the settings.

    Raises:
        UserError: the folder is not of our making, or has been changed since.
    """
    target = DATASETS / request.name
    record = target.with_name(target.name + ".json")
    settings = request.render.model_dump() if request.render else {}
    if target.is_dir():
        if not record.is_file():
            raise UserError(f"{target} is there but was not drawn by the renderer; move it away, or use it by `path`")
        known = read_json(record)
        check_unchanged(target, known["files"], file_hashes(target, cache), "drawn")
        if known["render"] == settings:
            return target
    record.unlink(missing_ok=True)
    _draw(request, target)
    write_json(record, {"render": settings, "files": file_hashes(target, cache)})
    return target


def _draw(request: DatasetRequest, target: Path) -> None:
    from limelight.data.renderer import render_dataset

    with atomic_path(target) as folder:
        render_dataset(folder, request.render)
