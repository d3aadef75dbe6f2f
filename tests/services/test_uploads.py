"""What the services answer where memory runs out; no server is started."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limelight.media.images import write_png
from services import saliency, words


def refuse(*_arguments: Any, **_options: Any) -> None:
    raise MemoryError


class Found:
    """A predictor and its answer."""

    classes = ("cup",)
    saliency_HW = np.zeros((4, 6), np.float32)
    labels_HW = np.zeros((4, 6), np.int16)

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    def predict(self, *_arguments: Any, **_options: Any) -> list["Found"]:
        return [self]

    def modality_for(self, *_arguments: Any) -> str:
        return "rgb"


@pytest.mark.parametrize(
    ("service", "step"),
    [(saliency, "read_upload"), (saliency, "encode"), (words, "read_upload"), (words, "encode_labels")],
)
def test_running_out_of_memory_is_the_pictures_fault(
    service: Any, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8))
    monkeypatch.setattr(service, step, refuse)
    if service is saliency:
        inner = saliency.Limelight.inner.__new__(saliency.Limelight.inner)
        inner._predictor = Found()
        answer = inner._answer(tmp_path / "a.png", [], None, "map")
    else:
        inner = words.Words.inner.__new__(words.Words.inner)
        inner._predictor = Found()
        answer = inner.segment(tmp_path / "a.png", ["cup"])
    assert answer.status_code == 413
    assert "takes more memory than there is; send a smaller one" in json.loads(answer.body)["error"]
