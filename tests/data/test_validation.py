from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import trees

from limelight.config import Validate
from limelight.data.census import Reading, findings
from limelight.data.manifest import Sample
from limelight.data.validation.checks import Checker, Outcome, failure_table
from limelight.data.validation.contact_sheet import write_contact_sheet
from limelight.data.validation.manifest_suite import manifest_suite
from limelight.data.validation.samples_suite import samples_suite
from limelight.data.validation.tables import choose, decoded_table, manifest_table
from limelight.imaging.masks import Coding

SETTINGS = Validate(min_rows=10, min_side=16)


def make(root: Path, count: int, dataset: str = "good", level: int = 255, companion: bool = False) -> list[Sample]:
    """A dataset of stills and its rows of the manifest."""
    names = [f"{number:02}" for number in range(count)]
    trees.stills(root / dataset, names, companion="depth" if companion else None)
    for name in names:
        trees.mask(root / dataset / "masks" / f"{name}.png", level=level)
    return [
        Sample(
            sample_id=f"{dataset}/{name}",
            dataset=dataset,
            split="train",
            sensor="rgbd" if companion else "rgb",
            labels="mask",
            image=str(root / dataset / "images" / f"{name}.jpg"),
            companion=str(root / dataset / "depth" / f"{name}.png") if companion else None,
            mask=str(root / dataset / "masks" / f"{name}.png"),
            clip=None,
            frame=None,
            classes=(),
            width=24,
            height=20,
            sha256=f"{number:064x}",
        )
        for number, name in enumerate(names)
    ]


@pytest.fixture(scope="module")
def checker(tmp_path_factory) -> Checker:
    return Checker(tmp_path_factory.mktemp("docs"))


def failed(outcomes: list[Outcome], *, warnings: bool = False) -> dict[str, Outcome]:
    return {one.expectation: one for one in outcomes if not one.success and one.warning == warnings}


def find(outcomes: dict[str, Outcome], text: str) -> Outcome:
    return next(outcome for expectation, outcome in outcomes.items() if text in expectation)


@pytest.mark.slow
def test_manifest_rules(checker, tmp_path):
    good = make(tmp_path, 20) + make(tmp_path, 4, "depth", companion=True)
    bad = [
        replace(good[0], sample_id=good[1].sample_id),
        replace(good[2], mask=None),
        replace(good[3], width=8),
        replace(good[4], sha256="short"),
        replace(good[5], split="test"),
        replace(good[6], clip="bear"),
        replace(good[20], companion=None),
        replace(good[21], mask=str(tmp_path / "gone.png")),
        replace(good[7], dataset="stray"),
    ]
    same_image = [replace(good[8], sha256=good[5].sha256)]  # good[5] is in another split
    odd = [
        replace(good[9], frame=3),
        replace(good[10], labels="classes", mask=None),
        replace(good[11], classes=("cat",)),
    ]
    rows = [*bad, *same_image, good[1], *odd, *good[12:20], *good[22:]]
    table = manifest_table(rows)
    suite = manifest_suite(SETTINGS, ["good", "depth", "absent"], rows)
    outcomes = checker.check("manifest", table.drop(columns="height"), suite)
    problems = failed(outcomes)
    assert find(problems, "a unique id").samples == (good[1].sample_id,)
    assert find(problems, "'unlabelled' splits has a mask").samples == (good[2].sample_id, good[10].sample_id)
    assert find(problems, "with labels mask has a mask").samples == (good[2].sample_id,)
    assert find(problems, "with labels classes has a mask").samples == (good[10].sample_id,)
    assert find(problems, "with labels mask has no classes").samples == (good[11].sample_id,)
    assert find(problems, "width is at least 16").samples == (good[3].sample_id,)
    assert find(problems, "64 hex").samples == (good[4].sample_id,)
    assert find(problems, "of a clip has a frame number").samples == (good[6].sample_id,)
    assert find(problems, "of no clip has no frame number").samples == (good[9].sample_id,)
    assert find(problems, "of rgbd has a companion").samples == (good[20].sample_id,)
    assert "stray" in find(problems, "the dataset is one of").detail
    assert find(problems, "companion exist").samples == (good[21].sample_id,)
    assert find(problems, "every dataset of params.yaml has samples")
    assert "height" not in find(problems, "exactly its columns").detail, "what is there, so not height"
    assert "does not exist" in find(problems, "height is at least").detail, "the reason stands in the exception alone"
    assert find(failed(outcomes, warnings=True), "in two splits").samples
    text = failure_table(outcomes)
    assert f"- {good[3].sample_id}" in text and "warning  manifest: no image is in two splits" in text


def test_empty_manifest(checker):
    outcomes = checker.check("empty", manifest_table([]), manifest_suite(SETTINGS, ["good"], []))
    assert {"at least 10 samples", "every dataset of params.yaml has samples"} <= failed(outcomes).keys()


def test_sample_rules(checker, tmp_path):
    good, black = make(tmp_path, 12), make(tmp_path, 8, "black", level=0)
    soft, full = make(tmp_path, 8, "soft"), make(tmp_path, 8, "full", companion=True)
    for sample in soft:
        ramp = np.tile(np.linspace(0, 255, 24, dtype=np.uint8), (20, 1))
        trees.write(Path(sample.mask), ramp)
    for sample in full:
        trees.write(Path(sample.mask), np.full((20, 24), 255, np.uint8))
        trees.write(Path(sample.companion), np.full((20, 24), 7, np.uint8))
    trees.picture(Path(good[0].image), size=(25, 30))
    Path(good[1].image).write_bytes(b"not a picture")
    trees.mask(Path(good[2].mask), size=(40, 10))
    for sample in good[3:6]:
        trees.write(Path(sample.image), np.full((20, 24, 3), 9, np.uint8))
    table = decoded_table([*good, *black, *soft, *full])
    problems = failed(checker.check("samples", table, samples_suite(SETTINGS, table)))
    assert find(problems, "the size that the manifest says").samples == (good[0].sample_id,)
    assert set(find(problems, "every file decodes").samples) == {good[1].sample_id, good[2].sample_id}
    assert set(find(problems, "not one flat colour").samples) == {one.sample_id for one in good[3:6]}
    assert find(problems, "black: at most 20% of the masks are empty").detail == "found 1.0"
    assert find(problems, "full: at most 5% of the masks are full")
    assert find(problems, "soft: at least 50% of the masks are nearly black and white").detail == "found 0.0"
    assert find(problems, "a companion is not one flat level")
    assert [text for text in problems if text.startswith("good:")] == ["good: an image is not one flat colour"]
    write_contact_sheet([*good, *full], tmp_path / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 18 + 4 * 144, 4 * 3 * 144, 3) and sheet.std() > 10
    write_contact_sheet([full[0], replace(full[1], companion=None)], tmp_path / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (18 + 144, 2 * 3 * 144, 3) and (sheet[18:, 5 * 144 :] == 24).all(), "one has no companion"


@pytest.mark.slow
def test_a_flat_dataset_does_not_hide_among_others(checker, tmp_path):
    many, flat = make(tmp_path, 60), make(tmp_path, 2, "flat", companion=True)
    for sample in flat:
        trees.write(Path(sample.image), np.full((20, 24, 3), 9, np.uint8))
    table = decoded_table([*many, *flat])
    problems = failed(checker.check("flat", table, samples_suite(SETTINGS, table)))
    assert set(find(problems, "flat: an image is not one flat colour").samples) == {one.sample_id for one in flat}
    assert not [text for text in problems if "good:" in text or "companion" in text]


def test_soft_masks_are_meant_in_pascal_s(tmp_path):
    samples = make(tmp_path, 2, "PASCAL-S")
    table = decoded_table(samples)
    texts = [rule.description for rule in samples_suite(SETTINGS, table)]
    assert any("PASCAL-S" in text and "empty" in text for text in texts)
    assert not any("black and white" in text for text in texts)


@pytest.mark.parametrize(("soft", "state"), [(False, "fault"), (True, "notice")])
def test_a_mask_that_never_exceeds_half_is_at_fault_unless_softness_is_meant(soft, state):
    tops = {"none": 0.0, "faint": 0.5, "full": 1.0}
    readings = [Reading(name, f"{name}.png", Coding.LEVELS, top) for name, top in tops.items()]
    assert [(one.sample_id, one.state) for one in findings("set", readings, soft=soft)] == [("faint", state)]


def test_choice_of_samples(tmp_path):
    one, two = make(tmp_path, 12), make(tmp_path, 3, "two")
    chosen = choose([*one, *two], 5)
    assert [sum(sample.dataset == name for sample in chosen) for name in ("good", "two")] == [5, 3]
    assert chosen == choose([*one, *two], 5)
    assert chosen == sorted(chosen, key=lambda sample: [*one, *two].index(sample))
