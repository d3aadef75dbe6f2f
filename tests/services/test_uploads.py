"""What the services share: notes in a header, answers where memory runs out, origins of weights. No server runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limelight.deploy.inference_form import save_deployed
from limelight.imaging.encoding import write_png
from limelight.models.weights import load_weights
from limelight.services import open_vocabulary, saliency
from limelight.services.concurrency import Slots
from limelight.services.uploads import MAX_NOTES_CHARS, as_header, notes_header


def refuse(*_arguments: Any, **_options: Any) -> None:
    raise MemoryError


class StubPredictor:
    """A predictor and its answer."""

    classes = ("cup",)
    saliency_HW = np.zeros((4, 6), np.float32)
    labels_HW = np.zeros((4, 6), np.int16)

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    def predict(self, *_arguments: Any, **_options: Any) -> list["StubPredictor"]:
        return [self]

    def modality_for(self, *_arguments: Any) -> str:
        return "rgb"


def answer_of(service: Any, folder: Path) -> Any:
    """What the service answers to a picture."""
    write_png(folder / "a.png", np.zeros((4, 6, 3), np.uint8))
    if service is saliency:
        inner = saliency.Limelight.inner.__new__(saliency.Limelight.inner)
        inner._predictor = StubPredictor()
        return inner._answer(folder / "a.png", [], None, "map")
    inner = open_vocabulary.OpenVocabulary.inner.__new__(open_vocabulary.OpenVocabulary.inner)
    inner._predictor = StubPredictor()
    return inner.segment(folder / "a.png", ["cup"])


@pytest.mark.parametrize(
    ("service", "step"),
    [
        (saliency, "read_upload"),
        (saliency, "encode"),
        (open_vocabulary, "read_upload"),
        (open_vocabulary, "encode_labels"),
    ],
)
def test_running_out_of_memory_is_the_pictures_fault(
    service: Any, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, step, refuse)
    answer = answer_of(service, tmp_path)
    assert answer.status_code == 413
    assert "needs more memory than there is; send a smaller one" in json.loads(answer.body)["error"]


@pytest.mark.parametrize("service", [saliency, open_vocabulary])
def test_a_picture_for_which_no_place_becomes_free_is_503(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer_of(service, tmp_path).status_code == 200
    monkeypatch.setattr(service, "_SLOTS", Slots(0, patience=0.01))
    answer = answer_of(service, tmp_path)
    assert answer.status_code == 503
    assert "earlier pictures are still being worked on" in json.loads(answer.body)["error"]


def test_notes_are_a_header_of_json() -> None:
    notes = [
        "only the first of 12 frames was used",
        "le profil « Ж » est abîmé 😀",
        'a\r\nSet-Cookie: "b"\x00\x7f\ud800\u2028',
    ]
    assert notes_header([]) == {}
    ((name, value),) = notes_header(notes).items()
    assert name == "X-Limelight-Notes" and json.loads(value) == notes
    assert value.isascii() and value.isprintable()


@pytest.mark.parametrize("note", ["a", "a" * 9999, "😀" * 9999, "\x00" * 50], ids=["short", "long", "emoji", "nul"])
@pytest.mark.parametrize("count", [1, 30, 9999])
def test_a_header_of_notes_is_bounded_and_counts_what_it_leaves_out(note: str, count: int) -> None:
    value = notes_header([note] * count)["X-Limelight-Notes"]
    assert len(value) <= MAX_NOTES_CHARS
    *notes, last = json.loads(value)
    left_out = 0 if last == note[:200] else int(last.removeprefix("and ").removesuffix(" more"))
    assert len(notes) + (left_out or 1) == count and set(notes) <= {note[:200]}


def test_names_of_classes_are_a_header_too() -> None:
    assert as_header(("dog", "猫\x7f\n")) == '["dog", "\\u732b\\u007f\\n"]'


def test_what_is_described_names_no_folder_of_the_machine(untrained: Path, tmp_path: Path) -> None:
    model, card = load_weights(untrained)
    source = save_deployed(tmp_path / "made", model, card, untrained.resolve()).provenance.source
    assert source == f"merged from {untrained.name} (sha256 {card.provenance.sha256})"
