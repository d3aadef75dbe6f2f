"""Copies across splits are found, whatever was done to them; other pictures are not."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from limelight.data.manifest import Sample
from limelight.data.validation.duplicates import find_duplicates, write_duplicates

PHOTOS = Path(__file__).parents[1] / "photos"


def sample(path: Path, split: str) -> Sample:
    return Sample(
        f"set/{split}/{path.stem}", "set", split, "rgb", "none", str(path), None, None, None, None, (), 8, 8, path.stem
    )


@pytest.fixture
def photos(tmp_path: Path) -> list[Sample]:
    """The photos as a training set."""
    return [sample(path, "train") for path in sorted(PHOTOS.glob("*.jpg"))]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_smaller_and_worse_copy_is_found(tmp_path: Path, photos: list[Sample], mirrored: bool) -> None:
    picture_HW3 = cv2.imread(photos[0].image)
    copy_HW3 = cv2.resize(picture_HW3[:, ::-1] if mirrored else picture_HW3, (200, 150), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "copy.jpg"), copy_HW3, [cv2.IMWRITE_JPEG_QUALITY, 40])
    test = sample(tmp_path / "copy.jpg", "test")
    (duplicate,) = find_duplicates([test, *photos])
    assert (duplicate.sample_id, duplicate.other) == (photos[0].sample_id, test.sample_id)
    assert duplicate.mirrored == mirrored and duplicate.correlation > 0.97
    write_duplicates([duplicate], tmp_path / "duplicates.csv")
    assert (
        (tmp_path / "duplicates.csv").read_text().splitlines()[1].startswith(f"{photos[0].sample_id},{test.sample_id}")
    )
    val = sample(tmp_path / "copy.jpg", "val")  # three splits, in whatever order: each pair once
    pairs = {(each.sample_id, each.other) for each in find_duplicates([val, test, *photos])}
    ids = photos[0].sample_id, test.sample_id, val.sample_id
    assert pairs == {(ids[0], ids[1]), (ids[0], ids[2]), (ids[1], ids[2])}
    # Within one split they are no fault of a test set.
    assert find_duplicates([replace(test, split="train"), *photos]) == []


def test_other_pictures_are_not(tmp_path: Path, photos: list[Sample]) -> None:
    """Nor flat ones, nor files that cannot be read, which other expectations name."""
    noise_HW = np.random.default_rng(0).integers(0, 255, (60, 90), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise_HW)
    for name in ("black", "white"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((60, 90), 255 * (name == "white"), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    others = [sample(tmp_path / name, "test") for name in ("noise.png", "black.png", "white.png", "broken.jpg")]
    assert find_duplicates([*photos, *others, sample(tmp_path / "gone.jpg", "val")]) == []


def test_the_published_overlap_is_found(shared: Path) -> None:
    """Seven of 1,000 pictures of ImageNet's classes are in DUTS-TR, and ECSSD shares none with it."""
    root = shared / "realdata2"
    if not root.is_dir():
        pytest.skip("reference data absent")
    known = ["n02391049", "n03314780", "n03769881", "n04037443", "n04330267", "n04371430", "n07747607"]
    train = [path for path in sorted((root / "duts/images").glob("n0*.jpg")) if path.stem.startswith(tuple(known))]
    test = [*sorted((root / "unlabelled").glob("*.jpg")), *sorted((root / "ecssd/images").glob("*.jpg"))[:300]]
    duplicates = find_duplicates([*(sample(path, "train") for path in train), *(sample(path, "test") for path in test)])
    assert sorted(one.other.split("_")[1] for one in duplicates) == known
