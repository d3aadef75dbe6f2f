"""Expectations on decoded samples: pictures that are not flat, masks that are plausible."""

from typing import TYPE_CHECKING, Any

import great_expectations.expectations as gxe

from limelight.config import Validate
from limelight.data.catalogue import lookup
from limelight.data.validation.tables import DECODED_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_FLAT = 1e-6
_MOSTLY = 0.95
"""Share of a dataset's pictures that must not be flat: a video may fade to black, a sensor may fail."""
_NOT_FLAT = (("image_std", "an image is not one flat colour"), ("companion_std", "a companion is not one flat level"))


def samples_suite(settings: Validate, table: "pd.DataFrame") -> list[Any]:
    """Build the expectations; flat pictures, and empty, full and black-and-white masks, are counted per dataset."""
    rules = [
        gxe.ExpectTableColumnsToMatchSet(
            column_set=list(DECODED_COLUMNS), exact_match=True, description="the table has exactly its columns"
        ),
        gxe.ExpectTableRowCountToBeBetween(min_value=1, description="at least one sample was decoded"),
        gxe.ExpectColumnValuesToBeNull(column="error", description="every file decodes and fits its image"),
        gxe.ExpectColumnValuesToBeInSet(
            column="size_matches", value_set=[True], description="a decoded image has the size that the manifest says"
        ),
    ]
    for column, text in _NOT_FLAT:
        measured = table[table[column].notna()]
        rules += [_flat_rule(column, text, dataset) for dataset in sorted(measured["dataset"].unique())]
    masked = table[table["mask_mean"].notna()]
    for dataset in sorted(masked["dataset"].unique()):
        rules += _mask_rules(settings, dataset)
    return rules


def _flat_rule(column: str, text: str, dataset: str) -> Any:
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=_FLAT,
        mostly=_MOSTLY,
        row_condition=f"dataset == {dataset!r}",
        condition_parser="pandas",
        description=f"{dataset}: {text}",
    )


def _mask_rules(settings: Validate, dataset: str) -> list[Any]:
    entry = lookup(dataset)
    limits = {
        "mask_empty": (None, settings.max_empty_masks, "empty"),
        "mask_full": (None, settings.max_full_masks, "full"),
        "mask_binary": (settings.binary_masks, None, "nearly black and white"),
    }
    if entry and entry.soft_masks:
        del limits["mask_binary"]
    return [
        gxe.ExpectColumnMeanToBeBetween(
            column=column,
            min_value=low,
            max_value=high,
            row_condition=f"dataset == {dataset!r}",
            condition_parser="pandas",
            description=f"{dataset}: "
            + (f"at most {high:.0%}" if low is None else f"at least {low:.0%}")
            + f" of the masks are {text}",
        )
        for column, (low, high, text) in limits.items()
    ]
