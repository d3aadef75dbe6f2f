"""The train and distill stages, from a manifest to weights folders and reports, with a real network."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import yaml
from toy import toy_samples

from limelight.config import Params, Run, load_params
from limelight.data.manifest import Sample, write_manifest
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.models.registry import create_model
from limelight.models.shipped import FOLDER
from limelight.models.weights import load_weights
from limelight.stages import distill, train
from limelight.training import runs
from limelight.training.history import History
from limelight.training.learner import Learner
from limelight.training.objectives import make_learner
from limelight.training.results import write_run
from limelight.training.selection import training_samples, validation_samples

pytestmark = pytest.mark.slow

RUN = {
    "model": "scfnet-mobilenetv3",
    "size": {"input": 64},
    "epochs": 2,
    "batch": {"size": 3},
    "objective": {"name": "supervised", "level_weights": [1, 0.5, 0.25, 0.125]},
    "schedule": {"name": "constant"},
}
STUDENT = {
    **RUN,
    "objective": {"name": "distilled", "label_weight": 0.5, "level_weights": [1, 0.5, 0.25, 0.125]},
    "samples": {"labelled": ["train"], "unlabelled": ["unlabelled"]},
}
TREE = {
    "profile": "tiny",
    "device": "cpu",
    "train": {"teacher": "scfnet"},
    "finetune": {"again": {"family": "scfnet", "base": "teacher"}},
    "distill": {"student": {"family": "scfnet", "teacher": "teacher"}},
    "tracking": {"enabled": False},
    "profiles": {
        "tiny": {
            "data": {"datasets": [{"name": "toy", "path": "toy"}]},
            "runs": {
                "teacher": {
                    **RUN,
                    "objective": {**RUN["objective"], "loss": "dice-boundary"},
                    "optimiser": {"ema": 0.9},
                },
                # It takes depth and looks around, which its start did not.
                "again": {
                    **RUN,
                    "epochs": 1,
                    "init": "artifacts/teacher",
                    "options": {"modalities": ["rgb", "rgbd"], "surround": 1},
                },
                "student": STUDENT,
            },
        }
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything has run once."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        data = Path("data/datasets/toy")
        samples = toy_samples(data, 6) + toy_samples(data, 2, "val")
        write_manifest(samples + toy_samples(data, 4, "unlabelled", labelled=False))
        Path("params.yaml").write_text(yaml.safe_dump(TREE))
        params = load_params()
        train.run(params, "teacher")
        train.run(params, "again")
        distill.run(params, "student")
    return folder


@pytest.mark.parametrize("name", ["teacher", "again", "student"])
def test_everything_is_written(name: str, project: Path):
    epochs = 1 if name == "again" else 2
    network, card = load_weights(project / "artifacts" / name)
    architecture = card.architecture
    assert (architecture.model, architecture.form, card.prepare.size) == ("scfnet-mobilenetv3", "training", (64, 64))
    assert card.provenance.metrics.keys() == {"val_mae", "val_max_f"}
    assert architecture.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert len(read_json(project / "artifacts" / name / "history.json")["epochs"]) == epochs
    report = project / "reports/train" / name
    rows = list(csv.DictReader((report / "history.csv").open()))
    assert len(rows) == epochs and float(rows[-1]["loss"]) > 0
    metrics = read_json(report / "metrics.json")
    assert metrics["epoch"] == epochs and {"loss", "val_mae", "best_epoch", "best_val_max_f"} <= metrics.keys()
    assert cv2.imread(str(report / "samples.png")).shape == (2 * 160, 3 * 160, 3)
    assert cv2.imread(str(report / "curves.png")).std() > 0
    assert not list((project / "work" / name).glob("*/*.pt"))


def test_the_card_says_what_it_was_trained_on(project: Path):
    cards = {name: load_weights(project / "artifacts" / name)[1] for name in ("teacher", "student", "again")}
    teacher, student, again = (card.provenance for card in cards.values())
    assert [line.partition(", manifest ")[0] for line in teacher.trained_on] == ["toy/train (6 rows"]
    assert [line.partition(", manifest ")[0] for line in student.trained_on] == [
        "toy/train (6 rows",
        "toy/unlabelled (4 rows",
    ]
    assert teacher.source == "run teacher, profile tiny, seed 0"
    assert again.source == f"run again, profile tiny, seed 0, from {teacher.source} (sha256 {teacher.sha256[:12]})"
    assert again.trained_on == teacher.trained_on * 2
    assert tuple(cards[name].architecture.modalities for name in ("teacher", "again")) == (("rgb",), ("rgb", "rgbd"))
    assert f"taught by teacher (scfnet-mobilenetv3, sha256 {teacher.sha256[:12]})" in student.source
    assert read_json(project / "artifacts/student/history.json")["epochs"][0].keys() >= {"teacher", "labels"}


def test_the_card_has_the_licences_and_data_of_all_that_it_was_made_from(project: Path, tmp_path: Path):
    run, (network, card) = Run.model_validate(RUN), load_weights(project / "artifacts/teacher")
    learner = make_learner(run.objective, network, epochs=1)
    bought = card.derived(licence="CC BY-NC 4.0", trained_on=("photos/train (9 rows)",))

    def made(**starts: Any) -> Any:
        write_run(tmp_path / "out", run, learner, [], History([]), {}, **starts)
        return load_weights(tmp_path / "out")[1].provenance

    assert made(init=None).licence == card.provenance.licence
    partly = made(init=None, parts=[bought])
    assert partly.licence == f"CC BY-NC 4.0; {card.provenance.licence}" and partly.trained_on == (
        "photos/train (9 rows)",
    )
    both = made(init=card, parts=[bought])
    assert both.licence == f"{card.provenance.licence}; CC BY-NC 4.0"
    assert both.trained_on == (*card.provenance.trained_on, "photos/train (9 rows)")


def test_training_twice_gives_the_same_file(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    before = load_weights("artifacts/again")[1]
    train.run(load_params(), "again")
    assert load_weights("artifacts/again")[1] == before


def changed(**settings: object) -> Params:
    runs = {"teacher": {**RUN, **settings}, "again": {**RUN, "init": "artifacts/teacher"}, "student": STUDENT}
    profile = {**TREE["profiles"]["tiny"], "runs": runs}
    return Params.model_validate({**TREE, "profiles": {"tiny": profile}})


def test_the_state_s_key_has_all_that_a_training_starts_from(project: Path, monkeypatch: pytest.MonkeyPatch):
    """Before the training: what `state_key` is given."""

    class Asked(Exception):
        pass

    def state_key(run: Run, **inputs: Any) -> str:
        raise Asked(inputs)

    def inputs(stage: Any, params: Params, name: str) -> dict[str, Any]:
        with pytest.raises(Asked) as caught:
            stage.run(params, name)
        return caught.value.args[0]

    monkeypatch.chdir(project)
    monkeypatch.setattr(runs, "state_key", state_key)
    monkeypatch.setattr(runs, "manifest_trees", lambda: {"toy": "1a2b", "other": "3c4d"})
    sha256 = load_weights("artifacts/teacher")[1].provenance.sha256
    first = inputs(train, changed(), "teacher")
    assert (first["teacher"], first["init"], first["parts"]) == (None, None, {})
    assert first["trees"] == {"toy": "1a2b"} and first["seed"] == 0
    assert inputs(train, changed(), "again")["init"] == sha256
    taught = inputs(distill, changed(), "student")
    assert taught["teacher"][0] == sha256 and taught["init"] is None
    partly = changed(parts={"backbone": str(project / "artifacts/teacher")})
    assert inputs(train, partly, "teacher")["parts"] == {"backbone": sha256}


def test_a_run_starts_from_weights_that_come_with_the_package():
    start = runs._start(Run.model_validate({**RUN, "model": "scfnet", "init": "limelight-small"}), 0)
    network, card = load_weights(FOLDER / "limelight-small")
    assert start.init == card and start.network.build_options == network.build_options
    assert all(torch.equal(start.network.state_dict()[name], value) for name, value in network.state_dict().items())


def kept_in(start: runs._Start, **objective: Any) -> Path:
    """The folder of the maps that the project's teacher makes for a student."""
    settings = {**STUDENT["objective"], "teacher_maps": "once", **objective}
    return runs._teaching(Run.model_validate({**STUDENT, "objective": settings}), start, "teacher").teacher.folder


def test_kept_maps_have_a_folder_for_all_that_they_depend_on(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    start = runs._start(Run.model_validate(STUDENT), 0)
    folders = [
        kept_in(start),
        kept_in(start, teacher_flip=True),
        kept_in(start, teacher_size=96),
        kept_in(replace(start, normalisation=start.normalisation._replace(mean=(0, 0, 0)))),
        kept_in(replace(start, normalisation=start.normalisation._replace(std=(1, 1, 1)))),
    ]
    assert len({*folders}) == 5


def test_mistakes_are_said_in_one_line(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    with pytest.raises(
        UserError, match=r"no run 'nobody' under profiles.tiny.runs; there are: teacher, again, student"
    ):
        train.run(changed(), "nobody")
    untaught = changed().model_copy(update={"distill": {}})
    with pytest.raises(UserError, match=r"run 'student': it has no teacher; name one under 'distill'"):
        distill.run(untaught, "student")
    with pytest.raises(UserError, match=r"no sample has the split 'tset'; .* has the splits train, unlabelled, val"):
        train.run(changed(samples={"labelled": ["tset"]}), "teacher")
    with pytest.raises(UserError, match=r"run 'teacher': no sample has the split 'vla'; .* train, unlabelled, val"):
        train.run(changed(samples={"validation": "vla"}), "teacher")
    with pytest.raises(UserError, match="level_weights has 1 numbers, the network 4 outputs"):
        train.run(changed(objective={"name": "supervised", "level_weights": [1]}), "teacher")


def test_a_validation_split_that_no_sample_has_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(project)
    learner = make_learner(Run.model_validate(RUN).objective, create_model(RUN["model"]), epochs=1)
    for split, expected in (
        ("vall", ["warning: run 'x' is not validated: no sample has a mask and split 'vall'; there are: train, val"]),
        ("val", []),
        (None, []),
    ):
        run = Run.model_validate({**RUN, "samples": {"validation": split}})
        validation = validation_samples(run, learner, "x")
        assert len(validation) == (2 if split == "val" else 0)
        assert capsys.readouterr().err.splitlines() == expected


def test_images_of_datasets_with_classes_are_not_learnt_from_by_their_saliency(tmp_path, monkeypatch):
    """Neither with their label maps, nor those without, which are in a split that the run may use."""
    monkeypatch.chdir(tmp_path)
    masks, plain = toy_samples(Path("data"), 2), toy_samples(Path("data"), 2, "unlabelled", labelled=False)
    semantic = [
        replace(sample, sample_id=f"words/{number}", dataset="words", labels=labels)
        for number, (sample, labels) in enumerate([(masks[0], "classes"), (plain[0], "none")])
    ]
    write_manifest([*masks, *plain, *semantic])
    learner = Learner(create_model("sdnet"))
    monkeypatch.setattr(Learner, "unlabelled", True)

    def chosen(**splits: list[str]) -> list[Sample]:
        return training_samples(Run.model_validate({**STUDENT, "samples": {**splits, "validation": None}}), learner)

    assert chosen() == masks
    assert chosen(unlabelled=["unlabelled"]) == [*masks, *plain]
    with pytest.raises(UserError, match="names unlabelled, where nothing is of use: no sample with"):
        chosen(labelled=["train", "unlabelled"])
