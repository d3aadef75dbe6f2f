"""Datasets drawn by the renderer: drawn once per settings, and anew when they change."""

from pathlib import Path

from limelight.config import DatasetRequest
from limelight.data.hashes import HashCache, file_hashes
from limelight.data.index import DATASETS
from limelight.data.sources.unpacked import check_unchanged
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, write_json


def fetch(request: DatasetRequest, cache: HashCache) -> Path:
    """Return the rendered folder data/datasets/<name>; its files' hashes are in '<name>.json' beside it.

    Raises:
        UserError: the folder was not made by the renderer, or has been changed since.
    """
    from limelight.data.renderer import render_dataset
    from limelight.data.renderer.dataset import RECIPE

    assert request.render is not None
    target = DATASETS / request.name
    record = target.with_name(target.name + ".json")
    if target.is_dir() and not (target / RECIPE).is_file():
        raise UserError(f"{target} exists but was not drawn by the renderer; move it away, or give it as `path`")
    if target.is_dir() and record.is_file():
        check_unchanged(target, read_json(record)["files"], file_hashes(target, cache), "drawn")
    record.unlink(missing_ok=True)  # a run that is interrupted from here on leaves other files than it lists
    # Keeps what was drawn from these settings, and resumes an interrupted run.
    render_dataset(target, request.render)
    write_json(record, {"files": file_hashes(target, cache)})
    return target
