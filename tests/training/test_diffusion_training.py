"""A small autoencoder, and diffusion networks on it, through the stages that train every other network."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from toy import toy_samples

from limelight.config import Params, load_params
from limelight.data.loader import epoch_batches
from limelight.data.manifest import write_manifest
from limelight.deploy.export import export
from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.inference.loading import load
from limelight.inference.sampling import ONE_STEP, Sampling
from limelight.models.card import Normalisation
from limelight.models.diffusion.configs import VAES
from limelight.models.registry import create_model
from limelight.models.weights import load_weights, read_card, save_weights
from limelight.stages import distill, train
from limelight.training.objectives import make_learner
from limelight.training.teacher import NetworkTeacher
from tests.families import families, taught
from tests.models.diffusers_folder import write_folder
from tests.tolerance import assert_agree, relative

pytestmark = pytest.mark.slow

RUN = {
    "model": "diffsod-tiny",
    "parts": {"vae": "artifacts/vae"},
    "size": {"input": 64},
    "epochs": 2,
    "batch": {"size": 4},
    "optimiser": {"lr": 1e-3},
    "schedule": {"name": "constant"},
    "samples": {"validation": None},
}
STUDENT = {**RUN, "model": "sdnet", "parts": {}, "objective": {"name": "distilled"}}


def student(**settings: object) -> dict[str, object]:
    return {**STUDENT, "objective": {"name": "distilled", **settings}}


def profile(runs: dict[str, dict]) -> dict[str, object]:
    return {"data": {"datasets": [{"name": "toy", "path": "toy"}]}, "runs": runs}


RUNS = {
    "vae": {
        **RUN,
        "model": "autoencoder-tiny",
        "parts": {},
        "objective": {"name": "reconstruction"},
        "epochs": 12,
        "optimiser": {"lr": 4e-3},
    },
    "one-step": {**RUN, "optimiser": {"lr": 1e-3, "ema": 0.9, "clip_norm": 1.0}, "samples": {"validation": "val"}},
    "velocity": {**RUN, "objective": {"name": "velocity"}, "epochs": 1},
    "adapters": {
        **RUN,
        "epochs": 1,
        "options": {"pretrained": "sd"},
        "parts": {},
        "lora": {"rank": 4, "alpha": 8},
        "optimiser": {"lr": 1e-3, "groups": {"adapters": {"lr_scale": 3.0}}},
    },
    "no-unet": {**RUN, "model": "sdnet", "parts": {}, "lora": {}},
    "not-a-part": {**RUN, "parts": {"backbone": "artifacts/vae"}},
    "schedule-as-part": {**RUN, "parts": {"schedule": "artifacts/one-step"}},
    "other-scale": {**RUN, "options": {"vae": {**VAES["tiny"], "scaling_factor": 0.5}}},
    "no-denoiser": {**RUN, "model": "sdnet", "parts": {}, "objective": {"name": "velocity"}},
    "no-maps": {**RUN, "model": "autoencoder-tiny", "parts": {}},
    "student": STUDENT,
    "student-of-pictures": STUDENT,
    "student-that-cannot": {**STUDENT, "model": "autoencoder-tiny"},
    "student-of-odd-size": student(teacher_size=100),
    "student-of-no-words": student(teacher_classes=["dog"]),
    "student-of-unnamed": STUDENT,
    "student-of-words": {**student(teacher_classes=["red mug", "box"]), "epochs": 1},
    "too-small": {**RUN, "model": "sdnet", "parts": {}, "size": {"training": [8]}},
}
TEACHERS = {
    "student": "legacy",
    "student-of-pictures": "vae",
    "student-that-cannot": "one-step",
    "student-of-odd-size": "one-step",
    "student-of-no-words": "one-step",
    "student-of-unnamed": "words",
    "student-of-words": "words",
}
ALONE = {name: run for name, run in RUNS.items() if name not in TEACHERS}
STARTS = {name: next(iter(run["parts"].values())) for name, run in ALONE.items() if run["parts"]}
TREE = {
    "profile": "tiny",
    "device": "cpu",
    "train": families({name: run for name, run in ALONE.items() if name not in STARTS}),
    "finetune": {
        name: {"family": family, "base": STARTS[name].removeprefix("artifacts/")}
        for name, family in families({name: ALONE[name] for name in STARTS}).items()
    },
    "imported": ["legacy", "words"],
    "distill": taught(RUNS, TEACHERS),
    "tracking": {"enabled": False},
    "profiles": {"tiny": profile(RUNS)},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the autoencoder and both ways to train a denoiser have run."""
    folder = tmp_path_factory.mktemp("diffusion")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        data = Path("data/datasets/toy")
        write_manifest(toy_samples(data, 8) + toy_samples(data, 2, "val"))
        Path("params.yaml").write_text(yaml.safe_dump(TREE))
        torch.manual_seed(0)
        base = create_model("diffsod-tiny")
        write_folder("sd", {"unet": base.unet, "vae": base.vae, "scheduler": base.scheduler})
        save_weights("artifacts/legacy", create_model("diffsod-tiny", legacy=True), name="diffsod-tiny")
        save_weights("artifacts/words", create_model("segdiffusion-tiny"), name="segdiffusion-tiny")
        for name in ("vae", "one-step", "velocity", "adapters"):
            train.run(load_params(), name)
    return folder


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def test_the_autoencoder_learns() -> None:
    records = read_json("artifacts/vae/history.json")["epochs"]
    errors = [record["error"] for record in records]
    assert errors[-1] < 0.75 * errors[0]
    assert read_card("artifacts/vae").prepare.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", ["one-step", "velocity"])
def test_a_part_starts_from_another_run_and_stays_frozen(name: str) -> None:
    autoencoder, network = load_weights("artifacts/vae")[0].vae, load_weights(f"artifacts/{name}")[0]
    expected = autoencoder.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in network.vae.state_dict().items())
    torch.manual_seed(0)
    start = create_model("diffsod-tiny")  # as the run began
    moved = (network.unet.conv_in.weight - start.unet.conv_in.weight).abs().max()
    assert 0 < moved < 0.01  # by up to the learning rate in each of some steps; other random weights are further off
    assert Path(f"reports/train/{name}/samples.png").is_file()


def test_weights_that_learnt_velocities_are_used_by_sampling() -> None:
    assert [read_card(f"artifacts/{name}").use.denoise_steps for name in ("one-step", "velocity")] == [None, 10]
    assert load("artifacts/velocity", device="cpu").plan.sampling == Sampling(10)
    assert load("artifacts/velocity", device="cpu", sampling=Sampling(2, 3)).plan.sampling == Sampling(2, 3)
    assert load("artifacts/one-step", device="cpu").plan.sampling == ONE_STEP
    network, card = load_weights("artifacts/velocity")
    with pytest.raises(UserError, match="denoise in 10 steps, and an export computes a single one; leave it out of"):
        export(network, card, "exports", ["onnx-fp32"], {})


def test_options_of_the_weights_that_a_run_starts_from_hold_on(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_weights(tmp_path / "start", create_model("diffsod-tiny", gain=20.0), name="diffsod-tiny")
    runs = {"on": {**RUN, "epochs": 1, "parts": {}, "init": str(tmp_path / "start")}}
    groups = {"train": families(runs), "finetune": {}, "distill": {}}
    params = Params.model_validate({**TREE, **groups, "profiles": {"tiny": profile(runs)}})
    train.run(params, "on")
    assert load_weights("artifacts/on")[0].gain == 20.0


def test_a_legacy_teacher_sees_one_picture_at_a_time() -> None:
    """As it is used: its batch norms go by what is in the batch."""
    params = load_params()
    teacher, card = load_weights("artifacts/legacy")
    network = create_model("sdnet", modalities=["rgb", "rgbd", "rgbt"])
    facts = {"normalisation": Normalisation(network.mean, network.std), "size": None, "classes": ()}
    learner = NetworkTeacher(teacher, card, **facts)
    (batch, *_) = epoch_batches(toy_samples(Path("data/datasets/toy"), 8), params.run("student"), seed=0, epoch=0)
    alone = replace(
        batch, **{part: value[:1] for part, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    )
    assert_agree(learner.targets(batch)[:1], learner.targets(alone), teacher)


def test_adapters_are_merged_into_what_is_saved() -> None:
    network, card = load_weights("artifacts/adapters")
    fresh = create_model("diffsod-tiny", pretrained="sd")
    assert network.state_dict().keys() == fresh.state_dict().keys()
    assert card.provenance.source == "run adapters, profile tiny, seed 0, from sd; branch: random weights"
    assert card.architecture.parameters == sum(value.numel() for value in fresh.parameters())
    before = fresh.unet.state_dict()
    moved = {name for name, value in network.unet.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.rsplit(".", 2)[-2] for name in moved} == {"conv_in", "to_q", "to_k", "to_v", "0"}
    assert all(".attn" in name for name in moved if not name.startswith("conv_in"))


def test_unlabelled_samples_do_not_count(tmp_path: Path) -> None:
    params = load_params()
    run = params.run("velocity")
    learner = make_learner(run.objective, load_weights("artifacts/velocity")[0], epochs=run.epochs)
    (first, *_) = epoch_batches(toy_samples(Path("data/datasets/toy"), 8), run, seed=0, epoch=0)

    def loss(labelled: list[bool]) -> torch.Tensor:
        torch.manual_seed(3)
        first.labelled_B = torch.tensor(labelled)
        return learner(first, 0)[0].detach()

    halves = loss([True, True, False, False]), loss([False, False, True, True])
    torch.testing.assert_close(sum(halves) / 2, loss([True] * 4), rtol=relative(learner.network), atol=0)
    assert loss([False] * 4) == 0


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match=r"PictureAutoencoder in artifacts/vae .* do not both have a part 'backbone'"):
        train.run(load_params(), "not-a-part")
    with pytest.raises(UserError, match="run 'no-denoiser': objective 'velocity' is not for SDNet; set its name to"):
        train.run(load_params(), "no-denoiser")
    with pytest.raises(UserError, match="do not both have a part 'schedule'"):
        train.run(load_params(), "schedule-as-part")
    with pytest.raises(UserError, match=r"latents of its part 'vae' are scaled by 0.18215, those .* by 0.5"):
        train.run(load_params(), "other-scale")
    with pytest.raises(UserError, match="'supervised' is not for PictureAutoencoder; set its name to 'reconstruction'"):
        train.run(load_params(), "no-maps")
    with pytest.raises(UserError, match="teacher 'vae': it predicts no saliency maps"):
        distill.run(load_params(), "student-of-pictures")
    with pytest.raises(UserError, match="objective 'distilled' is not for PictureAutoencoder"):
        distill.run(load_params(), "student-that-cannot")
    with pytest.raises(UserError, match=r"sizes \[100\] are not multiples of 32, which DiffSOD needs"):
        distill.run(load_params(), "student-of-odd-size")
    with pytest.raises(UserError, match="teacher 'one-step': it takes no prompts; leave teacher_classes out"):
        distill.run(load_params(), "student-of-no-words")
    with pytest.raises(UserError, match="teacher 'words': its card names no classes; name some as teacher_classes"):
        distill.run(load_params(), "student-of-unnamed")
    with pytest.raises(UserError, match=r"run 'too-small': sizes \[8\] are below 16, the least that SDNet takes"):
        train.run(load_params(), "too-small")
    with pytest.raises(UserError, match="run 'no-unet': lora needs a network with a UNet, which SDNet does not have"):
        train.run(load_params(), "no-unet")


def test_words_teach_a_student_what_they_name() -> None:
    distill.run(load_params(), "student-of-words")
    card = read_card("artifacts/student-of-words")
    assert card.architecture.model == "sdnet" and "taught by words (segdiffusion-tiny" in card.provenance.source
    assert read_json("artifacts/student-of-words/history.json")["epochs"][0]["loss"] > 0
