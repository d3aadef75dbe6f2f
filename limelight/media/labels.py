"""Label maps as files and as pictures with a colour per class.

Labels are 1 to the number of classes; 0 is background (black), below 0 void (grey).
"""

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limelight.foundation.errors import UserError

VOID_GREY = (120, 120, 120)
MAX_INDEXED = 255
"""Most classes that an 8-bit palette PNG can hold."""


def colour(label: int) -> tuple[int, int, int]:
    """Return the RGB of a label from 0 as in the PASCAL VOC devkit: the number's bits, spread over the channels."""
    red = green = blue = 0
    for shift in range(7, -1, -1):
        red |= (label & 1) << shift
        green |= (label >> 1 & 1) << shift
        blue |= (label >> 2 & 1) << shift
        label >>= 3
    return red, green, blue


def tinted(image_HW3: NDArray[np.uint8], labels_HW: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Turn the picture grey and tint each class in its colour, void in grey; uint8 RGB. Both have the same size."""
    grey = cv2.cvtColor(cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    picture = np.array(grey, np.uint8)
    for label in np.unique(labels_HW):
        if label:
            where = labels_HW == label
            rgb = VOID_GREY if label < 0 else colour(int(label))
            picture[where] = (0.35 * grey[where] + 0.65 * np.array(rgb)).astype(np.uint8)
    return picture


def encode_labels(labels_HW: NDArray[np.integer]) -> bytes:
    """Encode labels as an 8-bit PNG: pixel values are the labels, the palette holds their colours.

    Raises:
        UserError: a label exceeds 255.
    """
    if labels_HW.max(initial=0) > MAX_INDEXED:
        raise UserError(f"label {labels_HW.max()} exceeds a palette's limit of {MAX_INDEXED}; ask for fewer classes")
    picture = Image.fromarray(labels_HW.astype(np.uint8), "P")
    picture.putpalette([value for label in range(MAX_INDEXED + 1) for value in colour(label)])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
