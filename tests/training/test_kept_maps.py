"""A teacher that sees each picture once, before the training."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from toy import ToyNetwork, equal, toy_network, toy_run, toy_samples, weights

from limelight.config import Run
from limelight.data import teacher_maps
from limelight.data.loader import epoch_batches
from limelight.data.manifest import Sample
from limelight.data.teacher_maps import map_path, read_map
from limelight.foundation.errors import UserError
from limelight.foundation.files import sha256_file
from limelight.models.base import Network
from limelight.models.card import IMAGENET, Card
from limelight.models.inputs import WITH_COMPANION
from limelight.models.registry import create_model
from limelight.training.history import History
from limelight.training.kept_maps import KeptMaps
from limelight.training.loop import fit
from limelight.training.objectives.distilled import Distilled
from limelight.training.teacher import NetworkTeacher

CARD = Card(
    architecture={"model": "toy", "family": "toy", "parameters": 1},
    prepare={"size": (32, 32)},
    provenance={"sha256": "0" * 64},
)
FACTS = {"normalisation": IMAGENET, "classes": ()}


class Counting(ToyNetwork):
    """Counts the pictures that it sees."""

    seen = 0

    def forward(self, image_B3HW: torch.Tensor) -> list[torch.Tensor]:
        self.seen += len(image_B3HW)
        return super().forward(image_B3HW)


class Knowing(ToyNetwork):
    """Finds the discs, which are brighter by 120 of 255."""

    def forward(self, image_B3HW: torch.Tensor) -> list[torch.Tensor]:
        mean = image_B3HW.mean(1, keepdim=True)
        return [30 * (torch.nn.functional.avg_pool2d(mean, 3, 1, 1) - 0.05)]


class Depth(ToyNetwork):
    """Answers with the companion that it sees."""

    inputs = WITH_COMPANION

    def maps(self, given: dict[str, torch.Tensor]) -> torch.Tensor:
        return given["companion"]


def counting() -> Counting:
    torch.manual_seed(3)
    return Counting()


def taught(teacher: Network, run: Run, maps: Path, *, size: int | None = None, flip: bool = False) -> Distilled:
    """A toy student."""
    kept = KeptMaps(NetworkTeacher(teacher, CARD, size=size, flip=flip, **FACTS), maps)
    return Distilled(toy_network(dropout=0.0), run.objective, epochs=run.epochs, teacher=kept)


def run_of(**settings: object) -> Run:
    return toy_run(objective={"name": "distilled", "teacher_loss": "bce", "teacher_maps": "once"}, **settings)


def trained(learner: Distilled, run: Run, samples: list[Sample], folder: Path) -> History:
    return fit(learner, run, samples=samples, folder=folder, seed=0, device="cpu")


def test_the_teacher_sees_each_picture_once_and_further_trainings_none(tmp_path: Path):
    samples, run, maps = toy_samples(tmp_path, 6), run_of(epochs=3), tmp_path / "maps"
    first, again = counting(), counting()
    learner = taught(first, run, maps)
    trained(learner, run, samples, tmp_path / "first")
    assert first.seen == 6 and learner.teacher.teacher is None
    second = taught(again, run, maps)
    trained(second, run, samples, tmp_path / "second")
    assert again.seen == 0
    assert equal(weights(learner.network), weights(second.network))


def test_a_training_that_was_stopped_goes_on_with_the_maps_that_are_there(tmp_path: Path):
    samples, run, maps = toy_samples(tmp_path, 6), run_of(), tmp_path / "maps"
    whole = taught(counting(), run, maps)
    trained(whole, run, samples, tmp_path / "whole")
    map_path(maps, samples[2]).unlink()
    teacher = counting()
    resumed = taught(teacher, run, maps)
    trained(resumed, run, samples, tmp_path / "resumed")
    assert teacher.seen == 1
    assert equal(weights(whole.network), weights(resumed.network))


@pytest.mark.parametrize("flip", [False, True])
def test_maps_are_those_that_the_teacher_would_make_in_each_step(flip: bool, tmp_path: Path):
    samples, maps = toy_samples(tmp_path, 4), tmp_path / "maps"
    run = run_of(augment=[{"name": "resize"}], epochs=1)
    teacher = Knowing()
    learner = taught(teacher, run, maps, flip=flip)
    trained(learner, run, samples, tmp_path / "k")
    batch = next(epoch_batches(samples, run, seed=0, epoch=0, inputs=teacher.inputs, maps=maps))
    online = NetworkTeacher(teacher, CARD, size=None, flip=flip, **FACTS).targets(batch)
    assert batch.teacher_B1HW is not None
    # The map is made at 32 pixels, kept in 256 levels, enlarged to the picture's size and made smaller again.
    assert (batch.teacher_B1HW - online).abs().mean() < 0.03
    assert (batch.teacher_B1HW - online.roll(1, 0)).abs().mean() > 0.06


def test_the_mean_with_the_mirror_image(tmp_path: Path):
    teacher = toy_network(seed=3).eval()
    run = run_of()
    batch = next(epoch_batches(toy_samples(tmp_path, 4), run, seed=0, epoch=0, inputs=teacher.inputs))
    maps = NetworkTeacher(teacher, CARD, size=None, flip=True, **FACTS).targets(batch)
    with torch.no_grad():
        plain, mirrored = (teacher(image)[0].sigmoid() for image in (batch.image_B3HW, batch.image_B3HW.flip(-1)))
    torch.testing.assert_close(maps, (plain + mirrored.flip(-1)) / 2)


def test_maps_are_augmented_as_the_masks_are(tmp_path: Path):
    samples, maps = toy_samples(tmp_path, 6), tmp_path / "maps"
    run = run_of(augment=[{"name": "crop", "share": 0.4}, {"name": "flip", "horizontal": 0.5}, {"name": "resize"}])

    learner = taught(Knowing(), run, maps)
    trained(learner, run, samples, tmp_path / "k")
    for batch in epoch_batches(samples, run, seed=0, epoch=1, inputs=learner.inputs, maps=maps):
        assert batch.teacher_B1HW is not None
        assert (batch.teacher_B1HW - batch.mask_B1HW).abs().mean() < 0.12


def test_pictures_whose_object_is_filled_are_taught_to_be_empty(tmp_path: Path):
    samples, maps = toy_samples(tmp_path, 4), tmp_path / "maps"
    run = run_of(augment=[{"name": "background", "probability": 1.0, "crop": 0.0}, {"name": "resize"}])
    learner = taught(counting(), run, maps)
    trained(learner, run, samples, tmp_path / "k")
    batch = next(epoch_batches(samples, run, seed=0, epoch=0, inputs=learner.inputs, maps=maps))
    assert batch.teacher_B1HW is not None and not batch.teacher_B1HW.any()


def test_maps_have_the_size_that_the_teacher_sees(tmp_path: Path):
    samples, maps = toy_samples(tmp_path, 2), tmp_path / "maps"
    learner = taught(counting(), run_of(), maps, size=64)
    trained(learner, run_of(), samples, tmp_path / "k")
    assert {read_map(maps, sample).shape for sample in samples} == {(64, 64)}
    assert read_map(maps, samples[0]).dtype == np.uint8


def test_a_damaged_map_is_named(tmp_path: Path):
    samples, maps = toy_samples(tmp_path, 2), tmp_path / "maps"
    trained(taught(counting(), run_of(), maps), run_of(), samples, tmp_path / "k")
    map_path(maps, samples[0]).write_bytes(b"")
    with pytest.raises(UserError, match=r"the teacher's map .*png is missing or damaged; remove .*maps"):
        read_map(maps, samples[0])


def test_a_teacher_of_clips_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="teacher_maps: each-step"):
        KeptMaps(NetworkTeacher(create_model("stdnet", width=12), CARD, size=None, **FACTS), tmp_path)


def test_a_teacher_sees_companions_as_its_card_says(tmp_path: Path) -> None:
    (alone,) = toy_samples(tmp_path, 1)
    companion = tmp_path / "depth.png"
    cv2.imwrite(str(companion), np.linspace(20_000, 40_000, 40 * 48).reshape(40, 48).astype(np.uint16))
    sample, maps = replace(alone, sensor="rgbd", companion=str(companion)), tmp_path / "maps"
    for way, low, high in (("spread", 16, 255), ("stored", 78, 156)):
        card = CARD.model_copy(update={"prepare": CARD.prepare.model_copy(update={"companions": way})})
        teacher = NetworkTeacher(Depth(), card, size=None, **FACTS)
        facts = {"samples": [sample], "run": run_of(), "accelerator": Accelerator(cpu=True)}
        facts |= {"normalisation": IMAGENET}
        KeptMaps(teacher, maps / way).prepare(**facts)
        kept = read_map(maps / way, sample)
        assert abs(int(kept.min()) - low) <= 2 and abs(int(kept.max()) - high) <= 2
        if way == "spread":
            teacher.prepare(**facts)
        else:
            with pytest.raises(UserError, match=r"as they are stored .* set objective\.teacher_maps: once"):
                teacher.prepare(**facts)
            teacher.prepare(**facts | {"samples": [alone]})
            NetworkTeacher(ToyNetwork(), card, size=None, **FACTS).prepare(**facts)


def test_maps_are_named_by_picture_and_companion_which_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []

    def counted(path: Path) -> str:
        hashed.append(Path(path).name)
        return sha256_file(path)

    monkeypatch.setattr(teacher_maps, "sha256_file", counted)
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    one.write_bytes(b"near"), other.write_bytes(b"far!")
    (alone,) = toy_samples(tmp_path, 1)
    pair = [replace(alone, sensor="rgbd", companion=str(path)) for path in (one, other)]

    def named(content: bytes) -> Path:
        facts = f"{alone.sha256} {hashlib.sha256(content).hexdigest()} rgbd"
        digest = hashlib.sha256(facts.encode()).hexdigest()
        return tmp_path / "maps" / digest[:2] / f"{digest}.png"

    for _ in range(3):
        assert map_path(tmp_path / "maps", alone).name == f"{alone.sha256}.png"
        assert [map_path(tmp_path / "maps", each) for each in pair] == [named(b"near"), named(b"far!")]
    assert hashed == ["one.png", "other.png"]
    # Another content counts, whatever its length and its time: by content still.
    before = one.stat()
    one.write_bytes(b"deep")
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert map_path(tmp_path / "maps", pair[0]) == named(b"deep")
    assert map_path(tmp_path / "maps", replace(pair[0], sensor="rgbt")) != named(b"deep"), "seen otherwise"
    with pytest.raises(UserError, match="none"):
        map_path(tmp_path / "maps", replace(pair[0], companion=str(tmp_path / "none.png")))
