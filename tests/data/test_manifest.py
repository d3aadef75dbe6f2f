import os
import time
from dataclasses import replace

import pytest
import trees

from limelight.data.hashes import HashCache, file_hashes, list_files, tree_hash
from limelight.data.manifest import Sample, manifest_hash, manifest_trees, read_manifest, write_manifest
from limelight.foundation.errors import UserError

STILL = Sample("a/1", "a", "train", "rgb", "mask", "a/1.jpg", None, "a/1.png", None, None, (), 24, 20, "0" * 64)
FRAME = replace(STILL, sample_id="b/bear/7", dataset="b", split="test", clip="bear", frame=7)
TEXT = replace(
    STILL,
    sample_id="c/лампа",
    dataset="c",
    sensor="rgbd",
    labels="classes",
    classes=("cat", "tv/monitor"),
    companion="c.png",
)


def test_round_trip_and_filters(tmp_path):
    path = tmp_path / "manifest.parquet"
    write_manifest([STILL, FRAME, TEXT], path, trees={"a": "1" * 64})
    assert read_manifest(path) == [STILL, FRAME, TEXT]
    assert read_manifest(path, splits=["train"]) == [STILL, TEXT]
    with pytest.raises(UserError, match="no sample has the split 'tset'; "):
        read_manifest(path, splits=["train", "tset"])
    assert manifest_trees(path) == {"a": "1" * 64}


def test_file_depends_on_contents_alone(tmp_path):
    write_manifest([STILL, FRAME], tmp_path / "1.parquet", trees={"a": "1", "b": "2"})
    write_manifest([STILL, FRAME], tmp_path / "2.parquet", trees={"b": "2", "a": "1"})
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    write_manifest([STILL, FRAME], tmp_path / "2.parquet", trees={"a": "1", "b": "3"})
    assert (tmp_path / "1.parquet").read_bytes() != (tmp_path / "2.parquet").read_bytes(), "a changed mask is a change"


def test_hash(tmp_path):
    assert manifest_hash([STILL, FRAME]) == manifest_hash([FRAME, STILL])
    assert manifest_hash([STILL]) != manifest_hash([replace(STILL, split="val")])


def test_empty_and_wrong_files(tmp_path):
    write_manifest([], tmp_path / "empty.parquet")
    assert read_manifest(tmp_path / "empty.parquet") == []
    with pytest.raises(UserError, match="run the prepare stage"):
        read_manifest(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match="not a Parquet file"):
        read_manifest(tmp_path / "bad.parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"sample_id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(UserError, match="has columns sample_id, not"):
        read_manifest(tmp_path / "other.parquet")


# --------------------------------------------------------------------------------------------------------------- hashes
def test_unchanged_files_are_not_read_again(tmp_path, monkeypatch):
    root = trees.stills(tmp_path / "set", ["1", "2"])
    cache = HashCache(tmp_path / "hashes.json")
    first = file_hashes(root, cache)
    cache.save()
    reads = []
    import limelight.data.hashes as module

    real = module.sha256_file
    monkeypatch.setattr(module, "sha256_file", lambda path: reads.append(path) or real(path))
    again = HashCache(tmp_path / "hashes.json")
    assert file_hashes(root, again) == first and not reads
    changed = root / "masks/1.png"
    data = bytearray(changed.read_bytes())
    data[-20] ^= 1
    changed.write_bytes(data)
    os.utime(changed, ns=(time.time_ns(), time.time_ns()))
    second = file_hashes(root, again)
    assert reads == [str(changed)]
    assert tree_hash(second) != tree_hash(first)
    (root / "masks/1.png").rename(root / "masks/3.png")
    assert tree_hash(file_hashes(root, again)) != tree_hash(second), "names count too"


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"%s": 1}', '{"%s": [1, 2]}'])
def test_damaged_cache_is_an_empty_one(tmp_path, content):
    (tmp_path / "hashes.json").write_text(content.replace("%s", str(tmp_path / "set/images/1.jpg")))
    root = trees.stills(tmp_path / "set", ["1"])
    assert file_hashes(root, HashCache(tmp_path / "hashes.json")) == file_hashes(
        root, HashCache(tmp_path / "none.json")
    )


def test_links_and_litter(tmp_path):
    root = trees.stills(tmp_path / "set", ["1"])
    (root / ".DS_Store").write_text("")
    (root / "images/Thumbs.db").write_text("")
    (root / "more").symlink_to(trees.stills(tmp_path / "other", ["2"]) / "images")
    (root / "loop").symlink_to(root)
    (root / "images/link.jpg").symlink_to(tmp_path / "other/images/2.jpg")
    assert list(list_files(root)) == ["images/1.jpg", "images/link.jpg", "masks/1.png", "more/2.jpg"]
