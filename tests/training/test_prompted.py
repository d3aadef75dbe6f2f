"""Learning from words: which are asked for, and what counts."""

import pytest
import torch
from accelerate import Accelerator
from toy import toy_run

from limelight.config import Run, parse
from limelight.data.classes import VOID, Vocabulary
from limelight.data.samples import Batch
from limelight.foundation.errors import UserError
from limelight.models.diffusion import denoiser
from limelight.models.diffusion.sampling import velocity_target
from limelight.models.registry import create_model
from limelight.training import objectives
from limelight.training.objectives.prompted import Prompted, choice_loss
from limelight.training.objectives.velocity import PromptedVelocity
from tests.tolerance import assert_agree

PETS = Vocabulary(("bird", "boat", "chair", "lamp", "mug", "ring"), (1, 2, 3, 4, 5, 6), background=True)
FEW = Vocabulary(("bird", "boat"), (1, 2), background=False)


def make_learner(kind: str = "prompted", **settings: object) -> Prompted:
    torch.manual_seed(0)
    objective = toy_run(objective={"name": kind, **settings}).objective
    return objectives.make_learner(objective, create_model("segdiffusion-tiny"), epochs=1)


def make_batch(*vocabularies: Vocabulary) -> Batch:
    """Each picture's upper half is class 1, a quarter of it class 2, the rest background, with a void corner."""
    batch = len(vocabularies)
    labels = torch.zeros(batch, 32, 32, dtype=torch.int64)
    labels[:, :16], labels[:, :8, :16], labels[:, 28:, 28:] = 1, 2, VOID
    image = torch.rand(batch, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Batch(
        image,
        (labels > 0).float()[:, None],
        torch.ones(batch, dtype=torch.bool),
        None,
        torch.zeros(batch, dtype=torch.int64),
        [str(number) for number in range(batch)],
        labels_BHW=labels,
        classes=vocabularies,
    )


# -------------------------------------------------------------------------------------------------------------- drawing
def test_shown_classes_are_asked_for_and_others_too() -> None:
    learner, batch = make_learner(prompts=4), make_batch(PETS, PETS)
    for seed in range(20):
        torch.manual_seed(seed)
        for drawn in learner.draw(batch, batch.labels_BHW):
            assert len(drawn) == len(set(drawn)) == 4
            assert sorted(drawn)[:2] == [1, 2] and all(label in range(3, 7) for label in sorted(drawn)[2:])


def test_what_shares_a_word_with_what_is_shown_is_asked_for_first() -> None:
    names = Vocabulary(("red mug", "boat", "blue ring", "red boat", "blue mug", "lamp"), tuple(range(1, 7)), True)
    learner, batch = make_learner(prompts=5), make_batch(names)
    for seed in range(20):
        torch.manual_seed(seed)
        (drawn,) = learner.draw(batch, batch.labels_BHW)
        assert set(drawn[:2]) == {1, 2} and set(drawn[2:4]) == {4, 5} and drawn[4] in (3, 6)


def test_words_are_shared_across_hyphens_slashes_and_capitals() -> None:
    names = Vocabulary(("wall-brick", "TV/monitor", "boat", "Wall-tile", "lamp", "old tv"), tuple(range(1, 7)), True)
    learner, batch = make_learner(prompts=4), make_batch(names)
    for seed in range(20):
        torch.manual_seed(seed)
        (drawn,) = learner.draw(batch, batch.labels_BHW)
        assert set(drawn[:2]) == {1, 2} and set(drawn[2:]) == {4, 6}


def test_one_is_asked_for_in_vain_however_many_are_shown() -> None:
    learner, batch = make_learner(prompts=2), make_batch(PETS)
    drawn = set()
    for seed in range(20):
        torch.manual_seed(seed)
        ((first, second),) = learner.draw(batch, batch.labels_BHW)
        assert second not in (1, 2)
        drawn.add(first)
    assert drawn == {1, 2}


def test_drawing_follows_torch_s_generator_alone() -> None:
    learner, batch = make_learner(prompts=4, templates=["a {}", "the {}"]), make_batch(PETS, PETS, PETS)
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append((learner.draw(batch, batch.labels_BHW), [learner.prompt("bird") for _ in range(9)]))
    assert draws[0] == draws[1] != draws[2]
    assert set(draws[0][1]) == {"a bird", "the bird"}


def test_a_small_vocabulary_is_filled_up_with_nothing() -> None:
    learner, batch = make_learner(prompts=4), make_batch(FEW)
    assert sorted(learner.draw(batch, batch.labels_BHW)[0]) == [0, 0, 1, 2]
    together, _ = learner(make_batch(FEW), 0)
    assert together.isfinite()


def test_held_out_classes_are_never_asked_for_and_void() -> None:
    learner, batch = make_learner(prompts=6, held_out_classes=["boat", "mug"]), make_batch(PETS, FEW)
    labels = learner.without_held_out(batch)
    assert (labels[batch.labels_BHW == 2] == VOID).all() and (batch.labels_BHW == 2).any()
    assert torch.equal(labels[batch.labels_BHW != 2], batch.labels_BHW[batch.labels_BHW != 2])
    drawn = learner.draw(batch, labels)
    assert sorted(drawn[0]) == [0, 0, 1, 3, 4, 6] and sorted(drawn[1]) == [0, 0, 0, 0, 0, 1]


def test_a_held_out_class_is_meant_however_it_is_written() -> None:
    learner, batch = make_learner(prompts=6, held_out_classes=["BOAT", " mug"]), make_batch(PETS, FEW)
    assert torch.equal(learner.without_held_out(batch) == VOID, (batch.labels_BHW == 2) | (batch.labels_BHW == VOID))
    assert {2, 5}.isdisjoint(learner.draw(batch, batch.labels_BHW)[0])


def test_templates_may_hold_other_braces() -> None:
    learner = make_learner(templates=["a {} of {x}"])
    assert learner.prompt("cat") == "a cat of {x}" and len(learner.tokens(["cat"])) == 1


# ----------------------------------------------------------------------------------------------------------------- loss
def test_the_loss_reaches_the_words_and_the_denoiser() -> None:
    learner = make_learner().train()
    loss, parts = learner(make_batch(PETS, PETS), 0)
    loss.backward()
    assert parts.keys() == {"found", "vain", "choice"} and all(part.isfinite() for part in parts.values())
    assert learner.network.text.model.embeddings.token_embedding.weight.grad.any()
    assert learner.network.unet.conv_in.weight.grad.any()


def test_what_is_found_in_vain_has_a_gradient() -> None:
    """By itself the IoU of a prompt in vain would be as bad with one pixel found as with half of the image."""
    learner, batch = make_learner(prompts=2), make_batch(PETS)
    maps = torch.full((1, 2, 32, 32), -4.0)
    maps[:, :, :16] = 4.0  # every thing, for every word
    maps.requires_grad_()
    learner.network.forward = lambda image_B3HW, prompt_KTC: [maps]
    loss, parts = learner(batch, 0)
    loss.backward()
    shown, vain = maps.grad[0].abs().amax((1, 2))
    assert vain > 0.5 * shown and parts["vain"] > parts["found"]


def test_void_pixels_do_not_count() -> None:
    """Whatever is found there: with the truth void below, only the answers above matter."""
    learner, batch = make_learner(prompts=2), make_batch(FEW)
    batch.labels_BHW[:, 16:] = VOID

    def loss(push: float) -> torch.Tensor:
        changed = torch.zeros(1, 2, 32, 32)
        changed[..., 16:, :] = push
        forward = learner.network.forward
        learner.network.forward = lambda image_B3HW, prompt_KTC: [forward(image_B3HW, prompt_KTC)[0] + changed]
        torch.manual_seed(0)
        try:
            return learner(batch, 0)[0].detach()
        finally:
            learner.network.forward = forward

    torch.testing.assert_close(loss(0.0), loss(9.0))
    batch.labels_BHW[:, 16:] = 0
    assert (loss(0.0) - loss(9.0)).abs() > 0.1


def test_what_a_batch_has_no_labels_of_costs_nothing() -> None:
    learner, batch = make_learner(held_out_classes=["bird", "boat"]), make_batch(FEW)
    loss, _ = learner(batch, 0)
    assert loss == 0


# ------------------------------------------------------------------------------------------------------------- velocity
def make_velocity_learner(**settings: object) -> PromptedVelocity:
    return make_learner("prompted-velocity", **settings)


def test_velocities_of_prompts_reach_the_words_and_the_denoiser() -> None:
    learner = make_velocity_learner().train()
    loss, parts = learner(make_batch(PETS, PETS), 0)
    loss.backward()
    assert loss > 0 and parts == {}
    assert learner.network.text.model.embeddings.token_embedding.weight.grad.any()
    assert learner.network.unet.conv_in.weight.grad.any()
    assert all(parameter.grad is None for parameter in learner.network.vae.parameters())


def test_the_right_velocities_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make_velocity_learner(prompts=2)
    targets = {}

    def noted(*given: torch.Tensor) -> torch.Tensor:
        targets["velocity"] = velocity_target(*given)
        return targets["velocity"]

    monkeypatch.setattr(denoiser, "velocity_target", noted)
    seen = (make_batch(PETS), make_batch(PETS, PETS))
    for batch in seen:  # the same draws twice: the first shows what the second is to answer
        losses = []
        for answer in (lambda *given: torch.zeros_like(given[1]), lambda *given: targets["velocity"]):
            learner.network.predict_velocity = answer
            torch.manual_seed(5)
            losses.append(learner(batch, 0)[0])
        assert losses[0] > 0.1 and losses[1] == 0


def test_void_latents_and_prompts_that_were_not_asked_do_not_count() -> None:
    learner = make_velocity_learner(prompts=4)
    without_classes, void = make_batch(FEW), make_batch(FEW)
    void.labels_BHW[:] = VOID
    pushed = torch.zeros(1)

    def answer(latent: torch.Tensor, noisy: torch.Tensor, tokens: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        velocity = torch.zeros_like(noisy)
        velocity[2:] = pushed  # two prompts of four are none
        return velocity

    learner.network.predict_velocity = answer

    def loss(batch: Batch) -> torch.Tensor:
        torch.manual_seed(5)
        return learner(batch, 0)[0]

    before = loss(without_classes)
    pushed += 9
    assert loss(without_classes) == before > 0
    assert loss(void) == 0


@pytest.mark.slow
def test_velocities_are_validated_by_sampling() -> None:
    learner, batch = make_velocity_learner().eval(), make_batch(PETS)
    with torch.inference_mode():
        maps = learner.probabilities(batch.inputs, PETS.names)
        tokens = learner.network.encode_prompts(["a photo of a " + name for name in PETS.names])
        expected, _ = learner.network.denoise(batch.image_B3HW, tokens, steps=10)
    assert_agree(maps, expected, "segdiffusion-tiny", steps=10)
    assert "val_miou" in learner.validate([batch], Accelerator(cpu=True))


# ----------------------------------------------------------------------------------------------------------- validation
def test_validation_tells_held_out_classes_apart() -> None:
    learner = make_learner(held_out_classes=["boat"])
    batch = make_batch(PETS, FEW)

    def ideal(image_B3HW: torch.Tensor, prompt_KTC: torch.Tensor) -> list[torch.Tensor]:
        """Finds birds, and half of the boats."""
        count = prompt_KTC.shape[0]
        maps = torch.full((len(image_B3HW), count, 32, 32), -9.0)
        maps[:, 0] = torch.where(make_batch(PETS).labels_BHW == 1, 9.0, -9.0)
        maps[:, 1] = torch.where(make_batch(PETS).labels_BHW == 2, 9.0, -9.0)
        maps[:, 1, :4] = -9.0
        return [maps]

    learner.network.forward = ideal
    scores = learner.validate([batch], Accelerator(cpu=True))
    # FEW has no background, so that its undecided pixels go to the first class, which is void or bird there.
    assert scores["val_miou_unseen"] == pytest.approx(0.5)
    assert 0.5 < scores["val_miou"] <= 1.0
    alone = learner.validate([make_batch(PETS)], Accelerator(cpu=True))
    assert alone == {"val_miou": 1.0, "val_miou_unseen": 0.5}
    without = make_batch(PETS)
    without.labels_BHW[without.labels_BHW == 2] = 0
    assert learner.validate([without], Accelerator(cpu=True)).keys() == {"val_miou"}
    learner.held_out = set()
    assert learner.validate([make_batch(PETS)], Accelerator(cpu=True)) == {"val_miou": 0.75}


@pytest.mark.slow
def test_predictions_are_the_most_probable_class_s() -> None:
    learner, batch = make_learner().eval(), make_batch(PETS)
    with torch.inference_mode():
        probability = learner.predict(batch)
        maps = learner.probabilities(batch.inputs, PETS.names)
        alone = learner.probabilities(batch.inputs, PETS.names[2:3])
    assert probability.shape == (1, 1, 32, 32)
    assert torch.equal(probability[:, 0], maps.max(1).values)
    assert_agree(alone, maps[:, 2:3], "segdiffusion-tiny")


# ------------------------------------------------------------------------------------------------------------- settings
def test_settings_that_cannot_be_are_refused() -> None:
    for settings, message in (
        ({"loss": "dice-boundary"}, r"^run: objective.prompted.loss: unknown key$"),
        ({"templates": ["a photo"]}, r"templates need one \{\} each"),
        ({"prompts": 1}, "prompts"),
    ):
        with pytest.raises(UserError, match=message):
            parse(Run, {"model": "segdiffusion-tiny", "objective": {"name": "prompted", **settings}}, "run")


# --------------------------------------------------------------------------------------------------------------- choice
def test_a_choice_is_a_cross_entropy_over_what_was_asked() -> None:
    torch.manual_seed(0)
    logits, valid = torch.randn(1, 3, 2, 2), torch.ones(1, 3, 2, 2, dtype=torch.bool)
    target = torch.zeros(1, 3, 2, 2, dtype=torch.bool)
    target[0, 1, 0] = True
    valid[:, 2] = False  # a prompt that was never asked
    valid[..., 1, 1] = False  # a pixel that nobody knows
    some = torch.cat([torch.zeros(1, 1, 2, 2), logits[:, :2]], 1).flatten(2)[..., :3]
    expected = torch.nn.functional.cross_entropy(some, torch.tensor([[2, 2, 0]]), weight=torch.tensor([0.1, 1, 1]))
    torch.testing.assert_close(choice_loss(logits, target, valid), expected)
    assert choice_loss(logits, target, torch.zeros_like(valid)) == 0
