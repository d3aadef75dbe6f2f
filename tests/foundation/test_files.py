"""Writes are whole or absent."""

import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path, read_json, sha256_file, write_json


def leftovers(folder: Path, *expected: str) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in expected)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ValueError, match="midway"), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        raise ValueError("midway")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert not leftovers(tmp_path, "a.txt")


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with atomic_path(tmp_path / "out") as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["second"]
    assert not leftovers(tmp_path, "out")


def test_kill_midway_leaves_no_output(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom limelight.foundation.files import atomic_path\n"
        f"with atomic_path({str(tmp_path / 'out.bin')!r}) as p:\n"
        "    p.write_bytes(b'x' * 1000); print('half', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline()
    child.kill()
    child.wait()
    assert not (tmp_path / "out.bin").exists()


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("needs /dev/full")
    with pytest.raises(UserError, match="No space left on device"), atomic_path(tmp_path / "a") as temporary:
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")
        temporary.touch()
    assert not leftovers(tmp_path)


def closed(*_arguments: object, **_options: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_place_that_cannot_be_written_to_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("here")
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "file" / "a", tmp_path / "file" / "b" / "a", tmp_path / "folder", Path("/proc/a")):
        with pytest.raises(UserError, match=f"cannot write {target}: .*; choose another place") as caught:
            write_json(target, {})
        assert isinstance(caught.value.__cause__, OSError)
    for step in ("os.mkdir", "tempfile.mkdtemp"):
        with monkeypatch.context() as patch:
            patch.setattr(step, closed)
            with pytest.raises(UserError, match=r"a\.json: Permission denied; choose another place"):
                write_json(tmp_path / "new" / "a.json", {})
    assert (tmp_path / "file").read_text() == "here"
    assert not leftovers(tmp_path, "file", "folder", "new")


def test_damage_that_a_library_finds_is_no_refusal_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Invalid data stream"), atomic_path(tmp_path / "a"):
        raise OSError("Invalid data stream")


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    write_json(tmp_path / ("a" * 250), {})
    with pytest.raises(UserError, match="File name too long") as caught:
        write_json(tmp_path / ("a" * 256), {})
    assert isinstance(caught.value.__cause__, OSError) and caught.value.__cause__.errno == errno.ENAMETOOLONG
    assert not leftovers(tmp_path, "a" * 250)


def test_json_round_trip_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "ü"})
    assert read_json(tmp_path / "a.json") == {"a": "ü", "b": 1}
    with pytest.raises(ValueError):
        write_json(tmp_path / "b.json", {"x": math.nan})
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize(("content", "message"), [(None, "does not exist"), ("{", "is not valid JSON")])
def test_unreadable_json_is_one_clear_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_json(tmp_path / "a.json")


def test_a_byte_order_mark_is_left_out_and_another_encoding_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": "ü"}', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"a": "ü"}
    (tmp_path / "a.json").write_text('{"a": "ü"}', encoding="latin-1")
    with pytest.raises(UserError, match=r"a.json is not UTF-8 text \(byte 7: .*\); save it as UTF-8"):
        read_json(tmp_path / "a.json")


def test_a_file_that_may_not_be_read_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for read in (read_json, sha256_file):
        with pytest.raises(UserError, match=f"cannot read {tmp_path}: Is a directory"):
            read(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", closed)
            with pytest.raises(UserError, match=r"a\.json: Permission denied; check the file"):
                read(tmp_path / "a.json")


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
