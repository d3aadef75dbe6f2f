"""Label maps as files that other programs read."""

import io

import numpy as np
import pytest
from PIL import Image

from limelight.foundation.errors import UserError
from limelight.media.labels import colour, encode_labels


def test_pixels_are_labels_and_the_palette_their_colours() -> None:
    labels_HW = np.arange(256, dtype=np.int16).reshape(8, 32)
    read = Image.open(io.BytesIO(encode_labels(labels_HW)))
    assert read.mode == "P"
    np.testing.assert_array_equal(np.asarray(read), labels_HW)
    rgb = np.asarray(read.convert("RGB")).reshape(-1, 3)
    assert [tuple(pixel) for pixel in rgb.tolist()] == [colour(label) for label in range(256)]
    assert len(np.unique(rgb, axis=0)) == 256 and colour(0) == (0, 0, 0)


def test_a_label_without_an_index_is_refused() -> None:
    with pytest.raises(UserError, match="label 256 exceeds"):
        encode_labels(np.array([[256]]))
