"""Folders are walked once, and whatever looks like a picture is either found or refused with its reason."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from limelight.foundation.errors import UserError
from limelight.imaging.extensions import EXTENSIONS
from limelight.media.sources import find_companions, scan
from limelight.media.suffixes import UNSUPPORTED, is_picture
from limelight.media.walk import Walk

OBEYING = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Starts a process to which closed files are closed, though it is root's."""


def draw(path: Path, format: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").convert("RGB").save(path, format)
    return path


def pictures_below(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in Walk([root]).files]


def refused(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): reason for path, reason in Walk([root]).refused}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("name", ["scan", "photo.jpg_large", "image.php"])
def test_a_picture_without_its_suffix_is_known_by_its_content(tmp_path: Path, format: str, name: str) -> None:
    assert is_picture(draw(tmp_path / name, format))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"BM",
        b"BM, said the text, which is long enough for a header",
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"%PDF-1.7",
        b'{"a": 1}',
    ],
)
def test_what_is_no_picture_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.txt").write_bytes(content)
    assert (pictures_below(tmp_path), refused(tmp_path)) == ([], {})


@pytest.mark.parametrize("suffix", [".cr2", ".NEF", ".dng", ".svg", ".psd", ".jxl", ".tga", ".exr", ".ppm", ".ico"])
def test_pictures_that_are_not_read_are_refused(tmp_path: Path, suffix: str) -> None:
    draw(tmp_path / f"raw{suffix}", "TIFF")
    (tmp_path / f"b{suffix}").write_bytes(b"anything")
    reason = f"limelight does not read {suffix.lower()} files; convert it to JPEG, PNG or TIFF"
    assert (pictures_below(tmp_path), refused(tmp_path)) == ([], {f"raw{suffix}": reason, f"b{suffix}": reason})


def test_a_wrong_suffix_hides_no_picture(tmp_path: Path) -> None:
    assert is_picture(draw(tmp_path / "a.tga", "JPEG"))
    assert not UNSUPPORTED & EXTENSIONS and all(suffix == suffix.lower() for suffix in UNSUPPORTED)


def test_links_in_loops_end_and_double_nothing(tmp_path: Path) -> None:
    for name in ("in/a.png", "in/deep/b.png", "other/c.png", "other/more/d.png"):
        draw(tmp_path / name)
    for link, target in {
        "in/self": ".",
        "in/deep/up": "..",
        "in/a-link": "deep",
        "in/linked": "../other",
        "in/second": "../other/more",
        "other/back": "../in",
        "in/beyond": "../..",
    }.items():
        (tmp_path / link).symlink_to(target)
    walk = Walk([tmp_path / "in"])
    assert pictures_below(tmp_path / "in") == ["a.png", "deep/b.png", "linked/c.png", "linked/more/d.png"]
    assert not walk.refused
    ((link, note),) = walk.notes
    assert link == tmp_path / "in/beyond" and f"it is a link to {tmp_path.parent}, which is above" in note


def test_folders_given_twice_by_links_are_done_once(tmp_path: Path) -> None:
    draw(tmp_path / "other/c.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/linked").symlink_to("../other")
    for arguments in (["in", "other"], ["other", "in"], ["in/linked", "other", "in"]):
        sources = scan([tmp_path / argument for argument in arguments]).sources
        assert [source.path for source in sources] == [tmp_path / "other/c.png"]


def test_results_and_companions_are_skipped_behind_links_too(tmp_path: Path) -> None:
    draw(tmp_path / "in/a.png")
    for folder in ("out", "depth"):
        draw(tmp_path / folder / "a.png")
        (tmp_path / "in" / folder).symlink_to(f"../{folder}")
    draw(tmp_path / "in/earlier/a.png")
    for folder in ("in/earlier", "out"):
        (tmp_path / folder / "limelight.json").touch()
    taken = scan([tmp_path / "in"], skip=[tmp_path / "out", tmp_path / "depth"])
    assert [source.below.as_posix() for source in taken.sources] == ["a.png"]
    assert taken.earlier == 1, "its own results are no earlier ones"


def test_what_is_no_file_is_refused_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo("pipe.jpg")
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
    Path("link.png").symlink_to("pipe.jpg")
    Path("gone.jpg").symlink_to("nowhere")
    Path("folder").symlink_to("unmounted")
    Path("circle").symlink_to("circle")
    refusals = refused(tmp_path)
    assert set(refusals) == {"pipe.jpg", "socket.png", "link.png", "gone.jpg", "folder", "circle"}
    assert all("not an ordinary file" in refusals[name] for name in ("pipe.jpg", "socket.png", "link.png"))
    assert refusals["folder"].startswith("it is a link to unmounted: No such file")


def test_what_is_closed_is_refused(tmp_path: Path) -> None:
    if OBEYING and (not shutil.which("setpriv") or subprocess.run([*OBEYING, "true"]).returncode):
        pytest.skip("needs a user other than root, or setpriv, to close a folder")
    for name in ("in/a.png", "in/closed/b.png", "in/noext", "in/half/c.png", "in/half/c"):
        draw(tmp_path / name)
    closed = {"in/closed": 0o000, "in/noext": 0o000, "in/half": 0o444}
    for name, mode in closed.items():
        (tmp_path / name).chmod(mode)
    code = (
        "import sys; from pathlib import Path; from limelight.media.walk import Walk\n"
        "walk = Walk([Path(sys.argv[1])])\n"
        "for path in walk.files: print(path.name)\n"
        "for path, reason in walk.refused: print(path.name, reason)"
    )
    result = subprocess.run(
        [*OBEYING, sys.executable, "-c", code, str(tmp_path / "in")], capture_output=True, text=True, check=True
    )
    for name in closed:
        (tmp_path / name).chmod(0o700)
    lines = sorted(result.stdout.splitlines())
    assert lines[:2] == ["a.png", f"c {tmp_path}/in/half/c cannot be opened to see whether it is a picture: "
                         "Permission denied; check its permissions"]  # fmt: skip
    assert lines[2:4] == ["c.png", "closed this folder cannot be read: Permission denied; change its permissions, "
                          "or leave it out"]  # fmt: skip
    assert lines[4].startswith("noext ") and len(lines) == 5


def test_a_companion_that_is_not_read_is_told(tmp_path: Path) -> None:
    draw(tmp_path / "in/a.png")
    draw(tmp_path / "in/b.png")
    for name in ("near/a.exr", "near/b.exr"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    draw(tmp_path / "near/b.png")
    first, second = find_companions(scan([tmp_path / "in"]).sources, tmp_path / "near").values()
    assert isinstance(first, UserError) and "near/a.exr: limelight does not read .exr files" in str(first)
    assert second == tmp_path / "near/b.png"
