"""Learning-rate schedules as closed forms of the step, so that a resumed training needs no scheduler state."""

import math

from limelight.config import Schedule


def learning_rate_factor(schedule: Schedule, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Return the share of the optimiser's lr that step `step` uses.

    The warm-up is linear from `warmup_start` to 1. The cosine begins where it ends, as KD-SCFNet's (arXiv 2208.02178)
    does, and stays at `final` after `period_epochs`. The polynomial counts from the first step and the smaller of the
    two holds during the warm-up, as in InSPyReNet (arXiv 2209.09475). Milestones count from the first epoch.

    Args:
        step: optimiser steps already made, from 0.
        steps_per_epoch: optimiser steps in one epoch.
        epochs: of the whole training.
    """
    total = steps_per_epoch * epochs
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    ramp = schedule.warmup_start + (1 - schedule.warmup_start) * step / warmup if step < warmup else 1.0
    if schedule.name == "poly":
        decayed = schedule.final + (1 - schedule.final) * (1 - step / total) ** schedule.power
        return min(ramp, decayed)
    if step < warmup:
        return ramp
    if schedule.name == "cosine":
        period = round(schedule.period_epochs * steps_per_epoch) if schedule.period_epochs else total - warmup
        done = min(1.0, (step - warmup) / max(1, period))
        return schedule.final + (1 - schedule.final) * 0.5 * (1 + math.cos(math.pi * done))
    if schedule.name == "exponential":
        return schedule.final ** ((step - warmup) / max(1, total - warmup))
    if schedule.name == "steps":
        return schedule.gamma ** sum(step >= milestone * steps_per_epoch for milestone in schedule.milestones)
    return 1.0
