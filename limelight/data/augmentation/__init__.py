"""Joint augmentation: an ordered list of operations; geometry changes image, companion, mask and labels alike.

Random values are drawn first, then applied: a sample depends on its generator alone, and one draw gives the same
picture at several sizes. A new operation needs settings in `limelight.config.augmentation`, a file here, and an entry
in `DRAWS`.

Pictures are stretched to the training size at 'resize'; without it, after the last operation on stored pixels (crop,
blur, rotation, scaling), or first if there is none. Geometry works on the stored integers, measured 3 times as fast as
torchvision's.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from limelight.config.augmentation import (
    Background,
    Colour,
    Crop,
    Enhance,
    Flip,
    InvertCompanion,
    Paste,
    Photometric,
    Resize,
    Rotate,
    Scale,
    Step,
)
from limelight.data.augmentation.background import draw_background
from limelight.data.augmentation.colour import draw_colour
from limelight.data.augmentation.companion import draw_inversion
from limelight.data.augmentation.crop import draw_crop
from limelight.data.augmentation.enhance import draw_enhancement
from limelight.data.augmentation.flip import draw_flip
from limelight.data.augmentation.paste import draw_paste
from limelight.data.augmentation.photometric import draw_photometric
from limelight.data.augmentation.picture import Effect, TrainingPicture
from limelight.data.augmentation.resize import draw_resize
from limelight.data.augmentation.warp import draw_rotation, draw_scaling
from limelight.models.inputs import Size

DRAWS: dict[type[Step], Callable[[Any, Size, np.random.Generator], Effect]] = {
    Background: draw_background,
    Colour: draw_colour,
    Crop: draw_crop,
    Enhance: draw_enhancement,
    Flip: draw_flip,
    InvertCompanion: draw_inversion,
    Paste: draw_paste,
    Photometric: draw_photometric,
    Resize: draw_resize,
    Rotate: draw_rotation,
    Scale: draw_scaling,
}
"""Type of settings -> function that draws the operation for a stored picture of (height, width). The generator advances
equally far whatever the outcome, unless the settings rule the operation out."""


def draw(operations: Sequence[Step], size: Size, generator: np.random.Generator) -> tuple[Effect, ...]:
    """Draw one sample's augmentation, in the order of the operations.

    Args:
        size: height and width of the stored picture, pixels.
    """
    if not any(isinstance(each, Resize) for each in operations):
        last = max((place for place, each in enumerate(operations, 1) if each.before_resize), default=0)
        operations = [*operations[:last], Resize(), *operations[last:]]
    return tuple(DRAWS[type(each)](each, size, generator) for each in operations)


def apply(picture: TrainingPicture, drawn: Sequence[Effect], size: Size) -> TrainingPicture:
    """Apply drawn effects to one sample; the result has height and width `size`."""
    for effect in drawn:
        picture = effect(picture, size)
    return picture
