"""Learning from a teacher, with and without labels."""

from pathlib import Path

import pytest
import torch
from toy import ToyNetwork, equal, supervised, toy_network, toy_run, toy_samples, weights

from limelight.data.loader import evaluation_batches
from limelight.data.samples import Batch
from limelight.foundation.errors import UserError
from limelight.models.base import Capabilities, Network
from limelight.models.card import IMAGENET, Card, Normalisation
from limelight.models.inputs import Input, union
from limelight.models.registry import create_model
from limelight.training.loop import fit
from limelight.training.objectives.distilled import Distilled
from limelight.training.teacher import NetworkTeacher
from tests.tolerance import assert_agree

CARD = Card(
    architecture={"model": "toy", "family": "toy", "parameters": 1},
    prepare={"size": (32, 32)},
    provenance={"sha256": "0" * 64},
)


def taught_by(
    teacher: Network, card: Card = CARD, *, normalisation: Normalisation = IMAGENET, **settings: object
) -> Distilled:
    """A toy student."""
    objective = toy_run(objective={"name": "distilled", **settings}).objective
    seen = {"size": objective.teacher_size, "classes": objective.teacher_classes}
    taught_by = NetworkTeacher(teacher, card, normalisation=normalisation, **seen)
    return Distilled(toy_network(dropout=0.0), objective, epochs=2, teacher=taught_by)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> ToyNetwork:
    """A toy network that has learnt to find the discs."""
    folder = tmp_path_factory.mktemp("teacher")
    network, run = toy_network(seed=7), toy_run(epochs=12)
    fit(supervised(network, run), run, samples=toy_samples(folder, 8), folder=folder / "k", seed=0, device="cpu")
    network.zero_grad()
    return network.eval()


class Brightness(ToyNetwork):
    """Answers with what it sees: the first channel, as a probability."""

    def maps(self, given: dict[str, torch.Tensor]) -> torch.Tensor:
        return given["image"][:, :1]


def test_a_teacher_sees_pictures_and_finishes_maps_as_its_card_says() -> None:
    """As rembg's networks: divided by the picture's own maximum; maps at full contrast."""
    card = CARD.model_copy(
        update={
            "prepare": CARD.prepare.model_copy(update={"divide_by": "maximum", "mean": (0, 0, 0), "std": (1, 1, 1)}),
            "finish": CARD.finish.model_copy(update={"full_contrast": True}),
        }
    )
    dark_B3HW = torch.rand(2, 3, 32, 32) * torch.tensor([0.5, 0.1]).view(2, 1, 1, 1)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in IMAGENET)
    nothing = torch.zeros(2, dtype=torch.int64)
    batch = Batch((dark_B3HW - mean) / std, torch.zeros(2, 1, 32, 32), nothing.bool(), None, nothing, ["a", "b"])
    divided = dark_B3HW / dark_B3HW.amax((1, 2, 3), keepdim=True)
    for stretches in (False, True):
        used = card.model_copy(update={"finish": card.finish.model_copy(update={"full_contrast": stretches})})
        teacher = NetworkTeacher(Brightness(), used, normalisation=IMAGENET, size=None, classes=[])
        expected = divided[:, :1]
        if stretches:
            low, high = expected.amin((2, 3), keepdim=True), expected.amax((2, 3), keepdim=True)
            expected = (expected - low) / (high - low)
        torch.testing.assert_close(teacher.targets(batch), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("loss", "label_weight", "labels"), [("dice", 0.0, False), ("bce", 0.0, False), ("dice", 0.5, True)]
)
def test_the_student_learns(loss: str, label_weight: float, labels: bool, teacher: ToyNetwork, tmp_path: Path):
    settings = {"teacher_loss": loss, "label_weight": label_weight, "level_weights": [1, 0.5]}
    run = toy_run(epochs=10, samples={"unlabelled": ["unlabelled"]}, objective={"name": "distilled"})
    samples = toy_samples(tmp_path, 8, "unlabelled", labelled=False) + (toy_samples(tmp_path, 4) if labels else [])
    before = weights(teacher)
    learner = taught_by(teacher, **settings)
    history = fit(
        learner,
        run,
        samples=samples,
        validation=toy_samples(tmp_path, 4, "val"),
        folder=tmp_path / "k",
        seed=0,
        device="cpu",
    )
    assert history.last["loss"] < 0.75 * history.records[0]["loss"]
    assert history.last["val_max_f"] > 0.9
    assert equal(weights(teacher), before)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    if labels:
        mixed = (1 - label_weight) * history.last["teacher"] + label_weight * history.last["labels"]
        assert history.last["loss"] == pytest.approx(mixed, rel=1e-5)


def test_the_teacher_stays_in_evaluation_mode_and_out_of_the_state(teacher: ToyNetwork):
    learner = taught_by(teacher)
    assert learner.train().network.training and not learner.teacher.training
    assert learner.network.state_dict().keys() == toy_network().state_dict().keys()


def test_the_labels_free_form_does_not_look_at_masks(teacher: ToyNetwork, tmp_path: Path):
    learner = taught_by(teacher)
    batch = next(evaluation_batches(toy_samples(tmp_path, 4), 32, 4))
    first, parts = learner(batch, 0)
    batch.mask_B1HW = 1 - batch.mask_B1HW
    assert learner(batch, 0)[0] == first and parts == {}


def test_each_level_has_its_weight(teacher: ToyNetwork, tmp_path: Path):
    batch = next(evaluation_batches(toy_samples(tmp_path, 4), 32, 4))
    both, finest, other = (taught_by(teacher, level_weights=each)(batch, 0)[0] for each in ([1, 0.5], [1, 0], [0, 1]))
    torch.testing.assert_close(both, finest + other / 2)


def test_the_teacher_sees_its_own_normalisation(tmp_path: Path, teacher: ToyNetwork):
    samples = toy_samples(tmp_path, 2)
    card = CARD.derived(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    own = next(evaluation_batches(samples, 32, 2, normalisation=card.prepare.normalisation))
    learner = taught_by(teacher, card)
    targets = learner.teacher.targets(next(evaluation_batches(samples, 32, 2)))
    torch.testing.assert_close(targets, teacher(own.image_B3HW)[0].sigmoid().detach(), atol=1e-5, rtol=1e-4)


def test_a_teacher_that_samples_is_sampled_from():
    torch.manual_seed(0)
    teacher = create_model("diffsod-tiny")
    card = CARD.derived(mean=teacher.mean, std=teacher.std, denoise_steps=2)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = Batch(
        image,
        torch.zeros(1, 1, 32, 32),
        torch.ones(1, dtype=torch.bool),
        None,
        torch.zeros(1, dtype=torch.int64),
        ["0"],
    )
    learner = taught_by(teacher, card, normalisation=card.prepare.normalisation)
    assert_agree(learner.teacher.targets(batch), teacher.denoise(image, steps=2)[0], teacher, steps=2)
    assert not torch.allclose(learner.teacher.targets(batch), teacher(image)[0].sigmoid(), atol=1e-3)


@pytest.mark.parametrize(("classes", "steps"), [([], None), (["red mug"], None), ([], 2)])
def test_a_teacher_of_words_shows_all_that_they_name(classes: list[str], steps: int | None):
    torch.manual_seed(0)
    teacher = create_model("segdiffusion-tiny")
    learnt = {"task": "open-vocabulary", "classes": ("blue box", "cat"), "template": "{} alone", "denoise_steps": steps}
    # Maps of classes are not stretched, whatever the card says: in prediction they are not either.
    seen = {"inputs": teacher.inputs, "mean": teacher.mean, "std": teacher.std}
    card = CARD.derived(full_contrast=True, **seen, **learnt)
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = Batch(
        image, torch.zeros(2, 1, 32, 32), torch.ones(2, dtype=torch.bool), None, torch.zeros(2).long(), ["0", "1"]
    )
    learner = taught_by(teacher, card, normalisation=card.prepare.normalisation, teacher_classes=classes)
    targets = learner.teacher.targets(batch)
    prompts = teacher.encode_prompts([f"{name} alone" for name in classes or card.use.classes])
    with torch.no_grad():
        each = teacher.denoise(image, prompts, steps=steps)[0] if steps else teacher(image, prompts)[0].sigmoid()
    assert_agree(targets, each.max(1, keepdim=True).values, teacher, steps=steps or 1)


@pytest.mark.parametrize(
    ("teacher_size", "divisor", "seen"), [(None, 1, 32), (48, 1, 48), (None, 24, 24), (None, 64, 64)]
)
def test_the_teacher_sees_a_size_it_takes(teacher_size: int | None, divisor: int, seen: int, tmp_path: Path):
    class Picky(ToyNetwork):
        capabilities = Capabilities(divisor=divisor)

        def forward(self, image_B3HW: torch.Tensor) -> list[torch.Tensor]:
            sizes.append(tuple(image_B3HW.shape[-2:]))
            return super().forward(image_B3HW)

    sizes: list[tuple[int, ...]] = []
    learner = taught_by(Picky(), teacher_size=teacher_size)
    targets = learner.teacher.targets(next(evaluation_batches(toy_samples(tmp_path, 2), 32, 2)))
    assert sizes == [(seen, seen)]
    assert targets.shape == (2, 1, 32, 32)
    assert targets.min() >= 0 and targets.max() <= 1


@pytest.mark.parametrize(("independent", "rows"), [(True, [2]), (False, [1, 1])])
def test_a_teacher_whose_rows_depend_on_each_other_sees_one_at_a_time(
    independent: bool, rows: list[int], tmp_path: Path
):
    class Counting(ToyNetwork):
        def forward(self, image_B3HW: torch.Tensor) -> list[torch.Tensor]:
            seen.append(len(image_B3HW))
            return super().forward(image_B3HW)

    seen: list[int] = []
    learner = taught_by(Counting(), CARD.derived(independent=independent))
    learner.teacher.targets(next(evaluation_batches(toy_samples(tmp_path, 2), 32, 2)))
    assert seen == rows


def test_a_batch_holds_what_either_of_them_takes(teacher: ToyNetwork):
    depth = create_model("sdnet", width=12, modalities=["rgb", "rgbd"])
    assert [each.name for each in taught_by(depth).inputs] == ["image", "companion", "modality"]
    assert taught_by(teacher).inputs == teacher.inputs
    overview = Input(name="image", source="image", scale=0.5)
    with pytest.raises(UserError, match="mean different things by the input 'image'"):
        union(teacher.inputs, (overview,))
