"""Optimisers, built from settings and the roles of a network's parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn, optim

from limelight.config import Group, Optimiser
from limelight.foundation.errors import UserError


def make_optimiser(roles: Mapping[str, Sequence[nn.Parameter]], settings: Optimiser) -> optim.Optimizer:
    """Make an optimiser with one parameter group per non-empty role; each keeps its role for `set_learning_rates`.

    'adam' adds the decay to the gradient and 'adamw' does not, so published Adam recipes need 'adam'. 'adamw-8bit'
    keeps both moments of a weight in 2 bytes rather than 8 (Dettmers et al., arXiv 2110.02861), except small tensors.

    Args:
        roles: role -> parameters, each parameter once, as from `Network.parameter_groups`.
        settings: lr, decay, and overrides for single roles.

    Raises:
        UserError: 'adamw-8bit' without bitsandbytes.
    """
    groups = []
    for role, parameters in roles.items():
        decay = settings.groups.get(role, Group()).weight_decay
        if parameters:
            groups.append(
                {
                    "params": list(parameters),
                    "role": role,
                    "weight_decay": settings.weight_decay if decay is None else decay,
                }
            )
    if settings.name == "sgd":
        return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    kinds: dict[str, Callable[..., optim.Optimizer]] = {
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "adamw-8bit": _adamw_8bit,
    }
    return kinds[settings.name](groups, lr=settings.lr, betas=settings.betas)


def _adamw_8bit(groups: list[dict[str, Any]], **settings: Any) -> optim.Optimizer:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise UserError(
            f"optimiser 'adamw-8bit' needs bitsandbytes ({error}); pip install 'limelight[eightbit]', or choose 'adamw'"
        ) from error
    return AdamW8bit(groups, **settings)


def set_learning_rates(optimiser: optim.Optimizer, settings: Optimiser, factor: float, epoch: int) -> float:
    """Set every group's lr for one step and return the lr of a group without overrides.

    A group is frozen by an lr of 0, as in SDNet's recipe: its gradients still feed the optimiser's moments.

    Args:
        factor: from `learning_rate_factor`.
        epoch: from 0; a group trains once its `freeze_epochs` are over.
    """
    for group in optimiser.param_groups:
        own = settings.groups.get(group["role"], Group())
        group["lr"] = settings.lr * own.lr_scale * factor if epoch >= own.freeze_epochs else 0.0
    return settings.lr * factor
