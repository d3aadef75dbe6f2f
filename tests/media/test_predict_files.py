"""Files in and files out of `limelight predict`: their types, and what they carry besides pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from limelight.cli.main import app
from limelight.imaging.encoding import write_png
from tests.profiles import rgb_profile


@pytest.fixture
def run(untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Type `limelight predict ... --model <untrained>` in a folder that holds a.png."""
    monkeypatch.chdir(tmp_path)
    write_png("a.png", np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))

    def predict(*arguments: str, **options: object) -> Result:
        return CliRunner().invoke(app, ["predict", "--model", str(untrained), "--device", "cpu", *arguments], **options)

    return predict


def files(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


def test_types_by_name_and_by_option(run) -> None:
    for name, kind in (("x.webp", "WEBP"), ("x.JPG", "JPEG"), ("x.jpeg", "JPEG"), ("x.png", "PNG")):
        assert run("a.png", "-o", name, "--kind", "white").exit_code == 0
        with Image.open(name) as image:
            assert (image.format, image.size, image.mode) == (kind, (30, 20), "RGB")
    blur, data = ("-", "--format", "jpg", "--kind", "blur", "--quality"), Path("a.png").read_bytes()
    small, large = (run(*blur, quality, input=data) for quality in ("5", "95"))
    assert small.stdout_bytes[:2] == b"\xff\xd8" and len(small.stdout_bytes) < len(large.stdout_bytes)
    assert run("a.png", "-o", "out", "--format", "WebP", "--kind", "rgba").exit_code == 0
    assert "a.webp" in files("out")
    again = run("a.png", "-o", "out", "--format", "webp", "--kind", "rgba", "--quality", "50")
    assert "was made with other settings" in str(again.exception)


def test_a_video_is_no_name_of_a_picture(run) -> None:
    assert "z.mp4 is the name of a video, and there is none" in str(run("a.png", "-o", "z.mp4").exception)
    assert run("a.png", "-o", "z.mp4/").exit_code == 0
    assert "a.png" in files("z.mp4")


def test_a_background_of_several_pictures_is_refused(run) -> None:
    with Image.open("a.png") as image:
        image.save("b.gif", save_all=True, append_images=[Image.new("RGB", image.size)])
    said = str(run("a.png", "-o", "x.png", "--kind", "b.gif").exception)
    assert "the background b.gif is not one whole picture: only the first of its 2 pictures was used" in said


def test_a_size_that_the_network_cannot_take_is_rounded_aloud(run) -> None:
    small = ("a.png", "-o", "x.png", "--model", "limelight-small", "--runtime", "torch", "--size")
    assert "note: 65 pixels are rounded to 64, which this network can take" in run(*small, "65").stderr
    assert "rounded" not in run(*small, "64").stderr


def test_resolution_transparency_and_profile_on_the_command_line(run) -> None:
    pixels = np.zeros((40, 60, 4), np.uint8)
    pixels[10:30, 20:40] = 200, 60, 40, 255
    Image.fromarray(pixels).save("logo.png", dpi=(300, 300), icc_profile=rgb_profile("Display P3"))
    assert run("logo.png", "-o", "cut.png", "--kind", "rgba").exit_code == 0
    with Image.open("cut.png") as image:
        assert np.allclose(image.info["dpi"], 300, atol=0.01)
        cut = np.asarray(image)
    assert not cut[pixels[..., 3] == 0].any()
    shown = cut[..., 3] > 0
    assert shown.any() and np.abs(cut[shown][:, :3].astype(int) - (217, 42, 23)).max() <= 1


def test_what_was_ignored_is_told(run) -> None:
    with Image.open("a.png") as image:
        image.save("odd.png", icc_profile=b"nonsense" * 20)
        image.save("moves.gif", save_all=True, append_images=[image.rotate(90), image])
    result = run("odd.png", "-o", "x.png")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1].startswith("note: odd.png: its colour profile is damaged")
    assert "note" not in run("odd.png", "-o", "x.png", "-q").stderr
    result = run("moves.gif", "-o", "y.png", "-q")
    assert result.exit_code == 1 and Path("y.png").is_file()
    assert result.stderr.startswith("error: moves.gif: only the first of its 3 pictures was used")


def test_frames_that_were_not_done_are_listed_each_time(run) -> None:
    with Image.open("a.png") as image:
        Path("in").mkdir()
        image.save("in/moves.gif", save_all=True, append_images=[image.rotate(90), image])
    for word in ("1 written", "1 already there"):
        result = run("in", "-o", "out")
        assert result.exit_code == 1 and word in result.stderr
        assert "first of its 3 pictures was used" in Path("out/failures.csv").read_text()
        assert Path("out/moves.png").is_file()


def test_a_result_that_its_type_cannot_hold_fails_alone(run) -> None:
    Path("in").mkdir()
    Path("a.png").rename("in/a.png")
    write_png("in/long.png", np.zeros((1, 16384, 3), np.uint8))
    result = run("in", "-o", "out", "--format", "webp")
    assert result.exit_code == 1 and "1 written" in result.stderr and "pixels a side of .webp files" in result.stderr
    assert {"a.webp", "failures.csv"} <= files("out")


def test_the_limit_of_pixels_holds_in_folders(run) -> None:
    Path("in").mkdir()
    Path("a.png").rename("in/a.png")
    result = run("in", "-o", "out", "--max-pixels", "599")
    assert result.exit_code == 1 and "30x20 is 600 pixels, above the limit of 599" in result.stderr
    assert run("in", "-o", "out", "--max-pixels", "600").exit_code == 0
