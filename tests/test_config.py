"""params.yaml: what is accepted, and what a mistake looks like to the person who made it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from limelight.config import Run, load_params
from limelight.foundation.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


def tree(**changes: Any) -> dict[str, Any]:
    base = {
        "profile": "demo",
        "train": {"teacher": "scfnet"},
        "distill": {"student": {"family": "sdnet", "teacher": "teacher"}},
        "deploy": {"student": "sdnet"},
        "evaluate": {"teacher": "scfnet", "student-deploy": "sdnet"},
        "profiles": {
            "demo": {
                "data": {"datasets": [{"name": "embedded"}]},
                "runs": {
                    "teacher": {"model": "scfnet-resnet50"},
                    "student": {"model": "sdnet", "objective": {"name": "distilled"}, "epochs": 3},
                    "later": {"model": "sdnet", "init": "artifacts/early"},
                },
            }
        },
    }
    return {**base, **changes}


def load(tmp_path: Path, content: Any) -> Any:
    path = tmp_path / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return load_params(path)


def test_the_shipped_file_is_valid_in_every_profile(tmp_path: Path) -> None:
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text())
    for profile in shipped["profiles"]:
        params = load(tmp_path, {**shipped, "profile": profile})
        for name in [*params.train, *params.teachers]:
            assert params.run(name).epochs > 0


@pytest.mark.parametrize("path", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_preset_is_valid(path: Path) -> None:
    params = load_params(path)
    for name, base in params.bases.items():  # DVC orders the stages by `base`, the run reads `init` or `parts`
        run = params.run(name)
        assert {*run.parts.values(), run.init} - {None} == {f"artifacts/{base}"}


def test_defaults_fill_what_is_left_out(tmp_path: Path) -> None:
    run = load(tmp_path, tree()).run("student")
    assert (run.epochs, run.batch.size, run.samples.labelled) == (3, 8, ["train"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sead": 3}, "sead: unknown key; did you mean seed?"),
        ({"distil": {}}, "distil: unknown key; did you mean distill?"),
        ({"seed": "three"}, "seed: Input should be a valid integer"),
        ({"profile": "big"}, "profile 'big' is not one of profiles: demo"),
        ({"train": {"teachr": "scfnet"}}, "run 'teachr' has no settings under profiles.demo.runs"),
        ({"train": ["teacher"]}, "train: needs a mapping of names, as {name: ...} (got ['teacher'])"),
        (
            {"train": {"teacher": "resnet"}},
            "teacher: unknown family 'resnet'; choose one of: scfnet, sdnet, inspyrenet, diffusion",
        ),
        ({"train": {"teacher": "sdnet"}}, "teacher: family is 'sdnet', but model 'scfnet-resnet50' is of 'scfnet'"),
        ({"evaluate": {"student": "scfnet"}}, "evaluate: student: family is 'scfnet', but model 'sdnet' is of 'sdnet'"),
        (
            {"distill": {"student": {"family": "sdnet", "teacher": "student2"}}},
            "teacher 'student2' is neither a run",
        ),
        (
            {"finetune": {"student": {"family": "sdnet", "base": "vae"}}},
            "run 'student': base 'vae' is neither a run nor listed under imported",
        ),
        (
            {"imported": ["early"], "train": {"teacher": "scfnet", "later": "sdnet"}},
            "run 'later' starts from artifacts/early, which is made here: name that as its base",
        ),
        ({"imported": ["student"]}, "imported: student would be overwritten"),
        ({"imported": ["../other"]}, "'../other' cannot be a name here; use letters, digits, - and _, and dots"),
        ({"imported": ["my net"]}, "imported: 'my net' cannot be a name here"),
        ({"train": {"": "scfnet"}}, "'' cannot be a name here"),
        ({"train": {"..": "scfnet"}}, "'..' cannot be a name here"),
        ({"train": {"my run": "scfnet"}}, "train: 'my run' cannot be a name here; use letters, digits, - and _, a"),
        ({"distill": {"v1.5": {"family": "sdnet", "teacher": "teacher"}}}, "distill: 'v1.5' cannot be a name here"),
        ({"finetune": {"a;b": {"family": "sdnet", "base": "teacher"}}}, "finetune: 'a;b' cannot be a name here"),
        ({"imported": ["bento"]}, "artifacts/bento is written by the stage package; rename 'bento'"),
        (
            {"imported": ["student-deploy"]},
            "artifacts/student-deploy is written by the stage reparameterize; rename 'student-deploy'",
        ),
        ({"train": {"teacher": "scfnet", "student": "sdnet"}}, "'student' is listed in several of train, finetune"),
        ({"deploy": {"teacher2": "sdnet"}}, "deploy: 'teacher2' is not one of"),
        ({"evaluate": {"student-deployed": "sdnet"}}, "evaluate: 'student-deployed' is not one of"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, tree(**change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_in_one_message(tmp_path: Path) -> None:
    broken = tree()
    broken["profiles"]["demo"]["runs"]["student"].update(epochs=0, batchsize=4, compute={"precision": "fp8"})
    with pytest.raises(UserError) as caught:
        load(tmp_path, broken)
    for part in ("runs.student.epochs", "runs.student.batchsize: unknown key", "runs.student.compute.precision"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": {"name": "exponential", "final": 0}}, "student.schedule: an exponential never comes down to 0"),
        ({"schedule": {"milestones": [2]}}, "student.schedule: schedule 'cosine' has no milestones; leave it out"),
        ({"optimiser": {"momentum": 0.8}}, "student.optimiser: optimiser 'adamw' has no momentum; leave it out"),
        (
            {"samples": {"unlabelled": ["more"]}, "objective": {"name": "supervised"}},
            "samples.unlabelled is for the objective 'distilled': 'supervised' learns from masks alone",
        ),
        (
            {"samples": {"frames": 8}, "augment": [{"name": "background", "probability": 0.1}]},
            "the augmentation background is for stills",
        ),
        ({"schedule": {"warmup_epochs": -1}}, "student.schedule.warmup_epochs: Input should be greater than or equal"),
        ({"schedule": {"period_epochs": 0}}, "student.schedule.period_epochs: Input should be greater than 0"),
        ({"schedule": {"name": "poly", "power": 0}}, "student.schedule.power: Input should be greater than 0"),
        ({"schedule": {"name": "steps", "milestones": [0]}}, "student.schedule.milestones.0: Input should be greater"),
        ({"schedule": {"warmup_epochs": 3.5}, "epochs": 3}, "schedule.warmup_epochs is 3.5, of 3 epochs in all"),
        (
            {"schedule": {"name": "steps", "milestones": [2, 3]}, "epochs": 3},
            "schedule.milestones: 3 is not within 3 epochs; leave it out, or train longer",
        ),
        ({"schedule": {"final": 1.5}}, "student.schedule.final: Input should be less than or equal to 1"),
        ({"schedule": {"final": -0.1}}, "student.schedule.final: Input should be greater than or equal to 0"),
        ({"optimiser": {"betas": [0.9, 1.0]}}, "student.optimiser.betas.1: Input should be less than 1"),
        ({"optimiser": {"momentum": 1.5}}, "student.optimiser.momentum: Input should be less than 1"),
        ({"optimiser": {"weight_decay": -0.1}}, "student.optimiser.weight_decay: Input should be greater"),
        ({"optimiser": {"groups": {"head": {"weight_decay": -1}}}}, "groups.head.weight_decay: Input should be"),
        ({"optimiser": {"groups": {"head": {"lr_scale": -1}}}}, "groups.head.lr_scale: Input should be"),
        (
            {"samples": {"unlabelled": ["train", "more"]}},
            "student.samples: train cannot be both labelled and",
        ),
        (
            {"objective": {"name": "distilled", "teacher_classes": ["dog", "Dog "]}},
            "must differ, and none may be empty",
        ),
        ({"objective": {"name": "distilled", "teacher_classes": [" "]}}, "must differ, and none may be empty"),
        (
            {"objective": {"name": "masks"}},
            "student.objective: unknown name 'masks'; choose one of: supervised,",
        ),
        ({"objective": {"label_weight": 0.5}}, "student.objective.name: missing"),
        ({"objective": {"name": "supervised", "label_weight": 0.5}}, "objective.supervised.label_weight: unknown key"),
        (
            {"objective": {"name": "distilled", "teacher_loss": "balanced-bce"}},
            "unknown loss 'balanced-bce'; choose one of:",
        ),
        (
            {"objective": {"name": "supervised"}},
            "run 'student' has a teacher, but its objective is 'supervised', which uses none",
        ),
        (
            {"augment": [{"name": "crop", "shore": 0.1}]},
            "student.augment.0.crop.shore: unknown key; did you mean share?",
        ),
        (
            {"augment": [{"name": "crap"}]},
            "student.augment.0: unknown name 'crap'; choose one of: background, colour, crop",
        ),
        ({"augment": [{"name": "scale", "least": 2}]}, "least (2) must not be above most (1.25)"),
        ({"augment": [{"name": "enhance", "least": 1.2}]}, "least (1.2) must not be above most (1.1)"),
        ({"samples": {"stride": 2}}, "stride is of windows of several frames; set frames too"),
        ({"size": {"order": "passes"}}, "order: passes goes through the sizes in training, and there are none"),
        ({"preset": ["sdnet"]}, "unknown preset ['sdnet']; choose one of"),
        ({"augment": [{"name": "resize"}, {"name": "crop"}]}, "a crop after the resize, but crops are of stored"),
        ({"augment": [{"name": "flip", "horizontal": 0.6, "vertical": 0.6, "exclusive": True}]}, "cannot be exclusive"),
    ],
)
def test_settings_that_cannot_train_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    broken = tree()
    broken["profiles"]["demo"]["runs"]["student"].update(change)
    with pytest.raises(UserError) as caught:
        load(tmp_path, broken)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_preset_lends_what_the_named_optimiser_and_schedule_have(tmp_path: Path) -> None:
    """SDNet's: Adam with betas, steps with milestones."""
    content = tree()
    named = {"optimiser": {"name": "sgd"}, "schedule": {"name": "cosine"}}
    content["profiles"]["demo"]["runs"]["student"].update(preset="sdnet", **named)
    run = load(tmp_path, content).run("student")
    assert (run.optimiser.name, run.optimiser.lr, run.optimiser.momentum) == ("sgd", 1e-3, 0.9)
    assert run.optimiser.groups["mixing"].freeze_epochs == 5
    assert (run.schedule.name, run.schedule.milestones, run.schedule.warmup_epochs) == ("cosine", [], 0)


@pytest.mark.parametrize("name", ["bento", "student-deploy"])
def test_a_run_that_would_write_another_stages_folder_is_refused(tmp_path: Path, name: str) -> None:
    given = tree(train={"teacher": "scfnet", name: "sdnet"})
    given["profiles"]["demo"]["runs"][name] = {"model": "sdnet"}
    with pytest.raises(UserError, match=f"artifacts/{name} is written by the stage .*; rename '{name}'"):
        load(tmp_path, given)


def test_imported_names_may_have_dots(tmp_path: Path) -> None:
    assert load(tmp_path, tree(imported=["sdnet.duts"])).imported == ["sdnet.duts"]


def test_something_is_evaluated(tmp_path: Path) -> None:
    given = tree()
    given["profiles"]["demo"]["evaluate"] = {"splits": []}
    with pytest.raises(UserError, match=r"evaluate\.splits: List should have at least 1 item"):
        load(tmp_path, given)


def test_a_run_that_learns_from_a_teacher_needs_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run 'student' has the objective 'distilled' and no teacher; name one under"):
        load(tmp_path, tree(train={"teacher": "scfnet", "student": "sdnet"}, distill={}))


@pytest.mark.parametrize("path", ["artifacts/early", "./artifacts/early", "artifacts//early/"])
def test_a_start_that_the_pipeline_makes_is_known_in_any_spelling(tmp_path: Path, path: str) -> None:
    given = tree(imported=["early"], train={"teacher": "scfnet", "later": "sdnet"})
    given["profiles"]["demo"]["runs"]["later"]["init"] = path
    with pytest.raises(UserError, match="run 'later' starts from artifacts/early, which is made here"):
        load(tmp_path, given)
    given["finetune"], given["train"] = {"later": {"family": "sdnet", "base": "early"}}, {"teacher": "scfnet"}
    assert load(tmp_path, given).bases == {"later": "early"}


def test_runs_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    teachers = {"student": "second", "second": "student"}
    circle = tree(distill={name: {"family": "sdnet", "teacher": teacher} for name, teacher in teachers.items()})
    runs = circle["profiles"]["demo"]["runs"]
    runs["second"] = runs["student"]
    with pytest.raises(UserError) as caught:
        load(tmp_path, circle)
    assert "no run of these can be the first: " in str(caught.value)
    assert "student needs second needs student" in str(caught.value) or "second needs student needs second" in str(
        caught.value
    )


def test_a_run_has_few_settings() -> None:
    assert len(Run.model_fields) <= 15


def test_imported_weights_teach_and_are_evaluated(tmp_path: Path) -> None:
    taught, published = {"student": {"family": "sdnet", "teacher": "published"}}, {"published": "scfnet"}
    changes = {"imported": ["published"], "train": {}, "distill": taught, "deploy": published, "evaluate": published}
    params = load(tmp_path, tree(**changes))
    params.check_imported("evaluate", "published", "scfnet")
    with pytest.raises(UserError, match="deploy: published: family is 'scfnet', but artifacts/published is of 'sdnet'"):
        params.check_imported("deploy", "published", "sdnet")


@pytest.mark.parametrize("content", ["a: [1, 2", "just text", "", "- 1\n- 2\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(UserError, match=r"params.yaml (is not valid YAML|must hold a mapping)"):
        load(tmp_path, content)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """One that is merged in from elsewhere may stand again: that is what merging is for."""
    with pytest.raises(UserError, match=r"params.yaml is not valid YAML: 'seed' stands twice in .*line 2"):
        load(tmp_path, "seed: 0\nseed: 5\n")
    merged = (
        "profiles: {demo: {runs: {a: &a {model: sdnet, epochs: 2}, b: &b {<<: *a, epochs: 3}, c: {<<: *b, epochs: 4}}}}"
    )
    with pytest.raises(UserError, match=r"profiles\.demo\.data: missing"):
        load(tmp_path, merged)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes("# größer\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"params\.yaml is not UTF-8 text"):
        load_params(tmp_path / "params.yaml")
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory; give a file of settings"):
        load_params(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"name": "x", "url": "http://localhost/x.zip"}, "needs its sha256"),
        ({"name": "x", "path": "a", "sha256": "0" * 64}, "sha256 is that of an archive by url"),
        ({"name": "x", "render": {"scenes": 3, "hidden": 0.5}}, "hidden is of kind toys"),
        ({"name": "x", "path": "a", "render": {"scenes": 3}}, "give one of path, url and render"),
        ({"name": "x", "path": "a", "split": {"train": 0.5, "test": 0.4}}, "sum to 0.9, not to 1"),
        ({"name": "x", "path": "a", "split": {"train": float("nan")}}, "shares of split must be from 0 to 1"),
        ({"name": "x", "path": "a", "split": {"train": -1.0, "test": 2.0}}, "shares of split must be from 0 to 1"),
        ({"name": "x", "path": "a", "split": "../../x"}, "the split '../../x' needs a plain word as its name"),
        ({"name": "x", "path": "a", "split": {"test set": 1.0}}, "the split 'test set' needs a plain word"),
        ({"name": "x", "render": {"scenes": 3, "seed": -1}}, "seed: Input should be greater than or equal to 0"),
        ({"name": "a/b", "path": "a"}, "'a/b' cannot be a folder's name"),
        (
            {"name": "x", "path": "a", "labels": "classes", "classes": {1: "cat", 255: "dog"}, "ignore": [0, 255]},
            "255 is both a class and ignored",
        ),
    ],
)
def test_a_dataset_request_is_checked(tmp_path: Path, dataset: dict[str, Any], message: str) -> None:
    broken = tree()
    broken["profiles"]["demo"]["data"]["datasets"] = [dataset]
    with pytest.raises(UserError) as caught:
        load(tmp_path, broken)
    assert message in str(caught.value)


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with pytest.raises(UserError, match="not valid YAML"):
        load(tmp_path, f"seed: !!python/object/apply:os.mkdir ['{marker}']")
    assert not marker.exists()
