"""What every operation of an augmentation is."""

import numpy as np

from limelight.data.augmentation.picture import Effect
from limelight.foundation.section import Section
from limelight.models.inputs import Size


class Step(Section):
    """Settings of one operation. All its randomness is in `draw`, so that one draw can be applied at several sizes."""

    @property
    def before_resize(self) -> bool:
        """Whether it is for pictures in their stored size and proportions; see `limelight.data.augmentation`."""
        return False

    def draw(self, size: Size, generator: np.random.Generator) -> Effect:
        """Draw what is done to one sample.

        Args:
            size: height and width of the stored picture, pixels.
            generator: takes equally many steps whatever comes of it, unless settings say that it never comes.
        """
        raise NotImplementedError
