"""Masks of every coding that annotation tools write, by the reader that training and evaluation share."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limelight.evaluation.worker import read_truth
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import write_png
from limelight.imaging.images import read_companion
from limelight.imaging.masks import Coding, decode_mask, read_mask
from tests.profiles import grey_profile

SHAPE = np.array([[0, 0, 1, 1], [0, 1, 1, 0]])
"""What is salient in the masks below."""


def voc_palette() -> list[int]:
    """PASCAL VOC's colours, from its development kit's bit shuffling."""
    index = np.arange(256)
    channels = [sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]
    return np.stack(channels, axis=-1).ravel().tolist()


ADE20K = [0, 0, 0, 120, 120, 120, 180, 120, 120, 6, 230, 230]
GREYS = np.repeat(np.arange(256), 3).tolist()


def indexed(palette: list[int], values: dict[int, int] | None = None, pixels: np.ndarray = SHAPE) -> Image.Image:
    """SHAPE with other indices, under a palette."""
    index = np.vectorize(lambda value: (values or {}).get(value, value))(pixels)
    picture = Image.fromarray(index.astype(np.uint8))
    picture.putpalette(palette)
    return picture


def painted(*colours: tuple[int, ...]) -> Image.Image:
    """SHAPE with a colour for 0 and one for 1."""
    return Image.fromarray(np.uint8(colours)[SHAPE])


def save(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **options)
    return path


PALETTES = {
    "VOC": (indexed(voc_palette()), Coding.INDEX),
    "VOC's grey 7": (indexed(voc_palette(), {1: 7}), Coding.INDEX),
    "VOC, void alone": (indexed(voc_palette(), {1: 255}), Coding.INDEX),
    "ADE20K's grey 1": (indexed(ADE20K), Coding.INDEX),
    "cut to two greys": (indexed([0, 0, 0, 120, 120, 120]), Coding.INDEX),
    "black and white": (indexed([0, 0, 0, 255, 255, 255, 9, 0, 0]), Coding.LEVELS),
    "white and black": (indexed([255, 255, 255, 0, 0, 0], {0: 1, 1: 0}), Coding.LEVELS),
    "nearly black and white": (indexed([253, 253, 253, 0, 0, 0], {0: 1, 1: 0}), Coding.LEVELS),
    "all greys": (indexed(GREYS, {1: 255}), Coding.LEVELS),
    "all greys, ones": (indexed(GREYS), Coding.ONES),
    "coloured background": (indexed([90, 0, 90, 255, 255, 0]), Coding.INDEX),
    "a black class": (indexed([0, 0, 0, 255, 0, 0, 0, 0, 0], {1: 2}), Coding.INDEX),
    "web": (painted((0,) * 3, (255,) * 3).convert("P"), Coding.LEVELS),
    "adaptive": (painted((0,) * 3, (255,) * 3).convert("P", palette=Image.Palette.ADAPTIVE), Coding.LEVELS),
    "web, red": (painted((0,) * 3, (255, 0, 0)).convert("P"), Coding.INDEX),
    "adaptive, red": (painted((0,) * 3, (255, 0, 0)).convert("P", palette=Image.Palette.ADAPTIVE), Coding.INDEX),
}


@pytest.mark.parametrize("suffix", ["png", "gif", "tif", "bmp"])
@pytest.mark.parametrize("name", PALETTES)
def test_palettes_are_labels_or_levels(tmp_path: Path, name: str, suffix: str):
    picture, coding = PALETTES[name]
    path = save(picture, tmp_path / f"mask.{suffix}")
    np.testing.assert_allclose(read_mask(path), SHAPE, atol=0.01)
    np.testing.assert_allclose(read_truth(path), 255 * SHAPE, atol=2)
    assert decode_mask(path).coding == coding


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_packed_palette_with_a_transparent_background(tmp_path: Path, bits: int):
    path = save(indexed(voc_palette()[: 3 << bits]), tmp_path / "mask.png", bits=bits, transparency=0)
    np.testing.assert_array_equal(read_mask(path), SHAPE)


@pytest.mark.parametrize(
    ("palette", "values", "expected"),
    [
        (voc_palette(), [0, 1, 15, 255], [0, 1, 1, 0]),  # the border is void beside an object
        (voc_palette(), [0, 255, 255, 0], [0, 1, 1, 0]),  # and the object where there is no other
        (voc_palette(), [0, 0, 0, 0], [0, 0, 0, 0]),
        (voc_palette(), [3, 3, 3, 3], [1, 1, 1, 1]),
        (GREYS, [0, 51, 204, 255], [0, 0.2, 0.8, 1]),  # soft
        ([0, 0, 0, 0, 0, 9, 51, 51, 51, 255, 255, 255], [0, 2, 3, 3], [0, 0.2, 1, 1]),
    ],
)
def test_values_of_palettes(tmp_path: Path, palette: list[int], values: list[int], expected: list[float]):
    path = save(indexed(palette, pixels=np.array([values])), tmp_path / "mask.png")
    np.testing.assert_allclose(read_mask(path), [expected], atol=1e-6)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.uint8([0, 1, 1]), [0, 1, 1]),
        (np.uint8([0, 85, 255]), [0, 1 / 3, 1]),
        (np.uint8([0, 0, 254]), [0, 0, 254 / 255]),
        (np.uint8([0, 0, 128]), [0, 0, 128 / 255]),
        (np.uint8([0, 38, 38]), [0, 38 / 255, 38 / 255]),
        (np.uint8([0, 0, 0]), [0, 0, 0]),
        (np.uint16([0, 1, 1]), [0, 1, 1]),
        (np.uint16([0, 51, 255]), [0, 0.2, 1]),
        (np.uint16([0, 256, 65535]), [0, 256 / 65535, 1]),
        (np.uint16([0, 0, 0]), [0, 0, 0]),
        (np.int32([0, 1, 1]), [0, 1, 1]),
        (np.int32([0, 255, 255]), [0, 1, 1]),
        (np.int32([0, 13107, 65535]), [0, 0.2, 1]),
        (np.float32([0, 0.25, 1]), [0, 0.25, 1]),
        (np.float32([0, 0.25, 0.25]), [0, 0.25, 0.25]),
        (np.float32([0, 127.5, 255]), [0, 0.5, 1]),
        (np.float32([-0.001, 0.5, 1.002]), [0, 0.5, 1]),  # as resizing leaves it
    ],
)
def test_the_full_level_follows_from_depth_and_maximum(tmp_path: Path, stored: np.ndarray, expected: list[float]):
    path = save(Image.fromarray(stored[None]), tmp_path / "mask.tif")
    np.testing.assert_allclose(read_mask(path), [expected], atol=1e-6)
    np.testing.assert_array_equal(read_truth(path), np.rint(255 * np.float32([expected])))
    if stored.dtype in (np.uint8, np.uint16):
        write_png(tmp_path / "mask.png", stored[None])
        np.testing.assert_allclose(read_mask(tmp_path / "mask.png"), [expected], atol=1e-6)
        share = stored.max() / np.iinfo(stored.dtype).max
        assert read_companion(tmp_path / "mask.png").max() == pytest.approx(share), (
            "of depth the bit depth alone counts"
        )


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("profile", [None, grey_profile(2.2)])
def test_ones_of_narrow_grey(tmp_path: Path, bits: int, profile: bytes | None):
    header = struct.pack(">IIBBBBB", 3, 1, bits, 0, 0, 0, 0)
    row = sum(1 << (8 - bits * (place + 1)) for place in (1, 2)) if bits < 4 else 0x0110
    body = zlib.compress(b"\0" + row.to_bytes(1 if bits < 4 else 2, "big"))
    chunks = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    if profile:
        chunks.insert(1, (b"iCCP", b"grey\0\0" + zlib.compress(profile)))
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    (tmp_path / "mask.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), [[0, 1, 1]])


@pytest.mark.parametrize("numbers", [[0, 70000], [-1, 0], [np.nan, 1], [0, np.inf]])
def test_numbers_without_a_known_maximum_are_refused(tmp_path: Path, numbers: list[float]):
    path = save(Image.fromarray(np.float32([numbers])), tmp_path / "mask.tif")
    with pytest.raises(UserError, match=r"mask .*mask\.tif holds numbers from .* to .*; store them in \[0, 1\]"):
        read_mask(path)


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (200, 0, 0)


@pytest.mark.parametrize(
    ("colours", "coding"),
    [
        ((BLACK, WHITE), Coding.LEVELS),
        (((0, 0, 0), (1, 1, 1)), Coding.ONES),
        ((BLACK, (128, 0, 0)), Coding.COLOUR),  # VOC's masks as RGB
        (((*BLACK, 255), (*WHITE, 255)), Coding.LEVELS),
        (((*BLACK, 0), (*WHITE, 255)), Coding.LEVELS),
        (((*BLACK, 255), (*RED, 255)), Coding.COLOUR),
        (((*BLACK, 0), (*BLACK, 255)), Coding.ALPHA),
        (((*WHITE, 0), (*WHITE, 255)), Coding.ALPHA),
        (((*BLACK, 0), (*RED, 255)), Coding.ALPHA),  # a cut-out
        (((0, 255), (255, 255)), Coding.LEVELS),
        (((9, 0), (9, 255)), Coding.ALPHA),
    ],
)
@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("tif", {}), ("webp", {"lossless": True, "exact": True})])
def test_colours_and_transparency(
    tmp_path: Path, colours: tuple[tuple[int, ...], ...], coding: Coding, suffix: str, options: dict[str, bool]
):
    path = save(painted(*colours), tmp_path / f"mask.{suffix}", **options)
    np.testing.assert_array_equal(read_mask(path), SHAPE)
    np.testing.assert_array_equal(read_truth(path), 255 * SHAPE)
    assert decode_mask(path).coding == coding


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_16_bits_with_transparency(tmp_path: Path, top: int):
    grey = np.uint16([0, top])[SHAPE]
    write_png(tmp_path / "mask.png", np.dstack([grey, grey, grey, np.full_like(grey, 65535)]))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), SHAPE)
    write_png(tmp_path / "mask.png", np.dstack([np.full((*SHAPE.shape, 3), 7, np.uint16), grey]))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), SHAPE)


def test_colours_that_are_no_labels_count_by_luminance(tmp_path: Path):
    """Two colours of a colour map, of which neither is black; and a picture."""
    mask = decode_mask(save(painted((68, 1, 84), (253, 231, 37)), tmp_path / "mask.png"))
    assert mask.coding == Coding.LUMINANCE and mask.level_HW.min() < 0.2 and mask.level_HW.max() > 0.8
    write_png(tmp_path / "mask.png", np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    assert decode_mask(tmp_path / "mask.png").coding == Coding.LUMINANCE


def test_voc_border_in_colours_is_void(tmp_path: Path):
    colours = np.uint8([[BLACK, (128, 0, 0), (224, 224, 192), BLACK]])
    np.testing.assert_array_equal(read_mask(save(Image.fromarray(colours), tmp_path / "mask.png")), [[0, 1, 0, 0]])


def test_grey_that_went_through_a_colour_jpeg_keeps_its_levels(tmp_path: Path):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None], (48, 1, 3))
    mask = decode_mask(save(Image.fromarray(ramp), tmp_path / "mask.jpg"))
    np.testing.assert_allclose(mask.level_HW, ramp[..., 0] / 255, atol=0.02)


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "RGBA"])
def test_damaged_and_turned_masks(tmp_path: Path, mode: str):
    tall = Image.fromarray(np.tile(np.uint8([[0, 255, 255]]), (2, 1))).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tall, tmp_path / "mask.png", exif=exif)
    np.testing.assert_array_equal(read_mask(path), [[0, 0], [1, 1], [1, 1]])
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)).convert(mode)
    path = save(noisy, tmp_path / "cut.png")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"cannot read .*cut\.png"):
        read_mask(path)


def test_mask_of_another_size_follows_the_picture(tmp_path):
    half = np.zeros((30, 40), np.uint8)
    half[:, 20:] = 255
    write_png(tmp_path / "half.png", half)
    assert read_mask(tmp_path / "half.png").shape == (30, 40)
    doubled = read_mask(tmp_path / "half.png", size=(60, 80))
    assert doubled.shape == (60, 80) and doubled[:, :38].max() == 0 and doubled[:, 42:].min() == 1
    shrunk = read_mask(tmp_path / "half.png", size=(15, 20))
    np.testing.assert_array_equal(shrunk, np.repeat([[0, 1]], 10, 1).repeat(15, 0).reshape(15, 20))
    with pytest.raises(UserError, match=r"half\.png is 40x30 and its picture 60x60"):
        read_mask(tmp_path / "half.png", size=(60, 60))
