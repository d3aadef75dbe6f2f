"""Registry of the objectives, by their name in params.yaml. A new one needs an entry here and its settings.

Settings are in `limelight.config.objectives`, since params.yaml is checked without PyTorch.

Each is imported when it is used: most trainings need none of the others.
"""

import importlib
from typing import TYPE_CHECKING

from limelight.config.objectives import Objective
from limelight.foundation.errors import UserError

if TYPE_CHECKING:
    from limelight.models.base import Network
    from limelight.training.learner import Learner
    from limelight.training.teacher import Teacher

LEARNERS = {
    "supervised": "supervised:Supervised",
    "distilled": "distilled:Distilled",
    "pyramid": "pyramid:Pyramid",
    "velocity": "velocity:Velocity",
    "prompted": "prompted:Prompted",
    "prompted-velocity": "velocity:PromptedVelocity",
    "reconstruction": "reconstruction:Reconstruction",
}
"""Name -> 'module:class' in this folder."""


def make_learner(
    objective: Objective, network: "Network", *, epochs: int, teacher: "Teacher | None" = None
) -> "Learner":
    """Make the learner for an objective; it trains `network` in place.

    Args:
        epochs: length of the whole training.
        teacher: for the objective 'distilled'.

    Raises:
        UserError: the network's `capabilities.objectives` lacks this objective, or settings do not fit the network.
    """
    supported = network.capabilities.objectives
    if objective.name not in supported:
        raise UserError(
            f"objective {objective.name!r} is not for {type(network).__name__}; set its name to "
            f"{' or '.join(map(repr, supported))}"
        )
    module, _, name = LEARNERS[objective.name].partition(":")
    kind = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    given = {} if teacher is None else {"teacher": teacher}
    learner: Learner = kind(network, objective, epochs=epochs, **given)
    return learner
