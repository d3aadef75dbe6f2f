"""The published numbers, and how a run's own settings lie over them."""

import pytest

from limelight.config import Run
from limelight.config.presets import AUGMENTATIONS, PRESETS, with_preset
from limelight.data.batches.plans import batches_per_epoch
from limelight.foundation.errors import UserError
from limelight.models.registry import create_model


def test_every_preset_is_a_valid_run():
    for name, settings in PRESETS.items():
        Run.model_validate(with_preset({"model": "sdnet", "preset": name}, "here"))
        assert settings["epochs"] > 1


def test_kd_scfnet_full_supervision():
    run = Run.model_validate(with_preset({"model": "scfnet-mobilenetv3", "preset": "scfnet-fs"}, "here"))
    assert (run.epochs, run.batch.size, run.size.input) == (69, 128, 352)
    assert run.size.training == [224, 256, 288, 320, 352]
    assert run.optimiser.name == "sgd"
    assert (run.optimiser.lr, run.optimiser.momentum, run.optimiser.weight_decay) == (0.064, 0.9, 5e-4)
    assert run.optimiser.groups["backbone"].lr_scale == 0.1
    assert run.optimiser.groups["backbone_norm"].weight_decay == 0
    assert (run.objective.loss, run.objective.level_weights) == ("dice-boundary", [1, 0.5, 0.25, 0.125])
    photometric, crop, flip = run.augment
    assert (photometric.blur, photometric.contrast, photometric.brightness) == (0.1, 0.5, 15 / 255)
    assert (crop.share, flip.horizontal, flip.vertical) == (0.125, 0.5, 0.2)
    assert run.optimiser.ema is None and run.optimiser.clip_norm is None


def test_kd_scfnet_distillation_uses_no_labels():
    run = Run.model_validate(with_preset({"model": "scfnet-mobilenetv3", "preset": "scfnet-kd"}, "here"))
    assert (run.samples.labelled, run.samples.unlabelled) == ([], ["unlabelled"])
    assert (run.objective.teacher_loss, run.objective.label_weight) == ("dice", 0.0)
    assert (run.epochs, run.batch.size, run.optimiser.lr) == (69, 128, 0.064)


def test_sdnet():
    run = Run.model_validate(with_preset({"model": "sdnet", "preset": "sdnet"}, "here"))
    assert (run.epochs, run.batch.size, run.size.input) == (180, 24, 320)
    assert (run.size.training, run.size.order) == ([480, 400, 240, 320], "passes")
    assert (run.optimiser.name, run.optimiser.lr, run.optimiser.betas) == ("adam", 1e-3, (0.9, 0.99))
    assert run.optimiser.weight_decay == 1e-4
    assert run.optimiser.groups["norm"].weight_decay == 1e-5
    assert (run.optimiser.groups["mixing"].weight_decay, run.optimiser.groups["mixing"].freeze_epochs) == (5e-5, 5)
    assert (run.schedule.name, run.schedule.milestones, run.schedule.gamma) == ("steps", [90, 150], 0.1)
    crop, flip = run.augment
    assert (run.objective.loss, crop.pixels) == ("balanced-bce", 14)
    assert (flip.horizontal, flip.vertical, flip.exclusive) == (0.25, 0.25, True)


def test_diffusion_in_velocities_and_in_one_step():
    published = Run.model_validate(with_preset({"model": "diffsod", "preset": "diffusion-velocity"}, "here"))
    assert published.batch.size * published.batch.accumulate == 32
    assert (published.epochs, published.schedule.name, published.optimiser.clip_norm) == (500, "constant", 1.0)
    assert (published.objective.noise_levels, published.objective.noise_discount, published.augment) == (6, 0.3, [])
    ours = Run.model_validate(with_preset({"model": "diffsod", "preset": "diffusion-one-step"}, "here"))
    steps = batches_per_epoch(16_038, ours) // ours.batch.accumulate
    assert ours.epochs * steps == pytest.approx(20_000, rel=0.01) and round(ours.schedule.warmup_epochs * steps) == 100
    assert (ours.schedule.name, ours.schedule.final) == ("exponential", 0.01)
    for run in (published, ours):
        assert (run.optimiser.name, run.optimiser.lr, run.optimiser.weight_decay) == ("adamw", 3e-5, 1e-2)
        assert run.size.input == 384


@pytest.mark.parametrize(
    ("preset", "model"), [("scfnet-fs", "scfnet-mobilenetv3"), ("scfnet-kd", "scfnet-mobilenetv3"), ("sdnet", "sdnet")]
)
def test_roles_of_a_preset_exist_in_its_network(preset: str, model: str):
    assert PRESETS[preset]["optimiser"]["groups"].keys() <= create_model(model).parameter_groups().keys()


def test_own_settings_win_and_nested_ones_merge():
    settings = {
        "model": "sdnet",
        "preset": "sdnet",
        "size": {"training": [320]},
        "optimiser": {"groups": {"norm": {"lr_scale": 2}}},
    }
    merged = with_preset(settings, "here")
    assert merged["size"] == {"input": 320, "training": [320], "order": "passes"}
    assert merged["optimiser"]["groups"]["norm"] == {"weight_decay": 1e-5, "lr_scale": 2}
    assert merged["optimiser"]["lr"] == 1e-3
    assert PRESETS["sdnet"]["size"]["training"] == [480, 400, 240, 320]


def test_unknown_preset_is_refused():
    with pytest.raises(UserError, match=r"here: unknown preset 'nope'; choose one of: scfnet-fs"):
        with_preset({"model": "sdnet", "preset": "nope"}, "here")


def test_another_objective_replaces_the_preset_s():
    merged = with_preset({"model": "sdnet", "preset": "sdnet", "objective": {"name": "distilled"}}, "here")
    assert merged["objective"] == {"name": "distilled"}
    same = with_preset({"model": "sdnet", "preset": "scfnet-fs", "objective": {"loss": "bce-iou"}}, "here")
    assert same["objective"] == {"name": "supervised", "loss": "bce-iou", "level_weights": [1, 0.5, 0.25, 0.125]}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_published_augmentation_is_called_by_its_name(name: str):
    run = Run.model_validate(with_preset({"model": "sdnet", "augment": name}, "here"))
    assert [each.name for each in run.augment] == [each["name"] for each in AUGMENTATIONS[name]]
    with pytest.raises(UserError, match="here: unknown augmentation 'nope'; choose one of: scfnet"):
        with_preset({"model": "sdnet", "augment": "nope"}, "here")
