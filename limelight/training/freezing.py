"""Modules of a network that a run does not train."""

from collections.abc import Sequence

from torch import nn

from limelight.foundation.errors import UserError
from limelight.models.base import Network


def freeze(network: Network, names: Sequence[str]) -> list[nn.Module]:
    """Take gradients from modules of `network`, in place; their batch norms are to be kept in evaluation mode.

    Args:
        names: as in `network.named_modules()`, such as 'backbone.network.blocks.0'.

    Returns:
        The modules.

    Raises:
        UserError: the network has no module of that name.
    """
    modules = dict(network.named_modules())
    if unknown := [name for name in names if not name or name not in modules]:
        raise UserError(
            f"optimiser.freeze names {', '.join(map(repr, unknown))}, which {type(network).__name__} does not have; "
            f"it has {', '.join(name for name in modules if name and '.' not in name)} and what is below them"
        )
    for name in names:
        modules[name].requires_grad_(False)
    return [modules[name] for name in names]
