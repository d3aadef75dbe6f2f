"""The embedded pack: a small rendered dataset in one zip, the same bytes whenever the same libraries make it."""

import tempfile
import zipfile
from pathlib import Path

from limelight.config import Renderer
from limelight.data.renderer.dataset import render_dataset
from limelight.foundation.files import atomic_path, sha256_file, write_json

SETTINGS = Renderer(scenes=1020, size=160, seed=0, clip_frames=12)
SPLITS = {"train": 400, "unlabelled": 400, "val": 60, "test": 160}
CLIPS = {"train": 12, "test": 4}
IMAGE_SUFFIX = ".jpg"
"""As in the published photo sets; lossless, the noise of a thousand images alone would be 50 MB."""
LARGEST = 20 * 2**20
"""Bytes; limited because the pack is in the repository."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_pack(folder: Path | str, workers: int | None = None) -> Path:
    """Draw the pack.

    Args:
        folder: gets embedded.zip; the sha256 list goes beside it, as <folder>.sha256.json.

    Returns:
        The zip's path.
    """
    folder = Path(folder)
    pack = folder / "embedded.zip"
    with tempfile.TemporaryDirectory(dir=_existing(folder.parent)) as scratch:
        drawn = Path(scratch) / "embedded"
        render_dataset(drawn, SETTINGS, SPLITS, clips=CLIPS, image_suffix=IMAGE_SUFFIX, workers=workers)
        zip_folder(drawn, pack)
    if pack.stat().st_size > LARGEST:
        raise ValueError(f"{pack} has {pack.stat().st_size} bytes, more than {LARGEST}; draw fewer scenes")
    write_json(folder.with_name(f"{folder.name}.sha256.json"), {pack.name: sha256_file(pack)})
    return pack


def zip_folder(source: Path, target: Path) -> None:
    """Zip a folder so that its bytes depend on names and contents alone: sorted, one date, nothing compressed.

    Pictures are compressed already, and deflate's output differs between versions of zlib.
    """
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(source).as_posix(), _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())


def _existing(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
