"""What is expected of the manifest. Row count and column set come first: range checks pass on an empty table."""

from typing import Any

from limelight.config import Validate
from limelight.data.census import CENSUS
from limelight.data.manifest import MODALITIES
from limelight.data.validation.tables import MANIFEST_COLUMNS

_REQUIRED = ("sample_id", "dataset", "split", "modality", "image", "width", "height", "sha256")


def manifest_suite(settings: Validate, datasets: list[str], modalities: set[str]) -> list[Any]:
    """The expectations.

    Args:
        datasets: the names that params.yaml asks for.
        modalities: those in the manifest; rules of the others are left out.
    """
    return [*_shape(settings), *_identity(), *_values(settings, datasets), *_nulls(modalities)]


def _shape(settings: Validate) -> list[Any]:
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectTableColumnsToMatchSet(
            column_set=list(MANIFEST_COLUMNS), exact_match=True, description="the manifest has exactly its columns"
        ),
        gxe.ExpectTableRowCountToBeBetween(
            min_value=settings.min_rows, description=f"at least {settings.min_rows} samples"
        ),
    ]


def _identity() -> list[Any]:
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeUnique(column="sample_id", description="every sample has an id of its own"),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["dataset", "image"], description="a dataset has every image once"
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column="sample_id", regex=r"^[^/]+/.+", description="an id is '<dataset>/<stem>'"
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column="sha256", regex=r"^[0-9a-f]{64}$", description="a hash has 64 hex digits"
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="files_present", value_set=[True], description="image, mask and companion are there"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="splits_of_image",
            max_value=1,
            severity="warning",
            description="no image is in two splits (a test image that was trained on flatters the result)",
        ),
    ]


def _values(settings: Validate, datasets: list[str]) -> list[Any]:
    import great_expectations.expectations as gxe

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
            column="modality", value_set=list(MODALITIES), description=f"the modality is one of {', '.join(MODALITIES)}"
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column="split", regex=r"^[A-Za-z0-9_-]+$", description="a split's name is a plain word"
        ),
        gxe.ExpectColumnValuesToBeNull(
            column="faint_mask",
            mostly=1 - settings.max_faint_masks,
            description="a mask that is not empty exceeds 0.5 somewhere (labels saved as grey do not; save 255 where "
            f"it is salient; all in {CENSUS})",
        ),
    ]


def _nulls(modalities: set[str]) -> list[Any]:
    import great_expectations.expectations as gxe

    rules = [gxe.ExpectColumnValuesToNotBeNull(column=name, description=f"{name} is given") for name in _REQUIRED]
    rules.append(_given("mask", 'not split.str.startswith("unlabelled")', "outside 'unlabelled' splits has a mask"))
    for modality in sorted(modalities):
        where = f'modality == "{modality}"'
        if modality in ("rgbd", "rgbt"):
            rules.append(_given("companion", where, f"of {modality} has a companion"))
        if modality in ("rgb", "text"):
            rules.append(_absent("companion", where, f"of {modality} has no companion"))
        if modality == "video":
            rules += [_given("clip", where, "of video has a clip"), _given("frame", where, "of video has a frame")]
        else:
            rules += [_absent("clip", where, f"of {modality} has no clip")]
        if modality != "text":
            rules.append(
                gxe.ExpectColumnValuesToBeBetween(
                    column="class_count",
                    max_value=0,
                    row_condition=where,
                    condition_parser="pandas",
                    description=f"a sample of {modality} has no classes",
                )
            )
    return rules


def _given(column: str, where: str, text: str) -> Any:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToNotBeNull(
        column=column, row_condition=where, condition_parser="pandas", description=f"a sample {text}"
    )


def _absent(column: str, where: str, text: str) -> Any:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToBeNull(
        column=column, row_condition=where, condition_parser="pandas", description=f"a sample {text}"
    )
