"""TIFFs beyond 8 bits: read as they are stored, or refused with what they are."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile

from limelight.foundation.errors import UserError
from limelight.imaging.images import image_size, read_image, read_photo
from limelight.imaging.masks import read_mask
from tests.profiles import rgb_profile

COLOURS = np.random.default_rng(0).random((9, 12, 3))


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **{"photometric": "rgb" if pixels.ndim == 3 else "minisblack", **options})
    return buffer.getvalue()


def wide(share: np.ndarray) -> np.ndarray:
    return np.rint(share * 65535).astype(np.uint16)


@pytest.mark.parametrize(
    "options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"compression": "zlib"}, {"tile": (16, 16)}]
)
@pytest.mark.parametrize("kind", ["u2", "f4", "f8"])
def test_colour_of_more_than_8_bits(kind: str, options: dict[str, Any]) -> None:
    stored = wide(COLOURS) if kind == "u2" else COLOURS.astype(kind)
    data = tiff(stored, **options)
    assert np.abs(read_image(data) - 255 * COLOURS).max() <= 0.51
    assert image_size(data) == (9, 12)


def test_colours_that_were_multiplied_by_alpha_are_divided_again() -> None:
    alpha = np.full((9, 12, 1), 0.5)
    for kind in ("u2", "f4"):
        share = np.dstack((COLOURS * alpha, alpha))
        stored = wide(share) if kind == "u2" else share.astype(kind)
        transparency = read_photo(tiff(stored, extrasamples=["assocalpha"])).transparency
        assert np.abs(transparency.opacity_HW.astype(int) - 128).max() <= 1
        assert np.abs(transparency.colours_HW3 - 255 * COLOURS).max() <= 1.01


def test_a_profile_is_applied_to_floats_too() -> None:
    red = np.full((4, 4, 3), np.float32([200, 60, 40]) / 255)
    profile = rgb_profile("Display P3")
    image = read_image(tiff(red.astype(np.float32), iccprofile=profile))
    assert np.abs(image.astype(int) - (217, 42, 23)).max() <= 1


def test_unsigned_integers_of_32_bits_are_not_read_as_signed() -> None:
    ramp = np.linspace(0, 2**32 - 1, 12).astype(np.uint32).reshape(3, 4)
    np.testing.assert_array_equal(read_image(tiff(ramp))[..., 0], np.rint(np.linspace(0, 255, 12)).reshape(3, 4))


def test_white_is_zero(tmp_path) -> None:
    shape = np.zeros((4, 6), np.uint16)
    shape[1:3, 2:4] = 65535
    (tmp_path / "mask.tif").write_bytes(tiff(65535 - shape, photometric="miniswhite"))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.tif"), shape / 65535)


@pytest.mark.parametrize(
    ("pixels", "options", "reason"),
    [
        (wide(COLOURS).transpose(2, 0, 1), {"planarconfig": "separate"}, "its channels are stored apart"),
        (COLOURS.astype("f4").transpose(2, 0, 1), {"planarconfig": "separate"}, "its channels are stored apart"),
        (COLOURS.astype("f2"), {}, "3 x 16-bit floats is not read"),
        (COLOURS.astype("u4"), {}, "3 x 32-bit unsigned integers is not read"),
    ],
)
def test_what_would_be_scrambled_is_refused(pixels: np.ndarray, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=f"cannot read the image: .*{reason}.*; convert it"):
        read_image(tiff(pixels, **options))
