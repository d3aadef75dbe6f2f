"""Where pictures come from, and where their results go."""

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight.foundation.errors import UserError
from limelight.media.sources import _assign, find_companions, find_sources


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def relatives(*arguments: Path, skip: Path | None = None) -> list[str]:
    return [str(source.relative) for source in find_sources(arguments, skip=[skip] if skip else [])]


def test_folder_is_walked_sorted_and_mirrored(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "deep/er/c.webp", "notes.txt", ".hidden/d.png", ".e.png")
    assert relatives(tmp_path) == ["a", "b", "deep/er/c"]


def test_same_name_in_two_folders_not_lost(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "y/a.jpg")
    assert relatives(tmp_path) == ["x/a", "y/a"]
    assert relatives(tmp_path / "x", tmp_path / "y") == ["x/a", "y/a"]


def test_one_stem_two_suffixes(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "b.jpg")
    assert relatives(tmp_path) == ["a.jpg", "a.png", "b"]


def test_files_are_taken_whatever_their_name_and_once(tmp_path: Path) -> None:
    touch(tmp_path, "scan", "in/a.png")
    assert relatives(tmp_path / "scan", tmp_path / "in", tmp_path / "in" / "a.png", tmp_path / "scan") == [
        "scan",
        "in/a",
    ]


def test_own_results_are_no_sources(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "out/a.png")
    assert relatives(tmp_path, skip=tmp_path / "out") == ["a"]


def test_earlier_results_are_passed_over_unless_given(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "results/map/limelight.json", "results/map/a.png", "results/map/deep/a.png")
    assert relatives(tmp_path) == ["a"]
    assert relatives(tmp_path / "results" / "map") == ["a", "deep/a"]
    with pytest.raises(UserError, match=r"no pictures in .*results; .* outside of earlier results \(limelight.json\)"):
        find_sources([tmp_path / "results"])


def test_the_input_is_not_the_output(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "in/depth/a.png")
    for argument in (tmp_path / "in", tmp_path / "in" / "depth", tmp_path / "in" / "a.png"):
        with pytest.raises(UserError, match=r"all pictures of .* lie in .*in, the folder of the results or companions"):
            find_sources([argument], skip=[tmp_path / "in"])


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        find_sources([tmp_path / "gone"])
    with pytest.raises(UserError, match="no pictures in"):
        find_sources([tmp_path])


@given(st.sets(st.text("abA.", min_size=1, max_size=6).filter(lambda name: not set(name) <= {"."}), min_size=1))
def test_places_never_collide(names: set[str]) -> None:
    """Whatever names a folder holds, results differ, even where letters' case does not count."""
    distinct = {name.casefold(): name for name in names}.values()
    base = Path("/pictures")
    sources = _assign([base / name for name in distinct], base)
    places = [f"{source.relative}.png".casefold() for source in sources]
    assert len(set(places)) == len(places)
    assert all(source.relative.parent == PurePosixPath(".") for source in sources)


def companions(pictures: Path, where: Path) -> dict[str, str]:
    """Each picture's own path -> its companion's, or the first word that says what is wrong."""
    matches = find_companions(find_sources([pictures]), where)
    return {
        str(source.below): str(path) if isinstance(path, UserError) else path.relative_to(where).as_posix()
        for source, path in matches.items()
    }


def test_companions_mirror_their_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg", "in/a.png", "in/deep/a.jpg", "in/b.jpg")
    touch(tmp_path, "near/a.jpg", "near/a.png", "near/deep/a.TIF", "near/b.jpg", "near/b.jpg.txt", "near/more.png")
    assert companions(tmp_path / "in", tmp_path / "near") == {
        "a.jpg": "a.jpg",
        "a.png": "a.png",
        "deep/a.jpg": "deep/a.TIF",
        "b.jpg": "b.jpg",
    }


def test_a_companion_that_is_missing_or_not_the_only_one_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg", "in/deep/b.jpg")
    touch(tmp_path, "near/a.png", "near/a.tif", "near/b.png")
    matches = companions(tmp_path / "in", tmp_path / "near")
    assert matches["a.jpg"].startswith("a.jpg could have any of a.png, a.tif in ")
    assert matches["deep/b.jpg"].startswith("deep/b.jpg has no companion in ")


def test_one_file_is_the_companion_of_one_picture(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg", "near.png")
    (source,) = find_sources([tmp_path / "in"])
    assert find_companions([source], tmp_path / "near.png") == {source: tmp_path / "near.png"}
    with pytest.raises(UserError, match="one file for 2 pictures"):
        find_companions([source, source], tmp_path / "near.png")
    with pytest.raises(UserError, match="does not exist"):
        find_companions([source], tmp_path / "gone")
