"""Colour profiles: the values that colour management software gives."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from limelight.imaging.colour import BROKEN_PROFILE, _transform
from limelight.imaging.images import read_image, read_photo
from limelight.imaging.masks import read_mask
from tests.profiles import cmyk_profile, grey_profile, rgb_profile

RED = (200, 60, 40)
IN_SRGB = {"sRGB": RED, "Display P3": (217, 42, 23), "Adobe RGB": (231, 57, 34)}
LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("name", IN_SRGB)
def test_pixels_are_brought_to_srgb(name: str, kind: str) -> None:
    data = encoded(Image.new("RGB", (8, 8), RED), kind, icc_profile=rgb_profile(name), **LOSSLESS[kind])
    photo = read_photo(data)
    assert np.abs(photo.image_HW3.astype(int) - IN_SRGB[name]).max() <= 1
    assert not photo.notes


@pytest.mark.parametrize(("mode", "colour"), [("P", RED), ("RGBA", (*RED, 255)), ("RGBA", (*RED, 128))])
def test_palettes_and_transparent_pictures_too(mode: str, colour: tuple[int, ...]) -> None:
    picture = Image.new("RGBA" if mode == "RGBA" else "RGB", (8, 8), colour)
    if mode == "P":
        picture = picture.quantize(2)
    photo = read_photo(encoded(picture, icc_profile=rgb_profile("Display P3")))
    seen = photo.image_HW3 if photo.transparency is None else photo.transparency.colours_HW3
    assert np.abs(seen.astype(int) - IN_SRGB["Display P3"]).max() <= 1


def test_16_bits_and_jpeg() -> None:
    import cv2

    wide = np.full((8, 8, 3), RED[::-1], np.uint16) * 257
    png = cv2.imencode(".png", wide)[1].tobytes()
    profile = encoded(Image.new("RGB", (1, 1)), icc_profile=rgb_profile("Adobe RGB"))
    start = profile.index(b"iCCP") - 4
    chunk = profile[start : start + 12 + int.from_bytes(profile[start : start + 4])]
    assert np.abs(read_image(png[:33] + chunk + png[33:]).astype(int) - IN_SRGB["Adobe RGB"]).max() <= 1
    jpeg = encoded(Image.new("RGB", (16, 16), RED), "JPEG", quality=100, icc_profile=rgb_profile("Adobe RGB"))
    assert np.abs(read_image(jpeg).astype(int) - IN_SRGB["Adobe RGB"]).max() <= 3, "JPEG itself loses 1"


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profiles(mode: str) -> None:
    """Linear light, of which sRGB's curve is known in closed form (IEC 61966-2-1)."""
    picture = Image.new(mode, (8, 8), 100 if mode == "L" else (100, 255))
    expected = 255 * (1.055 * (100 / 255) ** (1 / 2.4) - 0.055)
    photo = read_photo(encoded(picture, icc_profile=grey_profile(1.0)))
    assert np.abs(photo.image_HW3 - expected).max() <= 1 and not photo.notes
    assert np.abs(read_image(encoded(Image.new("L", (8, 8), 100), icc_profile=rgb_profile("sRGB"))) - 100.0).max() <= 1


def test_cmyk_profiles() -> None:
    """The red of offset print, which without its profile would be (255, 0, 0)."""
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for kind, options in (("TIFF", {}), ("JPEG", {"quality": 100})):
        image = read_image(encoded(red, kind, icc_profile=cmyk_profile({(0, 1, 1, 0): (48, 68, 48)}), **options))
        assert np.abs(image.astype(int) - lab_to_srgb(48, 68, 48)).max() <= 4


def lab_to_srgb(lightness: float, a: float, b: float) -> np.ndarray:
    """CIE Lab of white D50 in sRGB (CIE 15:2004; IEC 61966-2-1 with Bradford's adaptation)."""
    y = (lightness + 16) / 116
    xyz = np.array([0.9642, 1, 0.8249]) * np.array([y + a / 500, y, y - b / 200]) ** 3
    to_rgb = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = np.clip(np.array(to_rgb) @ xyz, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("profile", [b"nonsense" * 30, rgb_profile("Display P3")[:200], grey_profile(2.2)])
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP"])
def test_profiles_that_cannot_be_used_are_ignored_with_a_note(kind: str, profile: bytes) -> None:
    plain = encoded(Image.new("RGB", (8, 8), RED), kind)
    photo = read_photo(encoded(Image.new("RGB", (8, 8), RED), kind, icc_profile=profile))
    np.testing.assert_array_equal(photo.image_HW3, read_image(plain))
    assert photo.notes == (BROKEN_PROFILE,)


def test_pngs_say_nothing_of_their_profiles(capfd: pytest.CaptureFixture[str]) -> None:
    """OpenCV's decoder would, on standard error."""
    data = encoded(Image.new("RGB", (8, 8), RED), icc_profile=rgb_profile("Display P3"))
    start = data.index(b"iCCP") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    chunk = b"iCCP" + b"name\0\0" + b"not compressed"
    damaged = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    photo = read_photo(data[:start] + damaged + data[end:])
    assert (photo.image_HW3 == RED).all() and photo.notes == (BROKEN_PROFILE,)
    read_photo(encoded(Image.new("L", (8, 8), 9), icc_profile=rgb_profile("Adobe RGB")))
    assert capfd.readouterr().err == ""


def test_profiles_of_jpeg_2000_and_large_ones_of_png() -> None:
    large = rgb_profile("Display P3")
    large = (len(large) + (1 << 20)).to_bytes(4) + large[4:] + bytes(1 << 20)
    jp2 = encoded(Image.new("RGB", (8, 8), RED), "JPEG2000")
    at = jp2.index(b"colr") - 4
    length, profile = int.from_bytes(jp2[at : at + 4]), rgb_profile("Display P3")
    box = (11 + len(profile)).to_bytes(4) + b"colr\2\0\0" + profile
    head = jp2.index(b"jp2h") - 4
    grown = (int.from_bytes(jp2[head : head + 4]) + len(box) - length).to_bytes(4)
    jp2 = jp2[:head] + grown + jp2[head + 4 : at] + box + jp2[at + length :]
    for data in (jp2, encoded(Image.new("RGB", (8, 8), RED), icc_profile=large)):
        photo = read_photo(data)
        assert np.abs(photo.image_HW3.astype(int) - IN_SRGB["Display P3"]).max() <= 1 and not photo.notes


def test_a_jpeg_that_lacks_a_part_of_its_profile_is_read_without_it() -> None:
    data = encoded(Image.new("RGB", (16, 16), RED), "JPEG", icc_profile=rgb_profile("Display P3"))
    counts = data.index(b"ICC_PROFILE\0") + 12
    photo = read_photo(data[:counts] + b"\1\2" + data[counts + 2 :])  # the first of two
    np.testing.assert_array_equal(photo.image_HW3, read_image(encoded(Image.new("RGB", (16, 16), RED), "JPEG")))
    assert photo.notes == (BROKEN_PROFILE,)


def test_srgb_costs_nothing() -> None:
    assert _transform(rgb_profile("sRGB"), "RGB") is None
    assert _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "RGB") is None
    assert _transform(rgb_profile("Display P3"), "RGB") is _transform(rgb_profile("Display P3"), "RGB")


def test_masks_are_numbers_that_no_profile_changes(tmp_path) -> None:
    Image.new("L", (8, 8), 100).save(tmp_path / "mask.png", icc_profile=grey_profile(1.0))
    np.testing.assert_allclose(read_mask(tmp_path / "mask.png"), 100 / 255)
