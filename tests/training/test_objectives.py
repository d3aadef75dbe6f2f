"""Objectives: registered once, made for networks that can be trained for them, taught by anything that answers."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor
from toy import supervised, toy_network, toy_run, toy_samples

from limelight.config.objectives import Objective
from limelight.data.loader import evaluation_batches
from limelight.data.samples import Batch
from limelight.foundation.errors import UserError
from limelight.models.inputs import IMAGE
from limelight.models.registry import create_model, list_models, network_class
from limelight.training.objectives import LEARNERS, make_learner
from limelight.training.teacher import Teacher

SETTINGS = {get_args(kind.model_fields["name"].annotation)[0]: kind for kind in get_args(get_args(Objective)[0])}


def test_every_objective_has_settings_and_a_learner() -> None:
    assert SETTINGS.keys() == LEARNERS.keys()


@pytest.mark.parametrize("model", list_models())
def test_networks_name_objectives_that_there_are(model: str) -> None:
    objectives = network_class(model).capabilities.objectives
    assert set(objectives) <= SETTINGS.keys()
    assert bool(objectives) != network_class(model).capabilities.opaque, "what another engine computes is not trained"
    assert ("supervised" in objectives) == ("distilled" in objectives)


@pytest.mark.parametrize("model", ["sdnet", "autoencoder-tiny", "diffsod-tiny", "segdiffusion-tiny"])
def test_a_learner_is_made_for_what_a_network_can_alone(model: str) -> None:
    network = create_model(model)
    for name in SETTINGS.keys() - {"distilled"}:
        objective = SETTINGS[name](name=name)
        if name in network.capabilities.objectives:
            assert make_learner(objective, network, epochs=1).network is network
        else:
            with pytest.raises(UserError, match=f"objective '{name}' is not for {type(network).__name__}; set its"):
                make_learner(objective, network, epochs=1)


def test_whatever_answers_with_maps_can_teach(tmp_path: Path) -> None:
    class Stored(Teacher):
        """Maps that were computed before."""

        inputs = (IMAGE,)

        def targets(self, batch: Batch) -> Tensor:
            return torch.stack([maps[name] for name in batch.ids])

    samples = toy_samples(tmp_path, 3)
    maps = {sample.sample_id: torch.full((1, 32, 32), number / 2) for number, sample in enumerate(samples)}
    objective = toy_run(objective={"name": "distilled", "teacher_loss": "bce"}).objective
    learner = make_learner(objective, toy_network(dropout=0.0), epochs=1, teacher=Stored()).train()
    assert not learner.teacher.training and learner.unlabelled
    (batch,) = evaluation_batches(samples, 32, 3, inputs=learner.inputs)
    loss, _ = learner(batch, 0)
    levels = learner.network(batch.image_B3HW)
    expected = sum(
        torch.nn.functional.binary_cross_entropy_with_logits(level, torch.stack([*maps.values()])) for level in levels
    )
    torch.testing.assert_close(loss, expected)


def test_pictures_without_a_mask_are_not_learnt_as_empty(tmp_path: Path) -> None:
    samples = toy_samples(tmp_path, 3) + toy_samples(tmp_path, 2, "unlabelled", labelled=False)
    learner = supervised(toy_network(norm=False, dropout=0.0), toy_run())
    (mixed,), (labelled,) = (evaluation_batches(each, 32, len(each)) for each in (samples, samples[:3]))
    torch.testing.assert_close(learner(mixed, 0)[0], learner(labelled, 0)[0])


def test_settings_are_checked_without_pytorch() -> None:
    code = "import sys, limelight.config; assert not {'torch', 'accelerate', 'diffusers'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_most_trainings_need_nothing_of_diffusers() -> None:
    code = """
import sys
from limelight.models.registry import create_model
from limelight.training.objectives import make_learner
from limelight.config.objectives import SupervisedSettings
make_learner(SupervisedSettings(), create_model("sdnet", width=12), epochs=1)
assert not {"diffusers", "transformers"} & sys.modules.keys()
loaded = {name for name in sys.modules if name.startswith("limelight.models.diffusion.")}
names = {"limelight.models.diffusion.entries", "limelight.models.diffusion.presets"}
assert loaded <= names, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)
