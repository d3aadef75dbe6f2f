"""What every stage's `main` does: die with its parent, read params.yaml, report a user's mistake in one line."""

import inspect
import os
import sys
from collections.abc import Callable

from limelight.config import Params, load_params
from limelight.config.params import GROUPS
from limelight.foundation.errors import UserError
from limelight.foundation.one_line import mistakes_in_one_line
from limelight.foundation.parent import end_with_parent

# How long OpenMP's threads spin before they sleep; libgomp reads it when torch is first imported. By default they spin
# so long that, on two cores beside another job, a training step takes many times as long; without any spinning small
# networks take five times as long on a quiet machine. This is close to the best of both.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def stage_main(run: Callable[..., None]) -> None:
    """Run a stage from the command line: `python -m limelight.stages.<stage> [name]`.

    Exits 2 with one line on standard error where the user's input is at fault.
    """
    # Killing `dvc` must not leave a training run behind it. The shell between dvc and the stage is replaced by the
    # stage's process (`exec` in dvc.yaml), so the parent is dvc.
    end_with_parent()
    with mistakes_in_one_line():
        try:
            inspect.signature(run).bind(None, *sys.argv[1:])
        except TypeError as error:
            raise UserError(
                f"{error}; the stages train, distill, reparameterize, weights and evaluate take a name"
            ) from None
        params: Params = load_params()
        check(params)
        run(params, *sys.argv[1:])


def check(params: Params) -> None:
    """Check what would show only after hours of training: names of metrics, and runs that no section lists.

    Raises:
        UserError: `compare` names a metric that its task does not have.
    """
    from limelight.reporting.results import chosen_metrics
    from limelight.reporting.rule import metric_of
    from limelight.tasks import get_task

    for name, rule in params.active.compare.items():
        metric_of(rule, get_task(name))
        chosen_metrics(rule, (), get_task(name))
    if params.unlisted and os.environ.get("RANK", "0") == "0":
        print(
            f"warning: profiles.{params.profile}.runs: no stage trains {', '.join(params.unlisted)}; list them under "
            f"one of {', '.join(GROUPS)}, or remove them",
            file=sys.stderr,
        )
