"""Training of one run: `python -m limelight.stages.train <run>`; under torchrun on several GPUs."""

from limelight.config import Params
from limelight.stages.runner import stage_main


def run(params: Params, name: str) -> None:
    """Write artifacts/<name> (weights, card, history.json) and reports/train/<name>."""
    from limelight.training.runs import train

    train(params, name)


if __name__ == "__main__":
    stage_main(run)
