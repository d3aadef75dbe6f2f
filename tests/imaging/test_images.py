import contextlib
import io
import os
import struct
import subprocess
import sys
import time
import zlib

import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from limelight.foundation.errors import UserError
from limelight.imaging.companions import fit_to
from limelight.imaging.encoding import encode, write_png
from limelight.imaging.header import open_picture
from limelight.imaging.images import image_size, read_companion, read_image, read_photo

SIDES = st.integers(1, 40)
FEW = settings(max_examples=60, deadline=None)


def noise(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def oriented(tag: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = tag
    return exif


def by_pillow(data: bytes) -> np.ndarray:
    """The reference: Pillow alone."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def png(width: int, height: int, depth: int, colour_type: int, rows: list[bytes]) -> bytes:
    """A PNG by hand, for kinds that no writer at hand makes."""
    return png_of(width, height, zlib.compress(b"".join(b"\0" + row for row in rows)), depth, colour_type)


def png_of(width: int, height: int, pixels: bytes, depth: int = 8, colour_type: int = 2) -> bytes:
    """The same, of compressed rows."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@FEW
@given(
    SIDES,
    SIDES,
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"]),
    st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"]),
    st.integers(1, 8),
)
def test_every_kind_is_what_pillow_shows_upright(height, width, mode, kind, orientation):
    """Also proves that the OpenCV path gives Pillow's pixels."""
    picture = Image.fromarray(noise(height, width)).convert(mode)
    exif = {} if kind in ("BMP", "GIF") else {"exif": oriented(orientation)}
    try:
        data = encoded(picture, kind, **exif)
    except (OSError, ValueError):
        return  # a mode that this format cannot hold
    photo = read_photo(data)
    image = photo.image_HW3 if photo.transparency is None else photo.transparency.colours_HW3
    assert image.dtype == np.uint8 and image.flags.c_contiguous
    shown = ... if photo.transparency is None else photo.transparency.opacity_HW > 0
    np.testing.assert_array_equal(image[shown], by_pillow(data)[shown])
    assert image_size(data) == image.shape[:2]


@FEW
@given(SIDES, SIDES, st.sampled_from([0, 1, 2]), st.booleans(), st.integers(20, 100))
def test_jpeg_pixels_do_not_depend_on_the_decoder(height, width, subsampling, progressive, quality):
    picture = Image.fromarray(noise(height, width))
    data = encoded(picture, "JPEG", subsampling=subsampling, progressive=progressive, quality=quality)
    np.testing.assert_array_equal(read_image(data), by_pillow(data))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_orientation_turns_a_known_picture_upright(kind, orientation):
    upright = noise(5, 7)
    undo = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1],
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: upright.swapaxes(0, 1)[:, ::-1],
    }
    lossless = {"lossless": True} if kind == "WEBP" else {}
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation]))
    data = encoded(stored, kind, exif=oriented(orientation), **lossless)
    np.testing.assert_array_equal(read_image(data), upright)
    assert image_size(data) == (5, 7)


def test_a_damaged_orientation_is_no_reason_to_refuse_the_picture():
    data = encoded(Image.fromarray(noise(5, 7)), "PNG", exif=b"Exif\0\0nonsense")
    np.testing.assert_array_equal(read_image(data), noise(5, 7))


@FEW
@given(SIDES, SIDES, st.sampled_from([1, 3, 4]), st.sampled_from([".png", ".tiff"]), st.integers(0, 99))
def test_16_bits_are_rounded_not_cut(height, width, channels, extension, seed):
    shape = (height, width, channels) if channels > 1 else (height, width)
    stored = np.random.default_rng(seed).integers(0, 65536, shape, np.uint16)
    if channels == 4:
        stored[..., 3] = 65535
    data = cv2.imencode(extension, stored)[1].tobytes()
    rgb = stored[..., 2::-1] if channels > 1 else np.repeat(stored[..., None], 3, 2)
    np.testing.assert_array_equal(read_image(data), np.floor(rgb / 257 + 0.5).astype(np.uint8))


def test_16_bit_grey_with_alpha():
    stored = np.random.default_rng(0).integers(0, 65536, (3, 4, 2))
    data = png(4, 3, 16, 4, [row.astype(">u2").tobytes() for row in stored])
    grey_HW, opacity_HW = np.floor(stored / 257 + 0.5).astype(np.uint8).transpose(2, 0, 1)
    transparency = read_photo(data).transparency
    np.testing.assert_array_equal(transparency.opacity_HW, opacity_HW)
    np.testing.assert_array_equal(transparency.colours_HW3[..., 1], np.where(opacity_HW > 0, grey_HW, 0))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_of_grey_span_the_whole_range(depth):
    data = png(8 // depth, 1, depth, 0, [b"\xff"])
    assert (read_image(data) == 255).all()


def test_cmyk_as_photoshop_writes_it_is_not_inverted():
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    data = encoded(red, "JPEG", quality=100)
    assert b"Adobe" in data  # the marker by which readers know that the values are inverted
    assert np.abs(read_image(data).astype(int) - (255, 0, 0)).max() <= 3


def test_an_animation_is_its_first_frame():
    first, second = (Image.fromarray(noise(6, 6, seed=seed)) for seed in (1, 2))
    for kind in ("PNG", "WEBP"):
        lossless = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(first, kind, save_all=True, append_images=[second], **lossless)
        photo = read_photo(data)
        np.testing.assert_array_equal(photo.image_HW3, np.asarray(first))
        assert photo.omitted.startswith("only the first of its 2 pictures was used")


def test_pages_count_and_their_smaller_copies_do_not():
    first, second = (Image.fromarray(noise(6, 6, seed=seed)) for seed in (1, 2))
    assert (
        "first of its 3 pictures"
        in read_photo(encoded(first, "TIFF", save_all=True, append_images=2 * [second])).omitted
    )
    copy = second.copy()
    copy.encoderinfo = {"tiffinfo": {254: 1}}  # NewSubfileType: a smaller copy
    assert read_photo(encoded(first, "TIFF", save_all=True, append_images=[copy])).omitted is None
    assert read_photo(encoded(first, "MPO", save_all=True, append_images=[second])).omitted is None


def gif_of(frames: int) -> bytes:
    """A GIF of frames of one pixel: its header with two colours, and the frames after the first one."""
    frame = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frames * frame + b";"


def tiff_of(pages: int) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((pages, 4, 4), np.uint8), photometric="minisblack", metadata=None)
    return buffer.getvalue()


@pytest.mark.parametrize("made", [gif_of, tiff_of])
def test_a_large_number_of_pictures_is_not_counted(made):
    known = "only the first of its {} pictures was used; save the others as files of their own"
    assert read_photo(made(100)).omitted == known.format(100)
    many = made(20_000 if made is gif_of else 4000)
    started = time.process_time()
    assert read_photo(many).omitted == known.format("more than 100")
    assert time.process_time() - started < 0.5, "the time grows with their number"


def test_float_pixels():
    ramp = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    rounded = np.rint(ramp * 255)
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(ramp), "TIFF"))[..., 0], rounded)
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(ramp * 900 - 3), "TIFF"))[..., 0], rounded)
    colour = np.stack((ramp, ramp[::-1], 1 - ramp), -1)
    for depth in (np.float32, np.float64):
        data = cv2.imencode(".tiff", colour[..., ::-1].astype(depth))[1].tobytes()
        np.testing.assert_array_equal(read_image(data), np.rint(colour * 255))
        assert image_size(data) == (3, 4)
    with pytest.raises(UserError, match="12 pixels, above the limit of 11"):
        read_image(data, max_pixels=11)
    ramp[1, 1] = np.nan
    with pytest.raises(UserError, match="not finite"):
        read_image(encoded(Image.fromarray(ramp), "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.4, 0.8, 0.97])
def test_a_file_cut_short_is_refused_whole(tmp_path, kind, share):
    pillow_heif.register_heif_opener()  # to write one
    data = encoded(Image.fromarray(noise(64, 64)), kind)
    path = tmp_path / "cut.png"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"cut\.png.*; .*replace") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@FEW
@given(st.binary(max_size=300), st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]), st.data())
def test_damage_gives_a_picture_or_a_user_error(junk, kind, draw):
    data = bytearray(encoded(Image.fromarray(noise(16, 16)), kind))
    at = draw.draw(st.integers(0, len(data)))
    data[at : at + len(junk)] = junk
    with contextlib.suppress(UserError):
        assert read_image(bytes(data), max_pixels=1_000_000).dtype == np.uint8


def test_limits_come_before_the_work(tmp_path):
    bomb = png(50_000, 50_000, 8, 2, [])
    with pytest.raises(UserError, match="pixels"):
        read_image(bomb)
    modest = png(9_000, 6_000, 8, 2, [])  # below Pillow's own limit
    with pytest.raises(UserError, match="54000000 pixels, above the limit of 50000000"):
        image_size(modest)
    data = encoded(Image.fromarray(noise(8, 8)), "PNG")
    with pytest.raises(UserError, match="above the limit of 10"):
        read_image(data, max_bytes=10)
    with pytest.raises(UserError, match="above the limit of 63"):
        read_image(data, max_pixels=63)
    assert read_image(data, max_pixels=64).shape == (8, 8, 3)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "PCX", "TGA"])
def test_other_formats_are_refused(kind):
    with pytest.raises(UserError, match="an intact JPEG, PNG, WebP, AVIF, HEIC, BMP, TIFF, GIF or JPEG 2000 picture"):
        read_image(encoded(Image.fromarray(noise(16, 16)), kind))


def test_paths_that_are_no_files(tmp_path):
    for path in (tmp_path / "absent.png", tmp_path, "a\0b", "x" * 5000):
        with pytest.raises(UserError, match="cannot read"):
            read_image(path)


def test_what_is_no_file_is_told_from_what_is_missing(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    expected_error = (
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe.png", "not an ordinary file"),
        ("/dev/null", "not an ordinary file"),
        (tmp_path / "gone.png", "there is no such file"),
    )
    for path, message in expected_error:
        with pytest.raises(UserError, match=f"cannot read .*{message}"):
            read_image(path)


def test_depth_keeps_its_16_bits(tmp_path):
    depth = np.arange(0, 65536, 7, dtype=np.uint16)[:9000].reshape(90, 100)
    write_png(tmp_path / "depth.png", depth)
    np.testing.assert_array_equal(np.rint(read_companion(tmp_path / "depth.png") * 65535), depth)


def test_what_is_no_depth_is_refused(tmp_path):
    path = tmp_path / "depth.png"
    write_png(path, noise(30, 40, 3))
    with pytest.raises(UserError, match=r"depth\.png is a colour picture, and depth has one channel"):
        read_companion(path, depth=True)
    with pytest.raises(UserError, match="the companion is a colour picture"):
        read_companion(path.read_bytes(), depth=True)
    assert read_companion(path).shape == (30, 40), "thermal cameras colour their pictures"
    metres = np.linspace(0.5, 9, 1200, dtype=np.float32).reshape(30, 40)
    for pixels, message in (
        (metres, "numbers from 0.5 to 9 without"),
        (np.full_like(metres, np.nan), "from nan to nan"),
    ):
        Image.fromarray(pixels).save(tmp_path / "depth.tiff")
        with pytest.raises(UserError, match=message) as caught:
            read_companion(tmp_path / "depth.tiff", depth=True)
        assert "\n" not in str(caught.value)
    Image.fromarray(metres / 9).save(tmp_path / "depth.tiff")
    np.testing.assert_array_equal(read_companion(tmp_path / "depth.tiff", depth=True), metres / 9)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_grey_depth_in_three_channels_is_depth(tmp_path, suffix):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None], (48, 1, 3))
    Image.fromarray(ramp).save(tmp_path / f"depth.{suffix}")
    companion = read_companion(tmp_path / f"depth.{suffix}", depth=True)
    np.testing.assert_allclose(companion, ramp[..., 0] / 255, atol=0.02)


@FEW
@given(st.integers(8, 4000), st.integers(8, 4000), st.floats(0.1, 1))
def test_rounded_sizes_of_one_scene_pass(width, height, scale):
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    assert fit_to(np.zeros(size, np.float32), (height, width), "mask").shape == (height, width)


def test_what_shrinks_is_averaged():
    stripes = np.tile(np.float32([1, 0, 0, 0]), (48, 16))
    np.testing.assert_allclose(fit_to(stripes, (12, 16), "depth"), 0.25, atol=1e-6)


@FEW
@given(SIDES, SIDES, st.sampled_from([1, 3, 4]), st.sampled_from([np.uint8, np.uint16]))
def test_write_png_round_trip(tmp_path_factory, height, width, channels, depth):
    pixels = noise(height, width, channels).astype(depth) * (np.iinfo(depth).max // 255)
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_png(path, pixels)
    back = read_image(path)
    expected = (pixels // (np.iinfo(depth).max // 255)).astype(np.uint8)
    expected = np.repeat(expected[..., None], 3, 2) if channels == 1 else expected
    if channels < 4:
        np.testing.assert_array_equal(back, expected)
    else:
        np.testing.assert_array_equal(read_photo(path).transparency.opacity_HW, expected[..., 3])
    if channels == 4 and depth == np.uint8:
        np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_write_png_takes_integers_alone(tmp_path):
    with pytest.raises(TypeError, match="float32"):
        write_png(tmp_path / "a.png", np.zeros((2, 2), np.float32))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"subsampling": 0}, {"progressive": True}])
def test_jpegs_with_missing_data_are_refused(mode, options):
    """Closed again after they were cut, as downloads and repair tools leave them, they decode to grey."""
    data = encoded(Image.fromarray(cv2.GaussianBlur(noise(200, 200), (0, 0), 3)).convert(mode), "JPEG", **options)
    half, end = len(data) // 2, data[-2:]
    with pytest.raises(UserError, match=r"cannot read the image: .*; replace the file"):
        read_image(data[:half] + end)
    for damaged in (data[:half] + bytes(99) + end, data[:half] + data[half + 900 :]):
        try:  # a progressive one is there as a whole after each of its scans
            reason = read_photo(damaged).omitted
        except UserError as error:
            reason = str(error)
        assert reason.endswith("; replace the file")


def test_bytes_left_over_are_no_reason_to_refuse_a_jpeg():
    data = encoded(Image.fromarray(noise(16, 16)), "JPEG")
    for padded in (data + b"trailing", data[:-2] + bytes(12) + data[-2:]):
        photo = read_photo(padded)
        np.testing.assert_array_equal(photo.image_HW3, read_image(data))
        assert not photo.notes and not photo.omitted
    assert "extraneous bytes" in read_photo(data[:-2] + bytes(99) + data[-2:]).omitted


@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "JPEG2000"])
def test_newer_formats(kind):
    pillow_heif.register_heif_opener()  # to write one
    upright = cv2.GaussianBlur(noise(40, 60), (0, 0), 4)
    data = encoded(Image.fromarray(upright), kind, quality=95)
    assert np.abs(read_image(data).astype(int) - upright).max() < 16
    assert image_size(data) == (40, 60)
    if kind == "AVIF":
        turned = encoded(Image.fromarray(upright), kind, quality=95, exif=oriented(6))
        assert np.abs(read_image(turned).astype(int) - np.rot90(upright, -1)).max() < 16


def test_heic_without_its_package_says_what_to_install(tmp_path):
    """In a process of its own: this one has loaded the package."""
    pillow_heif.register_heif_opener()
    (tmp_path / "photo.heic").write_bytes(encoded(Image.fromarray(noise(16, 16)), "HEIF"))
    code = (
        "import sys; sys.modules['pillow_heif'] = None; "
        "from limelight.imaging.images import read_image; read_image(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "photo.heic"], capture_output=True, text=True)
    assert "HEIC needs another package; pip install 'limelight[heif]'" in done.stderr


def test_nothing_is_decoded_before_the_limit(monkeypatch):
    """Pillow decodes a whole PNG in search of an orientation behind its pixels."""
    monkeypatch.setattr(Image.Image, "getexif", lambda self: pytest.fail("looked for an orientation"))
    bomb = png(9_000, 6_000, 8, 2, []) + b"XML:com.adobe.xmp"
    with pytest.raises(UserError, match="54000000 pixels, above the limit"):
        read_image(bomb)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP", "AVIF"])
def test_damaged_further_frames_are_no_reason_to_refuse_the_first(kind):
    frames = [Image.fromarray(noise(12, 12, seed=seed)) for seed in range(3)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    whole = read_image(data)
    refused = 0
    for share in np.linspace(0.35, 0.99, 30):
        try:
            photo = read_photo(data[: int(len(data) * share)])
        except UserError:
            refused += 1
            continue
        np.testing.assert_array_equal(photo.image_HW3, whole)
    assert refused < 30 or kind in ("AVIF", "WEBP"), "which keep their frames together"


def test_a_page_that_cannot_be_counted_is_told():
    data = bytearray(encoded(Image.fromarray(noise(6, 6)), "TIFF"))
    directory = struct.unpack("<I", data[4:8])[0]
    entries = struct.unpack("<H", data[directory : directory + 2])[0]
    data[directory + 2 + 12 * entries :][:4] = struct.pack("<I", 1 << 20)
    at = directory + 2 + 12 * entries
    data[at : at + 4] = struct.pack("<I", len(data) - 2)
    photo = read_photo(bytes(data))
    np.testing.assert_array_equal(photo.image_HW3, noise(6, 6))


def segments(jpeg: bytes, marker: int) -> int:
    """Where a JPEG has a marker first."""
    return jpeg.index(bytes((0xFF, marker)))


@pytest.mark.parametrize("marker", [0xDB, 0xC0, 0xC4, 0xDA])
def test_oddities_of_a_header_are_no_reason_to_refuse_a_jpeg(marker):
    data = encoded(Image.fromarray(noise(16, 16)), "JPEG")
    at = segments(data, marker)
    np.testing.assert_array_equal(read_image(data[:at] + b"\0\0" + data[at:]), read_image(data))
    version = data.index(b"JFIF\0") + 5
    np.testing.assert_array_equal(read_image(data[:version] + b"\2" + data[version + 1 :]), read_image(data))


def test_no_damage_decodes_to_grey_in_silence():
    """Bytes of 0xFF in its data end a JPEG at once, which its decoder may take for a warning."""
    photo = Image.fromarray(cv2.GaussianBlur(noise(240, 240), (0, 0), 5))
    data = encoded(photo, "JPEG", quality=95)
    whole = read_image(data)
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        at, length = random.integers(len(data) // 4, len(data) - 99), random.integers(1, 64)
        damaged[at : at + length] = random.choice([bytes((255,)), random.bytes(1)]) * int(length)
        try:
            restored = read_photo(bytes(damaged))
        except UserError:
            continue
        grey_rows = (restored.image_HW3 == 128).all(axis=(1, 2)).sum() - (whole == 128).all(axis=(1, 2)).sum()
        assert grey_rows <= 2 or restored.omitted


def test_a_png_of_too_few_rows_is_told():
    rows = [b"\0" + row.tobytes() for row in noise(40, 30)]
    few = png_of(30, 40, zlib.compress(b"".join(rows[:20])))
    assert "parts of it may be missing" in read_photo(few).omitted


def test_a_harmless_oddity_hides_no_damage():
    data = encoded(Image.fromarray(noise(200, 200)), "JPEG", restart_marker_rows=1)
    at = segments(data, 0xD2)
    padded = data[:at] + bytes(20) + data[at : at + 400] + data[-2:]
    assert "parts of it may be wrong" in read_photo(padded).omitted


def test_limits_can_be_raised_beyond_pillows_own(recwarn):
    """Pillow warns of pictures above 89 megapixels and refuses those above 179."""
    large = png(19_000, 10_000, 8, 2, [])
    assert open_picture(large, max_pixels=200_000_000).size == (10_000, 19_000)
    assert not recwarn.list
    with pytest.raises(UserError, match=r"190000000 pixels, above the limit of 50000000.*--max-pixels"):
        read_image(large)
    assert Image.MAX_IMAGE_PIXELS is not None, "other users of Pillow keep its limit"


def test_real_photos_decode_to_pillows_pixels(shared):
    for path in sorted((shared / "realdata/rgb/images").iterdir())[::40]:
        np.testing.assert_array_equal(read_image(path), by_pillow(path.read_bytes()))


def test_a_file_s_longest_side_is_said() -> None:
    with pytest.raises(UserError, match=r"1000001x1 exceeds the 1000000 pixels a side of \.png files; cut"):
        encode(np.zeros((1, 1_000_001), np.uint8))
