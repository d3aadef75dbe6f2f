import gzip
import io
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from limelight.data.archives import Limits, extract
from limelight.foundation.errors import UserError


def make_zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def make_tar(path: Path, *members: tarfile.TarInfo, data: bytes = b"x") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            member.size = len(data) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(data))
    return path


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def refused(archive: Path, target: Path, limits: Limits | None = None) -> str:
    """The refusal; nothing may be left of it, inside the target's folder or out of it."""
    before = sorted(target.parent.parent.rglob("*"))
    with pytest.raises(UserError) as error:
        extract(archive, target, limits)
    assert sorted(target.parent.parent.rglob("*")) == before
    return str(error.value)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "dataset"


def test_zip_and_tar_unpack_alike(tmp_path, target):
    names = ("images/a b.txt", "images/é/1.txt", "GT/1.txt")
    extract(make_zip(tmp_path / "a.zip", *[(name, name.encode()) for name in names], ("empty/", b"")), target)
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.txt")} == set(names)
    assert (target / "images/é/1.txt").read_text() == "images/é/1.txt"
    assert (target / "empty").is_dir()
    extract(make_tar(tmp_path / "a.tgz", tar_member("images/new.txt")), target)
    assert [path.name for path in target.rglob("*.txt")] == ["new.txt"], "an older folder is replaced as a whole"


@pytest.mark.parametrize(
    "name", ["../out.txt", "a/../../out.txt", "/tmp/out.txt", "C:/out.txt", "c:out.txt", "..\\out.txt", "\\out.txt"]
)
def test_zip_slip(tmp_path, target, name):
    assert "leads out of the folder" in refused(make_zip(tmp_path / "a.zip", ("ok.txt", b""), (name, b"x")), target)


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "a/../../b"])
def test_tar_slip(tmp_path, target, name):
    assert "leads out" in refused(make_tar(tmp_path / "a.tgz", tar_member("ok"), tar_member(name)), target)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_tar_symlink(tmp_path, target, kind):
    archive = make_tar(tmp_path / "a.tgz", tar_member("link", kind, "/etc"), tar_member("link/passwd"))
    assert "a link or a device" in refused(archive, target)


def test_zip_symlink(tmp_path, target):
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    assert "a link or a device" in refused(make_zip(tmp_path / "a.zip", (link, b"/etc")), target)


def test_encrypted_zip(tmp_path, target):
    archive = make_zip(tmp_path / "a.zip", ("a.txt", b"x"))
    content = bytearray(archive.read_bytes())
    for flags in (content.index(b"PK\3\4") + 6, content.index(b"PK\1\2") + 8):
        content[flags] |= 1
    archive.write_bytes(content)
    assert "'a.txt', which is encrypted" in refused(archive, target)


def test_bombs(tmp_path, target):
    zeros = bytes(4 << 20)
    small = Limits(free_bytes=1 << 20)
    assert "decompression bomb" in refused(make_zip(tmp_path / "a.zip", ("zeros", zeros)), target, small)
    bomb = make_tar(tmp_path / "a.tgz", tar_member("zeros"), data=zeros)
    assert "decompression bomb" in refused(bomb, target, small)
    many = make_zip(tmp_path / "b.zip", *[(str(number), b"") for number in range(4)])
    assert "more than 3 files" in refused(many, target, Limits(members=3))
    assert "decompression bomb" in refused(bomb, target, Limits(total_bytes=1 << 20))
    extract(bomb, target)  # small flat files shrink as much, and are no bomb
    assert (target / "zeros").stat().st_size == len(zeros)


def tar_block(kind: bytes, content: bytes) -> bytes:
    """A member of a tar by hand: its block, and its content."""
    member = tar_member("header", kind)
    member.size = len(content)
    return member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_what_a_tar_says_of_a_member_is_bounded(tmp_path, target, kind):
    """It is read whole, before the member is known; a chain of such headers is too."""
    end = tar_block(tarfile.REGTYPE, b"x") + bytes(2 * tarfile.BLOCKSIZE)
    for name, headers in (("one", [bytes(64 << 20)]), ("chain", [bytes(400 << 10)] * 3)):
        archive = tmp_path / f"{name}.tgz"
        archive.write_bytes(gzip.compress(b"".join(tar_block(kind, each) for each in headers) + end, 1))
        tracemalloc.start()
        assert "bytes of headers; nothing was unpacked" in refused(archive, target)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 << 20
    (tmp_path / "long.tar").write_bytes(tar_block(kind, b"") * 2000 + end)
    assert "damaged" in refused(tmp_path / "long.tar", target)


def test_long_names_and_attributes_are_read(tmp_path, target):
    name = "/".join(["long" * 20] * 5) + "/é.txt"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
            for number in range(40):
                member = tar_member(f"{number}/{name}")
                member.size, member.pax_headers = 1, {"SCHILY.xattr.user.note": "n" * 50_000}
                archive.addfile(member, io.BytesIO(b"x"))
        extract(tmp_path / "a.tar", target)
        assert len(list(target.rglob("é.txt"))) == 40


def test_case_collisions(tmp_path, target):
    assert "letters' case" in refused(make_zip(tmp_path / "a.zip", ("a/1.jpg", b""), ("A/2.jpg", b"")), target)
    assert "letters' case" in refused(make_tar(tmp_path / "a.tgz", tar_member("1.jpg"), tar_member("1.JPG")), target)
    composed, decomposed = "\u00e9.jpg", "e\u0301.jpg"
    assert "letters' case" in refused(make_zip(tmp_path / "b.zip", (composed, b""), (decomposed, b"")), target)
    assert "twice" in refused(make_tar(tmp_path / "c.tgz", tar_member("1.jpg"), tar_member("1.jpg")), target)
    assert "both as" in refused(make_tar(tmp_path / "d.tgz", tar_member("a"), tar_member("a/b")), target)


def test_damaged_and_unknown(tmp_path, target):
    whole = make_zip(tmp_path / "a.zip", ("a.txt", bytes(range(256)) * 200)).read_bytes()
    (tmp_path / "flipped.zip").write_bytes(whole[:60] + bytes([whole[60] ^ 255]) + whole[61:])
    cut = make_tar(tmp_path / "a.tgz", tar_member("a.txt"), data=bytes(range(256)) * 200)
    cut.write_bytes(cut.read_bytes()[:80])
    (tmp_path / "photo.zip").write_bytes(b"\xff\xd8\xff\xe0 a photo")
    for name in ("flipped.zip", "a.tgz", "photo.zip"):
        assert "damaged" in refused(tmp_path / name, target)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    ],
)
def test_archives_of_other_programs(tmp_path, target, head, what):
    (tmp_path / "set.zip").write_bytes(head + bytes(2000))
    text = refused(tmp_path / "set.zip", target)
    assert f"{what}, which cannot be unpacked here; unpack it by hand and give its folder as `path`" in text


def test_a_zip_of_another_method(tmp_path, target):
    """Windows packs large files by Deflate64, which Python does not unpack."""
    path = make_zip(tmp_path / "a.zip", ("a.txt", bytes(5000)))
    body = path.read_bytes()
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = body.index(mark) + place
        body = body[:at] + b"\x09\x00" + body[at + 2 :]
    path.write_bytes(body)
    assert "unpack it by hand" in refused(path, target)


def test_folders_of_windows_zips(tmp_path, target):
    members = [(zipfile.ZipInfo(name), data) for name, data in (("images\\", b""), ("images\\1.jpg", b"x"))]
    extract(make_zip(tmp_path / "a.zip", *members), target)
    assert (target / "images/1.jpg").read_bytes() == b"x"
