"""The same images for everybody: picture, mask and each row's map."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from limelight.data.classes import label_map
from limelight.data.manifest import Sample
from limelight.data.samples import read_labels
from limelight.evaluation.leaderboard import Report
from limelight.evaluation.worker import read_map, read_truth, score_one
from limelight.imaging.images import read_grey, read_image
from limelight.media.labels import tinted

HEIGHT = 144
"""Pixels, of each picture in the page."""


@dataclass(frozen=True)
class Tile:
    """One small picture as a data URI."""

    title: str
    note: str
    uri: str


def gallery(
    reports: Sequence[Report], others: Mapping[str, Mapping[str, Path]], samples: Mapping[str, Sample]
) -> dict[str, list[Tile]]:
    """Rows of tiles by sample id: picture, companion if it has one, mask, one map per report, one per other method.

    Args:
        others: method -> sample id -> its map.
        samples: by id.
    """
    ids = dict.fromkeys(name for report in reports for name in report.about["examples"])
    rows = {}
    for name in ids:
        sample = samples[name]
        truth = read_truth(sample.mask)
        tiles = [Tile("picture", "", data_uri(read_image(sample.image))), Tile("mask", "", data_uri(truth))]
        if sample.companion:
            tiles.insert(1, Tile("companion", sample.sensor, data_uri(read_grey(sample.companion))))
        sources = {
            report.about["artifact"]: report.folder / report.about["examples"][name]
            for report in reports
            if name in report.about["examples"]
        }
        sources |= {method: maps[name] for method, maps in others.items() if name in maps}
        for title, path in sources.items():
            scores = score_one(path, truth).scores
            tiles.append(Tile(title, f"MAE {scores.mae:.3f}", data_uri(read_map(path))))
        rows[name] = tiles
    return rows


def gallery_of_words(reports: Sequence[Report], samples: Mapping[str, Sample]) -> dict[str, list[Tile]]:
    """Rows of tiles by sample id: picture, the classes that it shows in their colours, those that each report found."""
    rows: dict[str, list[Tile]] = {}
    for name in dict.fromkeys(name for report in reports for name in report.about["examples"]):
        sample = samples[name]
        image = read_image(sample.image)
        truth = read_labels(sample, image.shape[:2])
        rows[name] = [
            Tile("picture", "", data_uri(image)),
            Tile("classes", ", ".join(sample.classes), data_uri(tinted(image, truth))),
        ]
        for report in reports:
            if path := report.about["examples"].get(name):
                found = data_uri(tinted(image, label_map(report.folder / path)))
                rows[name].append(Tile(report.about["artifact"], "", found))
    return rows


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A JPEG of HEIGHT pixels, to be put into a page."""
    height, width = pixels.shape[:2]
    size = HEIGHT, max(1, round(width * HEIGHT / height))
    small = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA if height > HEIGHT else cv2.INTER_LINEAR)
    stored = cv2.cvtColor(small, cv2.COLOR_RGB2BGR) if small.ndim == 3 else small
    encoded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
