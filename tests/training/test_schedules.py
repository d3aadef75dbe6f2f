"""Schedules against closed forms and against the schedulers that the papers used."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from limelight.config import Run, Schedule
from limelight.config.presets import PRESETS
from limelight.training.schedules import learning_rate_factor

STEPS, EPOCHS = 7, 20


def curve(schedule: Schedule, steps: int = STEPS, epochs: int = EPOCHS) -> list[float]:
    return [learning_rate_factor(schedule, step, steps, epochs) for step in range(steps * epochs)]


def test_constant_after_a_linear_warmup():
    values = curve(Schedule(name="constant", warmup_epochs=2, warmup_start=0.1))
    assert values[:14] == pytest.approx([0.1 + 0.9 * step / 14 for step in range(14)])
    assert set(values[14:]) == {1.0}


def test_cosine_equals_pytorchs_after_the_warmup():
    schedule = Schedule(name="cosine", warmup_epochs=3, warmup_start=0.01, final=0.01)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS * (EPOCHS - 3), eta_min=0.01)
    expected = []
    for _ in range(STEPS * (EPOCHS - 3)):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        reference.step()
    assert curve(schedule)[21:] == pytest.approx(expected, abs=1e-9)


def test_cosine_with_a_period_stays_at_its_end():
    values = curve(Schedule(name="cosine", period_epochs=5, final=0.2))
    assert values[35:] == pytest.approx([0.2] * (len(values) - 35))
    assert values[17] == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * 17 / 35)))


def test_exponential_is_a_straight_line_in_the_logarithm():
    values = curve(Schedule(name="exponential", warmup_epochs=2, final=0.01))
    assert values[14] == 1.0
    assert values[14 + 63] == pytest.approx(0.1)
    assert values[-1] == pytest.approx(0.01 ** (125 / 126))


def test_steps_multiply_at_their_epochs():
    values = curve(Schedule(name="steps", milestones=[9, 15], gamma=0.1))
    assert values[62] == 1.0
    assert values[63] == pytest.approx(0.1)
    assert values[104] == pytest.approx(0.1)
    assert values[105] == pytest.approx(0.01)


def test_poly_is_capped_by_the_warmup_but_counts_from_the_start():
    # InSPyReNet: min(poly, ramp from 0.1) over the first steps, poly with power 0.9 from step 0.
    values = curve(Schedule(name="poly", warmup_epochs=10, warmup_start=0.1, final=0.0, power=0.9))
    poly = [(1 - step / 140) ** 0.9 for step in range(140)]
    assert values == pytest.approx([min(p, 0.1 + 0.9 * step / 70) if step < 70 else p for step, p in enumerate(poly)])


def test_published_rates_of_kd_scfnet():
    run = Run(model="scfnet", **PRESETS["scfnet-fs"])
    rates = [run.optimiser.lr * factor for factor in curve(run.schedule, steps=83, epochs=69)]
    assert rates[0] == pytest.approx(0.00064)
    assert max(rates) == rates[5 * 83] == pytest.approx(0.064)
    assert rates[-1] == pytest.approx(0.00064, rel=1e-3)


@given(
    name=st.sampled_from(["constant", "cosine", "exponential", "steps", "poly"]),
    warmup=st.floats(0, 5),
    epochs=st.integers(1, 30),
    steps=st.integers(1, 50),
    final=st.floats(0, 1),
)
def test_every_factor_is_a_share(name: str, warmup: float, epochs: int, steps: int, final: float):
    assume(final > 0 or name != "exponential")
    own = {"steps": {"milestones": [2, 4]}, "constant": {}}.get(name, {"final": final})
    schedule = Schedule(name=name, warmup_epochs=warmup, **own)
    assert all(0 <= factor <= 1 for factor in curve(schedule, steps, epochs))
