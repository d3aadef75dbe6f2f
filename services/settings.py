"""Settings of the service: limits, options and access. A packaged service carries its own `settings.json`."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json
from limelight.inference.plan import Request
from limelight.inference.sampling import MAX_MEMBERS, Sampling
from limelight.models.card import GuidedRadius
from limelight.services.cors import as_origin, split_origins

PACKAGED = Path(__file__).with_name("settings.json")
PACKED = Path("src/limelight/services/settings.json")
"""The packaged settings within an unpacked bento."""
PREFIX = "LIMELIGHT_"


class ServiceSettings(BaseModel):
    """Each field can be set by an environment variable of its name: LIMELIGHT_MAX_BODY, LIMELIGHT_TOKEN, ..."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_body: int = Field(default=20 << 20, ge=1)
    """Bytes of a whole request; beyond it, 413."""
    max_pixels: int = Field(default=25_000_000, ge=1)
    """Width times height, from the picture's header, before anything is decoded; beyond it, 413."""
    max_classes: int = Field(default=64, ge=1, le=255)
    """Classes in one request to an open-vocabulary model; beyond it, 400. Each class costs a full model run."""
    max_video_body: int = Field(default=200 << 20, ge=1)
    """Bytes of a request with a video; beyond it, 413. Videos are kept in files, not in memory."""
    max_frames: int = Field(default=10_000, ge=1)
    """Of a video, and of a stream; beyond it, 413, and the stream is closed."""
    max_seconds: float = Field(default=600, gt=0)
    """That a video lasts; beyond it, 413. And that a stream is open, which is then closed."""
    max_frame_pixels: int = Field(default=4096 * 2304, ge=1)
    """Width times height of the frames of videos and streams, of which many are in memory at once; beyond it, 413."""
    video_timeout: float = Field(default=600, gt=0)
    """Seconds from a video's arrival until its result is ready; beyond it, 504."""
    runtime: str = "auto"
    threads: int | None = Field(default=None, ge=1)
    """Threads of the runtime; None leaves the choice to it."""
    processing_res: int | None = Field(default=None, ge=0)
    half_precision: bool = False
    calibrated: bool = False
    high_resolution: bool = False
    guided: GuidedRadius | None = None
    flip: bool = False
    denoise_steps: int | None = Field(default=None, ge=1)
    ensemble_size: int = Field(default=1, ge=1, le=MAX_MEMBERS)
    vae: Path | None = None
    """This and the fields from `runtime` on are options of `limelight predict`; the last three are for diffusion
    networks."""
    model: Path | None = None
    """A weights folder to serve in place of the packaged model."""
    token: Annotated[str, Field(pattern=r"^[!-~]+$")] | None = None
    """Token that requests must carry, in characters that a header can hold; None admits everyone. Never packaged."""
    cors_origins: Annotated[tuple[Annotated[str, AfterValidator(as_origin)], ...], BeforeValidator(split_origins)] = ()
    """Origins whose pages may use the service from a browser; ('*',) = all, () = no other origin."""

    def request(self) -> Request:
        """Options with which `limelight.inference.loading.load` opens the weights."""
        return Request(
            runtime=self.runtime,
            threads=self.threads,
            processing_res=self.processing_res,
            sampling=Sampling(self.denoise_steps, self.ensemble_size),
            half_precision=self.half_precision,
            calibrated=self.calibrated,
            high_resolution=self.high_resolution,
            guided=self.guided,
            flip=self.flip,
            vae=self.vae,
        )


def service_settings(packaged: Path = PACKAGED) -> ServiceSettings:
    """Read the packaged settings or the defaults, overridden by the environment.

    Raises:
        UserError: a value of the wrong type, or out of its range, or a name that is nearly a setting's.
    """
    values = read_json(packaged) if packaged.is_file() else {}
    for name in ServiceSettings.model_fields:
        value = os.environ.get(PREFIX + name.upper())
        if value or (name == "token" and value is not None):  # an empty token is a mistake that would let everybody in
            values[name] = value
    _refuse_misspelt()
    try:
        return ServiceSettings.model_validate(values)
    except ValidationError as error:
        raise UserError(_error_message(error.errors()[0])) from None


def _refuse_misspelt() -> None:
    """Raise for a variable that is nearly a setting's: a token that is misspelt would let everybody in.

    Others pass: Limelight has more of them, and Kubernetes sets some of a service called limelight.
    """
    settings = {PREFIX + name.upper() for name in ServiceSettings.model_fields}
    for name in sorted(os.environ.keys() - settings):
        if name.startswith(PREFIX) and (meant := get_close_matches(name, settings, n=1, cutoff=0.9)):
            raise UserError(f"{name} is no setting; is {meant[0]} meant?")


def _error_message(mistake: Any) -> str:
    """Describe a pydantic error in one line; a token is not shown, since more people read logs than may know it."""
    field = str(mistake["loc"][0])
    name = PREFIX + field.upper()
    if field == "token":
        return f"{name} must be visible ASCII characters without spaces; unset it to admit everybody"
    return f"{name}: {mistake['msg'].removeprefix('Value error, ')} (got {mistake['input']!r})"
