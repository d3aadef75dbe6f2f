"""Distil one student from its teacher: `python -m limelight.stages.distill <run>`; under torchrun on several GPUs.

It is trained as any run is, which says by itself what it learns from. The stage has a name of its own in `dvc dag`.
"""

from limelight.stages.runner import stage_main
from limelight.stages.train import run

if __name__ == "__main__":
    stage_main(run)
