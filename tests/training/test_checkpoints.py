"""States on disk: whole, few, and only ever of the same training."""

from pathlib import Path

import pytest
import torch
from toy import toy_network, toy_run

from limelight.config import Run
from limelight.config.presets import PRESETS, with_preset
from limelight.foundation.errors import UserError
from limelight.training.checkpoints import Checkpoints, Progress, state_key


def saved(folder: Path, steps: int = 1) -> Checkpoints:
    checkpoints = Checkpoints(folder, 5)
    progress = Progress()
    for _ in range(steps):
        progress.add({"loss": 2.0})
        checkpoints.save({"network": toy_network(seed=progress.step)}, progress)
    return checkpoints


def test_what_was_saved_comes_back(tmp_path: Path):
    saved(tmp_path / "key", steps=2)
    network = toy_network()
    progress = Checkpoints(tmp_path / "key", 5).restore({"network": network})
    assert progress == Progress(step=2, sums={"loss": 4.0})
    assert torch.equal(network.head.weight, toy_network(seed=2).head.weight)


def test_two_are_kept(tmp_path: Path):
    checkpoints = saved(tmp_path / "key", steps=5)
    names = sorted(path.name for path in (tmp_path / "key").iterdir())
    assert names == ["epoch00000-step0000004.pt", "epoch00000-step0000005.pt"]
    assert checkpoints.newest == tmp_path / "key" / names[-1]


def test_a_damaged_state_falls_back_on_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    newest = saved(tmp_path / "key", steps=3).newest
    newest.write_bytes(newest.read_bytes()[:500])
    assert Checkpoints(tmp_path / "key", 5).restore({"network": toy_network()}).step == 2
    assert f"{newest} cannot be read" in capsys.readouterr().err


def test_a_state_of_other_settings_is_refused(tmp_path: Path):
    saved(tmp_path / "key")
    (tmp_path / "key").rename(tmp_path / "other")
    with pytest.raises(
        UserError, match=r"belongs to a training with other settings or data \(key key, this one has other"
    ):
        Checkpoints(tmp_path / "other", 5).restore({"network": toy_network()})


def test_nothing_that_runs_code_is_loaded(tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "key").mkdir()
    torch.save({"key": "key", "trap": Trap()}, tmp_path / "key" / "epoch00000-step0000001.pt")
    assert Checkpoints(tmp_path / "key", 5).restore({}) == Progress()
    assert not (tmp_path / "sprung").exists()


def test_only_the_first_process_writes(tmp_path: Path):
    Checkpoints(tmp_path / "key", 5, writes=False).save({}, Progress())
    assert not (tmp_path / "key").exists()


def test_key_changes_with_what_changes_the_result_and_with_nothing_else():
    base = state_key(toy_run(), seed=0, manifest="a")
    assert base == state_key(
        toy_run(compute={"workers": 3, "cache_mb": 1, "checkpoint_minutes": 1}), seed=0, manifest="a"
    )
    others = [
        state_key(toy_run(), seed=1, manifest="a"),
        state_key(toy_run(), seed=0, manifest="b"),
        state_key(toy_run(epochs=3), seed=0, manifest="a"),
        state_key(toy_run(augment=[{"name": "photometric", "blur": 0.5}]), seed=0, manifest="a"),
    ]
    assert len({base, *others}) == 5


def test_a_setting_that_was_not_given_is_not_part_of_the_key():
    """So that a new setting orphans nobody's training."""
    base = state_key(toy_run(), seed=0)
    assert base == state_key(toy_run(options={}, compute={}), seed=0)
    assert base != state_key(toy_run(compute={"precision": "bf16"}), seed=0)
    preset = Run.model_validate(with_preset({"model": "sdnet", "preset": "sdnet"}, "here"))
    written = Run.model_validate({"model": "sdnet", **PRESETS["sdnet"]})
    assert state_key(preset, seed=0) == state_key(written, seed=0) != state_key(Run(model="sdnet"), seed=0)
