"""One picture of what the datasets look like: images with their masks and companions side by side."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from limelight.data.classes import read_label_map
from limelight.data.manifest import Sample
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.imaging.geometry import nearest
from limelight.imaging.images import read_companion, read_image
from limelight.imaging.masks import read_mask

TILE = 144
PER_DATASET = 8
_COLUMNS = 4
_BACKGROUND = 24
_CAPTION = 18
_RED = np.array([255, 64, 64], np.float32)


def write_contact_sheet(samples: Sequence[Sample], path: Path) -> None:
    """Write up to eight samples per dataset as tiles of image, image with the mask in red, and companion.

    A sample that cannot be decoded leaves its tiles dark.
    """
    by_dataset: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_dataset[sample.dataset].append(sample)
    bands = [_band(name, members[:: max(1, len(members) // PER_DATASET)]) for name, members in by_dataset.items()]
    width = max(band.shape[1] for band in bands)
    padded = [np.pad(band, ((0, 0), (0, width - band.shape[1]), (0, 0)), constant_values=_BACKGROUND) for band in bands]
    write_png(path, np.concatenate(padded))


def _band(name: str, samples: Sequence[Sample]) -> np.ndarray:
    shown = samples[:PER_DATASET]
    tiles = 2 + any(sample.companion for sample in shown)
    cells = [_cell(sample, tiles) for sample in shown]
    empty = np.full_like(cells[0], _BACKGROUND)
    cells += [empty] * (-len(cells) % min(_COLUMNS, len(cells)))
    across = min(_COLUMNS, len(cells))
    rows = [np.concatenate(cells[start : start + across], axis=1) for start in range(0, len(cells), across)]
    caption = np.full((_CAPTION, rows[0].shape[1], 3), _BACKGROUND, np.uint8)
    text = name.encode("ascii", "replace").decode()
    cv2.putText(caption, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA)
    return np.concatenate([caption, *rows])


def _cell(sample: Sample, tiles: int) -> np.ndarray:
    """Tiles side by side, dark where a sample has no picture for one."""
    cell = np.full((TILE, tiles * TILE, 3), _BACKGROUND, np.uint8)
    try:
        image = read_image(sample.image)
        pictures = [image, _with_mask(image, sample)]
        if sample.companion:
            pictures.append(_grey(read_companion(sample.companion)))
    except UserError:
        return cell
    cell[:, : len(pictures) * TILE] = np.concatenate([_tile(picture) for picture in pictures], axis=1)
    return cell


def _with_mask(image_HW3: np.ndarray, sample: Sample) -> np.ndarray:
    if not sample.mask:
        return image_HW3
    size = image_HW3.shape[:2]
    if sample.labels == "classes":
        labels = nearest(read_label_map(Path(sample.mask)).astype(np.uint16), size)
        return cv2.cvtColor(cv2.applyColorMap((labels * 37).astype(np.uint8), cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    share = 0.6 * read_mask(sample.mask, size=size)[..., None]
    return (image_HW3 * (1 - share) + _RED * share).astype(np.uint8)


def _grey(level_HW: np.ndarray) -> np.ndarray:
    return cv2.cvtColor((level_HW * 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)


def _tile(picture_HW3: np.ndarray) -> np.ndarray:
    """Fit into TILE x TILE, centred on the background."""
    height, width = picture_HW3.shape[:2]
    scale = (TILE - 4) / max(height, width)
    height, width = max(1, round(height * scale)), max(1, round(width * scale))
    tile = np.full((TILE, TILE, 3), _BACKGROUND, np.uint8)
    top, left = (TILE - height) // 2, (TILE - width) // 2
    small = cv2.resize(picture_HW3, (width, height), interpolation=cv2.INTER_AREA)
    tile[top : top + height, left : left + width] = small
    return tile
