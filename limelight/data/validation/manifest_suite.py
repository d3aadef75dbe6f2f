"""Expectations on the manifest. Row count and column set come first: range checks pass on an empty table."""

from collections.abc import Collection, Sequence
from typing import Any, get_args

import great_expectations.expectations as gxe

from limelight.config import Labels, Validate
from limelight.config.data import SPLIT
from limelight.data.census import CENSUS
from limelight.data.manifest import Sample
from limelight.data.validation.tables import MANIFEST_COLUMNS
from limelight.models.card import MODALITIES

_REQUIRED = ("sample_id", "dataset", "split", "sensor", "labels", "image", "width", "height", "sha256")


def manifest_suite(settings: Validate, datasets: list[str], samples: Sequence[Sample]) -> list[Any]:
    """Build the expectations on the manifest.

    Args:
        datasets: the names that params.yaml asks for.
        samples: those in the manifest; rules of sensors and labels that none of them has are left out.
    """
    sensors, labels = {sample.sensor for sample in samples}, {sample.labels for sample in samples}
    return [
        *_shape(settings),
        *_identity(),
        *_values(settings, datasets),
        *_expect_required(),
        *_of_sensors(sensors),
        *_of_labels(labels),
        *_of_clips(),
    ]


def _shape(settings: Validate) -> list[Any]:
    return [
        gxe.ExpectTableColumnsToMatchSet(
            column_set=list(MANIFEST_COLUMNS), exact_match=True, description="the manifest has exactly its columns"
        ),
        gxe.ExpectTableRowCountToBeBetween(
            min_value=settings.min_rows, description=f"at least {settings.min_rows} samples"
        ),
    ]


def _identity() -> list[Any]:
    return [
        gxe.ExpectColumnValuesToBeUnique(column="sample_id", description="every sample has a unique id"),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["dataset", "image"], description="no dataset lists an image twice"
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column="sample_id", regex=r"^[^/]+/.+", description="an id is '<dataset>/<stem>'"
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column="sha256", regex=r"^[0-9a-f]{64}$", description="a hash has 64 hex digits"
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="files_present", value_set=[True], description="image, mask and companion exist"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="splits_of_image",
            max_value=1,
            severity="warning",
            description="no image is in two splits (training on test images inflates the result)",
        ),
        gxe.ExpectColumnValuesToBeNull(
            column="duplicate_of",
            severity="warning",
            description="no picture is a copy of one of another split, in another size, quality or mirrored (all in "
            "reports/data/duplicates.csv)",
        ),
    ]


def _values(settings: Validate, datasets: list[str]) -> list[Any]:
    sides = [
        gxe.ExpectColumnValuesToBeBetween(
            column=side, min_value=settings.min_side, description=f"{side} is at least {settings.min_side} pixels"
        )
        for side in ("width", "height")
    ]
    return [
        *sides,
        gxe.ExpectColumnValuesToBeBetween(
            column="pixels",
            max_value=settings.max_pixels,
            description=f"an image has at most {settings.max_pixels:,} pixels",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="dataset", value_set=datasets, description="the dataset is one of params.yaml"
        ),
        gxe.ExpectColumnDistinctValuesToContainSet(
            column="dataset", value_set=datasets, description="every dataset of params.yaml has samples"
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="sensor", value_set=list(MODALITIES), description=f"the sensor is one of {', '.join(MODALITIES)}"
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="labels",
            value_set=list(get_args(Labels)),
            description=f"labels is one of {', '.join(get_args(Labels))}",
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column="split", regex=f"^{SPLIT}$", description="a split's name is a plain word"
        ),
        gxe.ExpectColumnValuesToBeNull(
            column="faint_mask",
            mostly=1 - settings.max_faint_masks,
            description="a mask that is not empty exceeds 0.5 somewhere (labels saved as grey do not; save 255 where "
            f"it is salient; all in {CENSUS})",
        ),
    ]


def _expect_required() -> list[Any]:
    return [gxe.ExpectColumnValuesToNotBeNull(column=name, description=f"{name} is given") for name in _REQUIRED]


def _of_sensors(sensors: Collection[str]) -> list[Any]:
    return [
        _expect_null("companion", 'sensor == "rgb"', "of rgb has no companion")
        if sensor == "rgb"
        else _expect_not_null("companion", f'sensor == "{sensor}"', f"of {sensor} has a companion")
        for sensor in sorted(sensors)
    ]


def _of_labels(labels: Collection[str]) -> list[Any]:
    rules = [
        _expect_not_null("mask", 'not split.str.startswith("unlabelled")', "outside 'unlabelled' splits has a mask")
    ]
    for kind in sorted(labels):
        where = f'labels == "{kind}"'
        check = _expect_null if kind == "none" else _expect_not_null
        rules.append(check("mask", where, f"with labels {kind} has {'no' if kind == 'none' else 'a'} mask"))
        if kind != "classes":
            rules.append(
                gxe.ExpectColumnValuesToBeBetween(
                    column="class_count",
                    max_value=0,
                    row_condition=where,
                    condition_parser="pandas",
                    description=f"a sample with labels {kind} has no classes",
                )
            )
    return rules


def _of_clips() -> list[Any]:
    return [
        _expect_not_null("frame", "clip.notnull()", "of a clip has a frame number"),
        _expect_null("frame", "clip.isnull()", "of no clip has no frame number"),
    ]


def _expect_not_null(column: str, where: str, text: str) -> Any:
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column, row_condition=where, condition_parser="pandas", description=f"a sample {text}"
    )


def _expect_null(column: str, where: str, text: str) -> Any:
    return gxe.ExpectColumnValuesToBeNull(
        column=column, row_condition=where, condition_parser="pandas", description=f"a sample {text}"
    )
