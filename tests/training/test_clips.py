"""Networks of clips: trained on windows, taught by a network of stills, evaluated and used on clips and on stills."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import ToyNetwork, toy_network, toy_run, toy_samples

from limelight.data.manifest import Sample
from limelight.evaluation.saliency import predicted, to_8bit
from limelight.foundation.errors import UserError
from limelight.imaging.images import read_image
from limelight.inference.loading import load
from limelight.inference.stream import Stream
from limelight.models.card import IMAGENET, Card
from limelight.models.registry import create_model
from limelight.models.weights import save_weights
from limelight.training.loop import fit
from limelight.training.objectives import make_learner
from limelight.training.teacher import NetworkTeacher

CARD = Card(
    architecture={"model": "toy", "family": "toy", "parameters": 1},
    prepare={"size": (32, 32)},
    provenance={"sha256": "0" * 64},
)
CLIP = {"labelled": ["train"], "validation": "val", "frames": 3}


@pytest.fixture
def clips(tmp_path: Path) -> list[Sample]:
    """Two clips of four frames, and a still."""
    samples = toy_samples(tmp_path, 9)
    return [
        replace(sample, clip=f"clip{at // 4}", frame=at % 4) if at < 8 else sample for at, sample in enumerate(samples)
    ]


@pytest.mark.parametrize("teacher", [None, "toy"])
def test_it_learns_from_windows_of_clips_and_stills(teacher: str | None, clips: list[Sample], tmp_path: Path) -> None:
    objective = {"name": "distilled", "label_weight": 0.5} if teacher else {"name": "supervised", "loss": "bce-iou"}
    run = toy_run(
        epochs=3, samples=CLIP, objective=objective, batch={"size": 2}, optimiser={"name": "adamw", "lr": 3e-3}
    )
    torch.manual_seed(0)
    network = create_model("stdnet", width=8, frames=3)
    still: ToyNetwork = toy_network()
    taught = NetworkTeacher(still, CARD, normalisation=IMAGENET, size=None, classes=())
    learner = make_learner(run.objective, network, epochs=run.epochs, teacher=taught if teacher else None)
    history = fit(learner, run, samples=clips, validation=clips, folder=tmp_path / "k", seed=0, device="cpu")
    losses = [record["loss"] for record in history.records]
    assert losses[-1] < losses[0] and 0 < history.last["val_mae"] < 0.6


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clips") / "stdnet"
    network = create_model("stdnet", width=8, frames=3)
    with torch.no_grad():
        network.head.bias.fill_(0.3)
        network.head.weight.mul_(20)
    save_weights(folder, network, name="stdnet", input_size=(32, 32))
    return folder


def test_frames_are_seen_together(weights: Path, clips: list[Sample]) -> None:
    predictor = load(weights, device="cpu")
    frames = [read_image(sample.image) for sample in clips[:4]]
    together = [each.saliency_HW for each in predictor.predict_clip(frames)]
    alone = [each.saliency_HW for each in predictor.predict(frames)]
    assert [each.shape for each in together] == [(40, 48)] * 4
    assert all(not np.array_equal(*pair) for pair in zip(together, alone, strict=True))
    with pytest.raises(UserError, match="frames of a clip differ in size"):
        predictor.predict_clip([frames[0], frames[1][:20]])


def test_clips_are_scored_window_by_window_and_stills_alone(weights: Path, clips: list[Sample]) -> None:
    predictor = load(weights, device="cpu")
    scored = {sample.sample_id: saliency for sample, saliency in predicted(predictor, clips, 8, {})}
    frames = [read_image(sample.image) for sample in clips]
    windows = [frames[0:3], frames[3:4], frames[4:7], frames[7:8], frames[8:9]]
    expected = [to_8bit(each.saliency_HW) for window in windows for each in predictor.predict_clip(window)]
    assert list(scored) == [sample.sample_id for sample in clips]
    assert all(np.array_equal(*pair) for pair in zip(scored.values(), expected, strict=True))


def test_clips_of_one_name_in_two_splits_are_not_seen_together(weights: Path, clips: list[Sample]) -> None:
    predictor = load(weights, device="cpu")
    pair = [replace(clips[0], split="test", clip="one"), replace(clips[1], split="val", clip="one")]
    expected = [to_8bit(predictor.predict_clip([read_image(sample.image)])[0].saliency_HW) for sample in pair]
    scored = [saliency for _, saliency in predicted(predictor, pair, 8, {})]
    assert all(np.array_equal(*each) for each in zip(scored, expected, strict=True))


def test_a_clip_network_teaches_clips(weights: Path, clips: list[Sample]) -> None:
    """Its maps as targets are its maps, whatever its own size."""
    from limelight.data.loader import evaluation_batches
    from limelight.models.weights import load_weights

    network, card = load_weights(weights)
    teacher = NetworkTeacher(network, card, normalisation=card.prepare.normalisation, size=None, classes=())
    (batch, *_) = evaluation_batches(clips[:4], 32, 1, frames=4, normalisation=card.prepare.normalisation)
    with torch.no_grad():
        expected = network.eval().maps(batch.inputs)
    assert torch.equal(teacher.targets(batch), expected)
    smaller = NetworkTeacher(network, card, normalisation=card.prepare.normalisation, size=16, classes=())
    assert smaller.targets(batch).shape == expected.shape


def test_a_causal_network_streams_what_it_sees_in_the_whole_clip(clips: list[Sample], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = create_model("stdnet-causal", width=8, frames=3)
    with torch.no_grad():
        network.head.weight.mul_(20)
    save_weights(tmp_path / "w", network, name="stdnet-causal", input_size=(32, 32))
    predictor = load(tmp_path / "w", device="cpu")
    frames = [read_image(sample.image) for sample in clips[:8]]
    stream = Stream(predictor)
    assert predictor.streams and stream.look_ahead == 0
    streamed = [each.saliency_HW for frame in frames for each in stream.push(frame)]
    whole = [each.saliency_HW for each in predictor.predict_clip(frames)]
    assert len(streamed) == 8
    for pair in zip(streamed, whole, strict=True):
        np.testing.assert_allclose(*pair, atol=1e-5)


def test_a_stream_of_windows_keeps_order_and_loses_nothing(weights: Path, clips: list[Sample]) -> None:
    predictor = load(weights, device="cpu")
    frames = [read_image(sample.image) for sample in clips[:8]]
    stream = Stream(predictor)
    assert not predictor.streams and stream.look_ahead == 2
    streamed = [each for frame in frames for each in stream.push(frame)] + stream.flush()
    expected = [each for at in (0, 3, 6) for each in predictor.predict_clip(frames[at : at + 3])]
    assert all(
        np.array_equal(one.saliency_HW, other.saliency_HW) for one, other in zip(streamed, expected, strict=True)
    )
