"""Operations of a run's `augment`: an ordered list. `limelight.data.augmentation` says how each is drawn."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from limelight.foundation.section import Section


class Step(Section):
    """Settings of one operation."""

    @property
    def before_resize(self) -> bool:
        """Whether it works on pictures in their stored size and proportions; see `limelight.data.augmentation`."""
        return False


class _Range(Step):
    """Settings of an operation that draws a number between two."""

    least: float
    most: float

    @model_validator(mode="after")
    def _check(self) -> "_Range":
        if self.least > self.most:
            raise ValueError(f"least ({self.least:g}) must not be above most ({self.most:g})")
        return self


class Background(Step):
    """Take the object out of a picture and empty its mask (ours): photos without a salient object give empty maps."""

    name: Literal["background"] = "background"
    probability: float = Field(default=0.05, ge=0, le=1)
    crop: float = Field(
        default=0.5, ge=0, le=1, description="share of these that are cut beside the object, if it leaves the room"
    )

    @property
    def before_resize(self) -> bool:
        return True


class Colour(Step):
    """Change the image's saturation and hue, or take its colours away (ours)."""

    name: Literal["colour"] = "colour"
    saturation: float = Field(default=0.4, ge=0, le=1, description="factor drawn from [1 - s, 1 + s]")
    hue: float = Field(default=10.0, ge=0, le=180, description="largest turn, degrees")
    grey: float = Field(default=0.05, ge=0, le=1, description="probability of no colour at all")


class Crop(Step):
    """Cut off a random part of each side; at least one pixel is left. If both forms are set, both apply in turn."""

    name: Literal["crop"] = "crop"
    share: float = Field(default=0.0, ge=0, lt=0.5, description="KD-SCFNet's form: largest share cut off a side")
    pixels: int = Field(
        default=0,
        ge=0,
        description="SDNet's form: most pixels cut off a side, after large pictures were shrunk",
    )

    @property
    def before_resize(self) -> bool:
        return True


class Enhance(_Range):
    """Contrast (about the mean), brightness and sharpness of the image, in random order (InSPyReNet's form)."""

    name: Literal["enhance"] = "enhance"
    probability: float = Field(default=0.5, ge=0, le=1, description="of each of the three operations")
    least: float = Field(default=1.0, gt=0, description="factor; 1 changes nothing")
    most: float = Field(default=1.1, gt=0)


class Flip(Step):
    """Mirror a picture, or turn it upside down."""

    name: Literal["flip"] = "flip"
    horizontal: float = Field(default=0.5, ge=0, le=1, description="probability")
    vertical: float = Field(default=0.0, ge=0, le=1, description="probability")
    exclusive: bool = Field(default=False, description="never both at once")

    @model_validator(mode="after")
    def _check(self) -> "Flip":
        if self.exclusive and self.horizontal + self.vertical > 1:
            raise ValueError(
                f"flips of {self.horizontal:g} and {self.vertical:g} cannot be exclusive; their sum must be at most 1"
            )
        return self


class InvertCompanion(Step):
    """Invert depth or thermal pictures: datasets disagree on whether near is small or large."""

    name: Literal["invert-companion"] = "invert-companion"
    probability: float = Field(default=0.5, ge=0, le=1)


class Paste(_Range):
    """Paste the object of another training picture in: both are salient (copy-paste, Ghiasi et al., CVPR 2021).

    Pictures with a companion or class labels stay as they are, and lend no objects.
    """

    name: Literal["paste"] = "paste"
    probability: float = Field(default=0.2, ge=0, le=1)
    least: float = Field(default=0.3, gt=0, le=1, description="the object's longer side / the picture's shorter side")
    most: float = Field(default=0.8, gt=0, le=1)

    @property
    def before_resize(self) -> bool:
        return True


class Photometric(Step):
    """Blur the image, then change its contrast and brightness (KD-SCFNet's form)."""

    name: Literal["photometric"] = "photometric"
    blur: float = Field(default=0.0, ge=0, le=1, description="probability of a Gaussian blur, kernel 3 to 9")
    contrast: float = Field(default=0.0, ge=0, lt=1, description="factor drawn from [1 - c, 1 + c]")
    brightness: float = Field(default=0.0, ge=0, lt=1, description="offset drawn from [-b, b], image in [0, 1]")

    @property
    def before_resize(self) -> bool:
        return self.blur > 0


class Resize(Step):
    """Stretch a picture to the training size, whatever its proportions."""

    name: Literal["resize"] = "resize"


class Rotate(Step):
    """Turn a picture about its centre."""

    name: Literal["rotate"] = "rotate"
    degrees: float = Field(default=10.0, ge=0, le=180, description="largest angle")
    probability: float = Field(default=1.0, ge=0, le=1)

    @property
    def before_resize(self) -> bool:
        return True


class Scale(_Range):
    """Enlarge a picture and cut it to its old size, or shrink it and fill up with black."""

    name: Literal["scale"] = "scale"
    least: float = Field(default=0.75, gt=0, description="factor")
    most: float = Field(default=1.25, gt=0)
    probability: float = Field(default=0.5, ge=0, le=1)

    @property
    def before_resize(self) -> bool:
        return True


Operation = Annotated[
    Background | Colour | Crop | Enhance | Flip | InvertCompanion | Paste | Photometric | Resize | Rotate | Scale,
    Field(discriminator="name"),
]
"""One operation of params.yaml, identified by its `name`."""


def check_order(operations: Sequence[Step]) -> None:
    """Refuse an invalid order of operations.

    Raises:
        ValueError: a crop, which works on stored pixels, after the resize, or two resizes.
    """
    places = [place for place, each in enumerate(operations) if isinstance(each, Resize)]
    if len(places) > 1:
        raise ValueError("augment has more than one resize; leave one")
    if places and any(isinstance(each, Crop) for each in operations[places[0] :]):
        raise ValueError("augment has a crop after the resize, but crops are of stored pixels; put the crop first")
