"""Joint augmentation: an ordered list of operations; whatever moves the image moves companion, mask and labels alike.

What is random is drawn first, as plain values, and then applied: so a sample depends on its generator alone, and one
draw gives the same picture at several sizes. A new operation is its settings in `limelight.config.augmentation`, a file
here, and a line of `DRAWS`.

Pictures are stretched to the training size where 'resize' stands; where it is left out, after the last operation that
is for stored pixels (a crop, a blur, a rotation, a scaling), or else at once. Geometry works on the stored integers,
which is 3 times as fast here as torchvision's.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from limelight.config.augmentation import (
    Crop,
    Enhance,
    Flip,
    InvertCompanion,
    Photometric,
    Resize,
    Rotate,
    Scale,
    Step,
)
from limelight.data.augmentation.companion import draw_inversion
from limelight.data.augmentation.crop import draw_crop
from limelight.data.augmentation.enhance import draw_enhancement
from limelight.data.augmentation.flip import draw_flip
from limelight.data.augmentation.photometric import draw_photometric
from limelight.data.augmentation.picture import Effect, Picture
from limelight.data.augmentation.resize import draw_resize
from limelight.data.augmentation.warp import draw_rotation, draw_scaling
from limelight.models.inputs import Size

DRAWS: dict[type[Step], Callable[[Any, Size, np.random.Generator], Effect]] = {
    Crop: draw_crop,
    Enhance: draw_enhancement,
    Flip: draw_flip,
    InvertCompanion: draw_inversion,
    Photometric: draw_photometric,
    Resize: draw_resize,
    Rotate: draw_rotation,
    Scale: draw_scaling,
}
"""What each operation's settings draw for a stored picture of (height, width). The generator takes equally many steps
whatever comes of it, unless settings say that it never comes."""


def draw(operations: Sequence[Step], size: Size, generator: np.random.Generator) -> tuple[Effect, ...]:
    """Draw one sample's augmentation, in the order of the operations.

    Args:
        size: height and width of the stored picture, pixels.
    """
    if not any(isinstance(each, Resize) for each in operations):
        last = max((place for place, each in enumerate(operations, 1) if each.before_resize), default=0)
        operations = [*operations[:last], Resize(), *operations[last:]]
    return tuple(DRAWS[type(each)](each, size, generator) for each in operations)


def apply(picture: Picture, drawn: Sequence[Effect], size: Size) -> Picture:
    """One sample augmented, at height and width `size`."""
    for effect in drawn:
        picture = effect(picture, size)
    return picture
