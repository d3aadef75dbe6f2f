"""Results as files: types, quality, resolution."""

import io

import numpy as np
import pytest
from PIL import Image

from limelight.foundation.errors import UserError
from limelight.imaging.encoding import encode
from limelight.imaging.images import read_photo


def picture(channels: int = 3, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Smooth, so that lossy files come near; (height, width)."""
    y, x = np.mgrid[: size[0], : size[1]]
    planes = [2 * y, 3 * x % 200, 255 - y - x, 255 - 3 * y][:channels]
    return np.dstack(planes).astype(np.uint8) if channels > 1 else planes[0].astype(np.uint8)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("file_type", [".png", ".webp", ".jpg", ".jpeg"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_types(file_type: str, channels: int) -> None:
    if channels == 4 and file_type.startswith(".j"):
        with pytest.raises(OSError, match="RGBA"):
            encode(picture(4), file_type)
        return
    pixels = picture(channels)
    image = opened(encode(pixels, file_type))
    assert image.format == {".png": "PNG", ".webp": "WEBP"}.get(file_type, "JPEG")
    decoded = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])).astype(int)
    assert np.abs(decoded - pixels).mean() < (1e-9 if file_type == ".png" or channels == 4 else 6)


def test_quality() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for file_type in (".jpg", ".webp"):
        lengths = [len(encode(noise, file_type, quality=quality)) for quality in (10, 50, 90)]
        assert lengths == sorted(lengths) and 2 * lengths[0] < lengths[-1]
    np.testing.assert_array_equal(np.asarray(opened(encode(noise, ".webp", quality=100))), noise)


@pytest.mark.parametrize("file_type", [".png", ".webp", ".jpg"])
@pytest.mark.parametrize("dpi", [(300, 300), (72, 144)])
def test_resolution_is_kept(file_type: str, dpi: tuple[int, int]) -> None:
    image = opened(encode(picture(), file_type, dpi=dpi))
    image.load()
    exif = image.getexif()
    stored_dpi = image.info["dpi"] if file_type != ".webp" else (exif[282], exif[283])
    np.testing.assert_allclose([float(value) for value in stored_dpi], dpi, rtol=1e-3)
    assert "dpi" not in opened(encode(picture(), ".png")).info


def test_resolution_is_read_and_turned_with_the_picture() -> None:
    for kind in ("PNG", "JPEG", "TIFF"):
        exif = Image.Exif()
        if kind != "TIFF":
            exif[0x0112] = 6
        buffer = io.BytesIO()
        Image.fromarray(picture()).save(buffer, kind, dpi=(72, 144), exif=exif)
        np.testing.assert_allclose(
            read_photo(buffer.getvalue()).dpi, (72, 144) if kind == "TIFF" else (144, 72), rtol=1e-3
        )
    assert read_photo(encode(picture())).dpi is None
    assert read_photo(encode(picture(), ".webp")).dpi is None
    assert read_photo(encode(picture(), ".webp", dpi=(300, 150))).dpi == (300, 150)
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "TIFF", dpi=(70_000, 70_000))
    assert read_photo(buffer.getvalue()).dpi is None, "more than a JPEG can say"


def test_what_a_type_cannot_hold_is_refused() -> None:
    with pytest.raises(UserError, match=r"16384x1 exceeds the 16383 pixels a side of .webp files"):
        encode(np.zeros((1, 16384), np.uint8), ".webp")
