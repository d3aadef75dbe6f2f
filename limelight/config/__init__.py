"""`params.yaml`: one section, one frozen validated class. An unknown key or a value of the wrong type is an error.

`profile` chooses which block of `profiles` is in force. The blocks differ in values only: the CPU demo and the
published full-size settings run through the same code.
"""

from limelight.config.data import Data, DatasetRequest, Labels, Layout, Renderer, Validate
from limelight.config.deployment import Deploy, Package
from limelight.config.evaluation import Evaluate, Rule, SlowMeasure, TaskName
from limelight.config.optimisation import Group, Lora, Optimiser, Schedule
from limelight.config.params import Distill, Finetune, Params, Profile, Tracking
from limelight.config.reading import load_params, parse
from limelight.config.run import Batches, Compute, Run, Sizes, Splits
from limelight.foundation.section import Section

__all__ = [
    "Batches",
    "Compute",
    "Data",
    "DatasetRequest",
    "Deploy",
    "Distill",
    "Evaluate",
    "Finetune",
    "Group",
    "Labels",
    "Layout",
    "Lora",
    "Optimiser",
    "Package",
    "Params",
    "Profile",
    "Renderer",
    "Rule",
    "Run",
    "Schedule",
    "Section",
    "Sizes",
    "SlowMeasure",
    "Splits",
    "TaskName",
    "Tracking",
    "Validate",
    "load_params",
    "parse",
]
