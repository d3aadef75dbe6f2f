"""The sections `deploy` and `package`."""

from typing import Literal

from pydantic import Field, PositiveFloat

from limelight.foundation.section import Section
from limelight.models.card import GuidedRadius

Runtime = Literal["onnx-fp32", "onnx-int8", "openvino-fp32", "openvino-bf16", "openvino-int8"]
_RUNTIMES: tuple[Runtime, ...] = ("onnx-fp32", "openvino-fp32", "openvino-bf16", "openvino-int8")


class Deploy(Section):
    """Settings of the stage reparameterize: exports, and the limits past which it fails."""

    max_logit_difference: float = Field(
        default=1e-4, ge=0, description="limit for the merged form against the trained one, on real images"
    )
    samples: int = Field(
        default=32, ge=1, description="number of real images for the equality check, the report and calibration"
    )
    split: str = Field(default="val", description="where these images come from")
    calibrate: bool = Field(
        default=False,
        description="fit a temperature on these images, so that probabilities are true",
    )
    sharpness: PositiveFloat | None = Field(
        default=None, description="multiply the maps' logits by this number: surer maps, harder edges"
    )
    guided_radius: GuidedRadius = Field(
        default=0,
        description="of the guided filter that brings saliency maps' borders to edges, written on the card: pixels of "
        "the network's map, 0 = no filter",
    )
    runtimes: list[Runtime] = Field(default_factory=lambda: list(_RUNTIMES), description="exports that are made")
    max_probability_difference: float = Field(default=1e-3, ge=0, description="limit for the fp32 exports")
    max_mae_change: float = Field(default=0.005, ge=0, description="limit for every export, measured against the masks")
    max_f_change: float = Field(default=0.02, ge=0, description="the same, of the maximal F-measure")


class Package(Section):
    """The service that a champion is packaged with, and its limits."""

    max_body_mb: float = Field(default=20, gt=0, description="of a whole request, 2^20 bytes each")
    max_pixels: int = Field(default=25_000_000, ge=1, description="of a picture, width times height")
    max_classes: int = Field(default=64, ge=1, le=255, description="prompts per request to an open-vocabulary model")
    max_video_mb: float = Field(default=200, gt=0, description="of a request with a video")
    max_frames: int = Field(default=10_000, ge=1, description="of a video, and of a stream of frames")
    max_seconds: float = Field(default=600, gt=0, description="that a video lasts, and that a stream is open")
    max_frame_pixels: int = Field(default=4096 * 2304, ge=1, description="of the frames of videos and streams")
