"""What the loop promises besides exact resumption."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from pydantic import ValidationError
from torch import Tensor
from toy import ToyNetwork, equal, supervised, toy_network, toy_run, toy_samples, weights

from limelight.data.loader import evaluation_batches
from limelight.data.samples import Batch
from limelight.foundation.errors import UserError
from limelight.models.card import IMAGENET, Normalisation
from limelight.training import loop
from limelight.training.checkpoints import state_key
from limelight.training.device import make_accelerator
from limelight.training.history import History, Record
from limelight.training.loop import fit
from limelight.training.objectives.supervised import Supervised
from limelight.training.validation import validate


def train(folder: Path, network: ToyNetwork, *, count: int = 8, seed: int = 0, **settings: object) -> History:
    samples = toy_samples(folder, count)
    run = toy_run(**settings)
    return fit(
        supervised(network, run),
        run,
        samples=samples,
        validation=toy_samples(folder, 3, "val"),
        folder=folder / "toy" / state_key(run, seed=seed),
        seed=seed,
        device="cpu",
    )


def test_it_learns(tmp_path: Path):
    history = train(tmp_path, toy_network(), epochs=12)
    losses = [record["loss"] for record in history.records]
    assert losses[-1] < 0.6 * losses[0]
    assert history.last["val_max_f"] > 0.9
    assert [record["epoch"] for record in history.records] == list(range(1, 13))


def test_equal_seeds_give_equal_weights_whatever_the_workers_and_the_cache(tmp_path: Path):
    networks = [toy_network() for _ in range(4)]
    histories = [
        train(tmp_path / "a", networks[0]),
        train(tmp_path / "b", networks[1]),
        train(tmp_path / "c", networks[2], compute={"workers": 1, "cache_mb": 0}),
        train(tmp_path / "d", networks[3], seed=1),
    ]
    states = [weights(network) for network in networks]
    assert equal(states[0], states[1]) and histories[0] == histories[1]
    assert equal(states[0], states[2]) and histories[0] == histories[2]
    assert not equal(states[0], states[3])


def test_accumulated_batches_equal_one_large_batch(tmp_path: Path):
    # Without batch norm and dropout, whose results depend on how the samples are divided.
    large, small = (toy_network(norm=False, dropout=0.0) for _ in range(2))
    settings = {"optimiser": {"name": "sgd", "lr": 0.1, "clip_norm": 1.0}}
    first = train(tmp_path / "large", large, batch={"size": 4}, **settings)
    second = train(tmp_path / "small", small, batch={"size": 2, "accumulate": 2}, **settings)
    for one, other in zip(large.parameters(), small.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert first.last["loss"] == pytest.approx(second.last["loss"], rel=1e-4)


def test_an_incomplete_last_step_is_a_mean_of_its_own_batches(tmp_path: Path):
    alone, accumulating = toy_network(), toy_network()
    first = train(tmp_path / "alone", alone, count=2, epochs=1, batch={"size": 2})
    second = train(tmp_path / "accumulating", accumulating, count=2, epochs=1, batch={"size": 2, "accumulate": 2})
    assert first == second
    assert equal(weights(alone), weights(accumulating))


def test_every_step_has_the_rate_of_the_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[float] = []
    original = loop.set_learning_rates
    monkeypatch.setattr(loop, "set_learning_rates", lambda *args: seen.append(original(*args)) or seen[-1])
    schedule = {"name": "poly", "power": 1.0, "final": 0.0}
    history = train(tmp_path, toy_network(), optimiser={"name": "sgd", "lr": 0.1}, schedule=schedule)
    assert seen == pytest.approx([0.1 * (1 - step / 4) for step in range(4)])
    assert [record["lr"] for record in history.records] == pytest.approx(seen[1::2])


def test_a_step_is_as_long_as_the_clipped_gradient(tmp_path: Path):
    network = toy_network(norm=False, dropout=0.0)
    before = weights(network)
    optimiser = {"name": "sgd", "lr": 0.5, "momentum": 0.0, "clip_norm": 1e-3}
    train(tmp_path, network, epochs=1, optimiser=optimiser, schedule={"name": "constant"})
    moved = torch.cat([(value - before[name]).flatten() for name, value in weights(network).items()]).norm()
    assert 0 < moved <= 2 * 0.5 * 1e-3 * 1.01


def test_a_step_follows_its_own_gradient_alone(tmp_path: Path):
    """Two steps on the same two pictures, against two made by hand."""
    settings = {
        "optimiser": {"name": "sgd", "lr": 0.1, "momentum": 0.0},
        "schedule": {"name": "constant"},
        "augment": [{"name": "resize"}],
        "batch": {"size": 2},
    }
    network, by_hand = (toy_network(norm=False, dropout=0.0) for _ in range(2))
    train(tmp_path, network, count=2, **settings)
    learner = supervised(by_hand, toy_run(**settings))
    (batch,) = evaluation_batches(toy_samples(tmp_path, 2), 32, 2)
    for epoch in range(2):
        gradients = torch.autograd.grad(learner(batch, epoch)[0], list(by_hand.parameters()))
        with torch.no_grad():
            for value, gradient in zip(by_hand.parameters(), gradients, strict=True):
                value.sub_(0.1 * gradient)
    for one, other in zip(network.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_pictures_are_normalised_as_asked_for_training_and_for_validation(tmp_path: Path):
    class Looking(Supervised):
        def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
            seen.append(batch.image_B3HW.min().item())
            return super().forward(batch, epoch)

        def validate(self, batches: Iterator[Batch], accelerator: Accelerator) -> Record:
            seen.extend(batch.image_B3HW.min().item() for batch in batches)
            return {}

    run, samples = toy_run(epochs=1), toy_samples(tmp_path, 4)
    darkest = min(-mean / std for mean, std in zip(*IMAGENET, strict=True))
    for lowest, given in ((darkest, {}), (-0.9, {"normalisation": Normalisation((0.9,) * 3, (1.0,) * 3)})):
        seen: list[float] = []
        learner, folder = Looking(toy_network(), run.objective, epochs=run.epochs), tmp_path / f"{lowest}"
        fit(learner, run, samples=samples, validation=samples, folder=folder, seed=0, device="cpu", **given)
        assert seen == pytest.approx([lowest] * 2, abs=0.2)


def test_frozen_modules_keep_weights_and_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    network = toy_network()
    before = weights(network)
    train(tmp_path / "one", network, epochs=1, optimiser={"freeze": ["body.0", "body.1"]})
    after = weights(network)
    assert {name.rpartition(".")[0] for name, value in after.items() if not torch.equal(value, before[name])} == {
        "body.4",
        "head",
    }
    assert "trained)" in capsys.readouterr().err
    with pytest.raises(UserError, match="freeze names 'bodies', which ToyNetwork does not have; it has body"):
        train(tmp_path / "two", toy_network(), optimiser={"freeze": ["bodies"]})


def test_frozen_role_keeps_its_weights_for_its_epochs(tmp_path: Path):
    network = toy_network()
    before = weights(network)
    frozen = {"name": "adamw", "lr": 0.02, "groups": {"head": {"freeze_epochs": 1}}}
    train(tmp_path / "one", network, epochs=1, optimiser=frozen)
    assert torch.equal(network.head.weight, before["head.weight"])
    assert not torch.equal(network.body[0].weight, before["body.0.weight"])
    train(tmp_path / "two", network, epochs=2, optimiser=frozen)
    assert not torch.equal(network.head.weight, before["head.weight"])


def test_averaged_weights_are_the_ones_kept_and_validated(tmp_path: Path):
    run = toy_run(optimiser={"lr": 0.02, "ema": 0.9}, epochs=2)
    learner = supervised(toy_network(), run)
    trained, before = learner.network, weights(learner.network)
    samples = toy_samples(tmp_path, 8)
    history = fit(learner, run, samples=samples, validation=samples, folder=tmp_path / "k", seed=0, device="cpu")
    assert learner.network is not trained
    assert not equal(weights(learner.network), weights(trained))
    assert not torch.equal(learner.network.head.weight, before["head.weight"])
    scores = validate(learner.eval().predict, evaluation_batches(samples, 32, 4), make_accelerator("cpu", "fp32"))
    assert scores["val_mae"] == pytest.approx(history.last["val_mae"], rel=1e-5)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_weights_mixed_with_those_of_the_start_are_the_ones_kept_and_validated(tmp_path: Path, ema: float | None):
    samples, kept = toy_samples(tmp_path, 8), {}
    for share in (0.0, 0.25):
        run = toy_run(init="elsewhere", optimiser={"lr": 0.02, "ema": ema, "start_share": share})
        learner = supervised(toy_network(), run)
        folder = tmp_path / f"{share}"
        history = fit(learner, run, samples=samples, validation=samples, folder=folder, seed=0, device="cpu")
        scores = validate(learner.eval().predict, evaluation_batches(samples, 32, 4), make_accelerator("cpu", "fp32"))
        assert scores["val_mae"] == pytest.approx(history.last["val_mae"], rel=1e-5)
        kept[share] = weights(learner.network)
    for name, start in weights(toy_network()).items():
        learnt = kept[0.0][name]
        expected = torch.lerp(learnt, start, 0.25) if start.is_floating_point() else learnt
        torch.testing.assert_close(kept[0.25][name], expected)
    with pytest.raises(ValidationError, match="start_share is of the weights that a run starts from; set init"):
        toy_run(optimiser={"start_share": 0.25})


def test_validation_every_other_epoch_and_after_the_last(tmp_path: Path):
    history = train(tmp_path, toy_network(), epochs=5, compute={"validate_every": 2})
    assert [record["epoch"] for record in history.records if "val_mae" in record] == [2, 4, 5]


def test_a_loss_that_is_not_finite_names_samples_and_the_last_good_state(tmp_path: Path):
    class Poisoned(Supervised):
        def forward(self, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
            loss, parts = super().forward(batch, epoch)
            return (loss / 0 if epoch == 1 and "toy/train/003" in batch.ids else loss), parts

    run = toy_run()
    folder = tmp_path / "toy" / "key"
    with pytest.raises(UserError) as caught:
        fit(
            Poisoned(toy_network(), run.objective, epochs=run.epochs),
            run,
            samples=toy_samples(tmp_path, 8),
            folder=folder,
            seed=0,
            device="cpu",
        )
    text = str(caught.value)
    assert "toy: the loss is inf" in text and "epoch 2" in text
    assert "toy/train/003" in text
    assert "epoch00001-step0000000.pt" in text and "\n" not in text
    assert (folder / "epoch00001-step0000000.pt").is_file()


def test_spoilt_weights_are_never_saved(tmp_path: Path):
    run = toy_run(
        optimiser={"name": "sgd", "lr": 1e38}, schedule={"name": "constant"}, compute={"checkpoint_minutes": 0}
    )
    folder = tmp_path / "toy" / "key"
    with pytest.raises(UserError, match=r"not finite|the loss is"):
        fit(supervised(toy_network(), run), run, samples=toy_samples(tmp_path, 8), folder=folder, seed=0, device="cpu")
    for path in folder.glob("*.pt"):
        saved = torch.load(path, weights_only=True)["parts"]["network"]
        assert all(value.isfinite().all() for value in saved.values())


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory.\nTried"), MemoryError()])
def test_too_little_memory_says_which_settings_take_less(tmp_path: Path, error: Exception):
    class Large(ToyNetwork):
        def forward(self, image_B3HW: torch.Tensor) -> list[torch.Tensor]:
            raise error

    run = toy_run(batch={"size": 9, "accumulate": 2})
    with pytest.raises(
        UserError, match=r"out of memory; .*batch: {size: 3, accumulate: 6}, .*bf16}; .*8bit}; a"
    ) as caught:
        fit(
            supervised(Large(), run),
            run,
            samples=toy_samples(tmp_path, 18),
            folder=tmp_path / "k",
            seed=0,
            device="cpu",
        )
    assert "\n" not in str(caught.value) and "lora" not in str(caught.value)


def test_a_finished_training_is_not_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    networks = [toy_network(), toy_network()]
    first = train(tmp_path, networks[0])
    capsys.readouterr()
    assert train(tmp_path, networks[1]) == first
    assert equal(weights(networks[0]), weights(networks[1]))
    assert "resumes after 2 epochs and 0 steps" in capsys.readouterr().err


def test_it_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train(tmp_path, toy_network(), optimiser={"groups": {"mixing": {"lr_scale": 2}}})
    output = capsys.readouterr().err
    assert "toy: 842 parameters on CPU, fp32; 8 samples, 8 images and 2 steps per epoch, 2 epochs" in output
    assert "optimiser.groups ['mixing'] match no parameters; roles: body, head" in output
    assert "toy: epoch 2/2: loss " in output and "val_max_f" in output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there(tmp_path: Path):
    run = toy_run()
    with pytest.raises(UserError, match="device is 'cuda', but PyTorch sees no GPU"):
        fit(
            supervised(toy_network(), run),
            run,
            samples=toy_samples(tmp_path, 4),
            folder=tmp_path / "k",
            seed=0,
            device="cuda",
        )


def test_history_files(tmp_path: Path):
    records = [{"epoch": 1, "loss": 2.0, "lr": 0.1}, {"epoch": 2, "loss": 1.0, "lr": 0.05, "val_max_f": 0.5}]
    history = History(records)
    history.write_csv(tmp_path / "h.csv")
    history.write_json(tmp_path / "h.json")
    assert (tmp_path / "h.csv").read_text().splitlines() == ["epoch,loss,lr,val_max_f", "1,2.0,0.1,", "2,1.0,0.05,0.5"]
    assert json.loads((tmp_path / "h.json").read_text()) == {"epochs": records, "best": records[1]}
