"""The sections `evaluate` and `compare`."""

from typing import Literal

from pydantic import Field

from limelight.foundation.section import Section

SlowMeasure = Literal["msiou", "hce"]
"""Measures of saliency that take longer than all others together: multiscale IoU, human correction effort."""


class Evaluate(Section):
    """How artifacts are scored, timed and shown."""

    splits: list[str] = Field(
        default_factory=lambda: ["test"], min_length=1, description="which splits of the datasets"
    )
    batch_size: int = Field(default=1, ge=1, description="pictures that the network computes at once")
    workers: int | None = Field(
        default=None,
        ge=0,
        description="processes of the metrics; 0 = none but this one, null = one per core; DVC evaluates again when it "
        "changes, with the same figures",
    )
    measures: list[SlowMeasure] = Field(
        default_factory=list, description="slow measures of saliency besides the others: msiou, hce"
    )
    save_maps: bool = Field(default=False, description="write every 8-bit map to work/maps/<artifact>/<runtime>/")
    overlays: int = Field(default=8, ge=0, description="TP/FP/FN pictures per dataset")
    background: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a pixel whose classes are all less probable is background (open-vocabulary)",
    )
    latency_runs: int = Field(default=20, ge=1, description="calls that are timed, in each runtime")
    threads: int = Field(default=2, ge=1, description="CPU threads of the runtimes while latency is measured")
    maps: dict[str, str] = Field(
        default_factory=dict,
        description="other methods: name -> folder of precomputed maps, <dataset>/<id>.png",
    )


TaskName = Literal["saliency", "open-vocabulary"]
"""What is evaluated, compared and served; each is an object of `limelight.tasks`."""


class Rule(Section):
    """The champion of a task is the best row that keeps within the limits; and what the result tables show."""

    metric: str = Field(description="one of the task's metrics")
    dataset: str | None = Field(default=None, description="null = mean over the datasets")
    max_parameters: int | None = Field(default=None, ge=1, description="of the network; larger ones are never champion")
    max_latency_ms: float | None = Field(default=None, gt=0, description="median of single images, end to end")
    table: list[str] | None = Field(
        default=None, min_length=1, description="metrics of the result tables; null = all that were measured"
    )
