"""Tasks that networks are evaluated, compared and served for; importing this loads neither NumPy nor PyTorch."""

import importlib
from typing import TYPE_CHECKING, Any, get_args

from limelight.config import TaskName
from limelight.foundation.errors import UserError

if TYPE_CHECKING:
    from limelight.models.card import Card
    from limelight.tasks.task import Task

TASKS: tuple[TaskName, ...] = get_args(TaskName)
"""Task names, in report order. Task 'a-b' is the object `TASK` in the module `limelight.tasks.a_b`."""
DEFAULT: TaskName = "saliency"
"""Task of commands where none is given."""


def get_task(name: str) -> "Task[Any, Any]":
    """Look up a task by name.

    Raises:
        UserError: no task has the name.
    """
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}; choose one of: {', '.join(TASKS)}")
    task: Task[Any, Any] = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").TASK
    return task


def task_of(card: "Card") -> "Task[Any, Any]":
    """Return the task of a set of weights.

    Raises:
        UserError: the weights are only a part of other networks, such as an autoencoder.
    """
    known = card.architecture
    if known.task not in TASKS:
        raise UserError(
            f"{known.model} is for {known.task}, which is neither evaluated nor served; choose weights for "
            f"{' or '.join(TASKS)}"
        )
    return get_task(known.task)
