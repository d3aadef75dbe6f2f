"""Settings and a network's roles to an optimiser."""

from collections.abc import Mapping, Sequence

from torch import nn, optim

from limelight.config import Group, Optimiser


def make_optimiser(roles: Mapping[str, Sequence[nn.Parameter]], settings: Optimiser) -> optim.Optimizer:
    """One parameter group per role that has parameters; each remembers its role for `set_learning_rates`.

    'adam' adds the decay to the gradient and 'adamw' does not, so published Adam recipes need 'adam'.

    Args:
        roles: role -> parameters, each parameter once, as from `Network.parameter_groups`.
        settings: lr, decay, and what differs for single roles.
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
    kind = optim.Adam if settings.name == "adam" else optim.AdamW
    return kind(groups, lr=settings.lr, betas=settings.betas)


def set_learning_rates(optimiser: optim.Optimizer, settings: Optimiser, factor: float, epoch: int) -> float:
    """Set every group's lr for one step and return the lr of a group with nothing of its own.

    A group is frozen by an lr of 0, as in SDNet's recipe: its gradients still feed the optimiser's moments.

    Args:
        factor: from `learning_rate_factor`.
        epoch: from 0; a group trains once its `freeze_epochs` are over.
    """
    for group in optimiser.param_groups:
        own = settings.groups.get(group["role"], Group())
        group["lr"] = settings.lr * own.lr_scale * factor if epoch >= own.freeze_epochs else 0.0
    return settings.lr * factor
