"""Joint augmentation: an ordered list of operations; whatever moves the image moves companion, mask and labels alike.

What is random is drawn first, as plain values, and then applied: so a sample depends on its generator alone, and one
draw gives the same picture at several sizes. A new operation is a file here and a member of `Operation`.

Pictures are stretched to the training size where 'resize' stands; where it is left out, after the last operation that
is for stored pixels (a crop, a blur, a rotation, a scaling), or else at once. Geometry works on the stored integers,
which is 3 times as fast here as torchvision's.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from limelight.data.augmentation.companion import InvertCompanion
from limelight.data.augmentation.crop import Crop
from limelight.data.augmentation.enhance import Enhance
from limelight.data.augmentation.flip import Flip
from limelight.data.augmentation.photometric import Photometric
from limelight.data.augmentation.picture import Effect, Picture
from limelight.data.augmentation.resize import Resize
from limelight.data.augmentation.step import Step
from limelight.data.augmentation.warp import Rotate, Scale
from limelight.models.inputs import Size

Operation = Annotated[
    Crop | Enhance | Flip | InvertCompanion | Photometric | Resize | Rotate | Scale, Field(discriminator="name")
]
"""One operation of params.yaml, known by its `name`."""


def check_order(operations: Sequence[Step]) -> None:
    """Refuse a list that cannot be worked through.

    Raises:
        ValueError: a crop, which is of stored pixels, after the resize, or two of the latter.
    """
    places = [place for place, each in enumerate(operations) if isinstance(each, Resize)]
    if len(places) > 1:
        raise ValueError("augment has more than one resize; leave one")
    if places and any(isinstance(each, Crop) for each in operations[places[0] :]):
        raise ValueError("augment has a crop after the resize, but crops are of stored pixels; put the crop first")


def draw(operations: Sequence[Step], size: Size, generator: np.random.Generator) -> tuple[Effect, ...]:
    """Draw one sample's augmentation, in the order of the operations.

    Args:
        size: height and width of the stored picture, pixels.
    """
    if not any(isinstance(each, Resize) for each in operations):
        last = max((place for place, each in enumerate(operations, 1) if each.before_resize), default=0)
        operations = [*operations[:last], Resize(), *operations[last:]]
    return tuple(each.draw(size, generator) for each in operations)


def apply(picture: Picture, drawn: Sequence[Effect], size: Size) -> Picture:
    """One sample augmented, at height and width `size`."""
    for effect in drawn:
        picture = effect(picture, size)
    return picture
