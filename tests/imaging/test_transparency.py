"""Pictures that are transparent in parts: nothing hidden is ever shown, and what is visible can be found."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from limelight.imaging.images import read_image, read_photo
from limelight.imaging.transparency import Transparency, on_ground
from limelight.media.outputs import KINDS, output

SECRET = (255, 0, 255)
"""Of pixels that the user has hidden."""


def logo(colour: tuple[int, int, int] = (0, 0, 0), size: int = 60) -> np.ndarray:
    """RGBA: a disc with a soft rim; outside of it, fully hidden, the secret."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    opacity = np.clip((size / 3 - np.hypot(x, y)) / 6 + 0.5, 0, 1)
    pixels = np.where(opacity[..., None] > 0, np.uint8(colour), np.uint8(SECRET))
    return np.dstack((pixels, np.rint(opacity * 255).astype(np.uint8)))


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png_of_16_bits(pixels: np.ndarray, key: tuple[int, ...]) -> bytes:
    """(H, W, 1) or (H, W, 3), with a transparent colour; `key` in 8 bits."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    keyed = np.multiply(key, 257).astype(">u2").tobytes()
    return png_of_chunks(width, height, 16, 2 if channels == 3 else 0, keyed, rows)


def png_of_chunks(width: int, height: int, depth: int, colour_type: int, key: bytes, rows: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    pixels = chunk(b"tRNS", key) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + pixels


def narrow(opaque_HW: np.ndarray) -> bytes:
    """Black where opaque, else the level 3 of 15, which is transparent."""
    pixels = np.where(opaque_HW, 0, 3).astype(np.uint8)
    packed = (pixels[:, ::2] << 4 | pixels[:, 1::2]).tobytes()
    rows = b"".join(b"\0" + packed[at : at + 30] for at in range(0, len(packed), 30))
    return png_of_chunks(60, 60, 4, 0, (3).to_bytes(2), rows)


def files() -> dict[str, bytes]:
    """The same picture, hard at its rim, in every way of being transparent."""
    rgba = logo()
    rgba[..., 3] = np.where(rgba[..., 3] > 127, 255, 0)
    rgba[rgba[..., 3] == 255, :3] = 0
    picture, opaque = Image.fromarray(rgba), rgba[..., 3] > 0
    grey = Image.fromarray(np.dstack((np.where(opaque, 0, 255).astype(np.uint8), rgba[..., 3])), "LA")
    palette = Image.fromarray(np.where(opaque, 0, 1).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, *SECRET])
    keyed = Image.fromarray(np.where(opaque[..., None], np.uint8(0), np.uint8(SECRET)))
    wide_keyed = np.where(opaque[..., None], 0, np.multiply(SECRET, 257))
    floats = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA) / np.float32(255)
    wide = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA).astype(np.uint16) * 257)[1].tobytes()
    return {
        "PNG": encoded(picture, "PNG"),
        "PNG of 16 bits": wide,
        "PNG grey": encoded(grey, "PNG"),
        "PNG palette": encoded(palette, "PNG", transparency=1),
        "PNG with a key colour": encoded(keyed, "PNG", transparency=SECRET),
        "PNG of 16 bits with a key colour": png_of_16_bits(wide_keyed, SECRET),
        "PNG of 16 bits, grey, with a key level": png_of_16_bits(np.where(opaque, 0, 65535)[..., None], (255,)),
        "PNG of 4 bits, grey, with a key level": narrow(opaque),
        "TIFF of floats": cv2.imencode(".tiff", floats)[1].tobytes(),
        "WebP": encoded(picture, "WEBP", lossless=True, exact=True),
        "GIF": encoded(palette, "GIF", transparency=1),
        "TIFF": encoded(picture, "TIFF"),
        "AVIF": encoded(picture, "AVIF", quality=100),
    }


@pytest.mark.parametrize("name", files())
def test_every_file_that_can_be_transparent(name: str) -> None:
    photo = read_photo(files()[name])
    inside = logo()[..., 3] > 250
    outside = logo()[..., 3] == 0
    assert (photo.transparency.opacity_HW[inside] == 255).all()
    assert (photo.transparency.opacity_HW[outside] == 0).all()
    assert (photo.transparency.colours_HW3[outside] == 0).all(), "the secret is in memory still"
    assert (photo.image_HW3[outside] == 255).all(), "black is not laid on white"
    assert photo.image_HW3[inside].max() < 8


@pytest.mark.parametrize(("colour", "ground"), [((0, 0, 0), 255), ((255, 255, 255), 0), ((200, 30, 20), 255)])
def test_the_ground_lets_the_object_stand_out(colour: tuple[int, int, int], ground: int) -> None:
    image = read_image(encoded(Image.fromarray(logo(colour)), "PNG"))
    assert (image[0, 0] == ground).all() and (image[30, 30] == colour).all()


def test_black_and_white_are_laid_on_grey() -> None:
    rgba = logo()
    rgba[:, 30:, :3] = 255
    assert (read_image(encoded(Image.fromarray(rgba), "PNG"))[0, 0] == 128).all()


def test_opaque_alpha_is_none() -> None:
    rgba = np.dstack((logo()[..., :3], np.full((60, 60), 255, np.uint8)))
    photo = read_photo(encoded(Image.fromarray(rgba), "PNG"))
    assert photo.transparency is None
    np.testing.assert_array_equal(photo.image_HW3, rgba[..., :3])


def test_orientation_turns_the_opacity_too() -> None:
    rgba = logo()
    rgba[:20, :, 3] = 0
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = read_photo(encoded(Image.fromarray(rgba), "PNG", exif=exif))
    np.testing.assert_array_equal(photo.transparency.opacity_HW, np.rot90(rgba[..., 3], -1))


@pytest.mark.parametrize("kind", [*KINDS, "#102030"])
def test_hidden_pixels_never_show(kind: str) -> None:
    """Whatever the network says of them: here, that all is salient."""
    rgba = logo((90, 140, 60))
    rgba[..., 3] = np.where(rgba[..., 3] > 127, 255, 0)
    photo = read_photo(encoded(Image.fromarray(rgba), "PNG"))
    made = output(kind).render(photo.image_HW3, np.ones((60, 60), np.float32), photo.transparency)
    other = rgba.copy()
    other[other[..., 3] == 0, :3] = 7, 77, 177
    photo = read_photo(encoded(Image.fromarray(other), "PNG"))
    again = output(kind).render(photo.image_HW3, np.ones((60, 60), np.float32), photo.transparency)
    np.testing.assert_array_equal(made, again)


def test_alpha_is_saliency_times_opacity() -> None:
    photo = read_photo(encoded(Image.fromarray(logo()), "PNG"))
    saliency = np.full((60, 60), 0.5, np.float32)
    cut = output("rgba").render(photo.image_HW3, saliency, photo.transparency)
    expected = np.rint(0.5 * photo.transparency.opacity_HW)
    assert np.abs(cut[..., 3] - expected).max() <= 1
    np.testing.assert_array_equal(output("map").render(photo.image_HW3, saliency, photo.transparency), cut[..., 3])
    raw = output("npy").render(photo.image_HW3, saliency, photo.transparency)
    np.testing.assert_allclose(raw, 0.5 * photo.transparency.opacity_HW / 255, rtol=1e-6)


def test_a_cut_out_cut_out_again_is_the_same() -> None:
    """Soft rims keep their own colours; laid on white, they would come back paler."""
    rgba = logo((200, 30, 20))
    photo = read_photo(encoded(Image.fromarray(rgba), "PNG"))
    again = output("rgba").render(photo.image_HW3, np.ones((60, 60), np.float32), photo.transparency)
    np.testing.assert_array_equal(again[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(again[rgba[..., 3] > 0], rgba[rgba[..., 3] > 0])
    assert not again[rgba[..., 3] == 0].any()


def test_on_a_ground_at_the_network_size() -> None:
    photo = read_photo(encoded(Image.fromarray(logo((200, 30, 20))), "PNG"))
    small = photo.transparency.resized((15, 20))
    assert small.opacity_HW.shape == (15, 20) and small.colours_HW3.shape == (15, 20, 3)
    shown = small.opacity_HW > 8
    assert np.abs(small.colours_HW3[shown].astype(int) - (200, 30, 20)).max() <= 8, "hidden neighbours darken it"


def test_nothing_but_hidden_pixels(tmp_path: Path) -> None:
    image, transparency = on_ground(np.full((4, 4, 3), 9, np.uint8), np.zeros((4, 4), np.uint8))
    assert (image == 255).all() and not transparency.colours_HW3.any()
    ones = np.ones((4, 4), np.float32)
    assert not output("rgba").render(image, ones, transparency).any()
    assert (output("green").render(image, ones, Transparency(*transparency)) == (120, 255, 155)).all()
