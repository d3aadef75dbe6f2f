"""Times of two forms that are measured in pairs."""

import argparse
from collections.abc import Sequence

import numpy as np

from limelight.evaluation.averages import standard_error


def add_pairs(parser: argparse.ArgumentParser, default: int, of: str) -> None:
    """Add --pairs, how many, and --threads.

    Args:
        of: what a pair is made of, for the help.
    """
    parser.add_argument("--pairs", type=number, default=default, help=of)
    parser.add_argument("--threads", type=int, default=1)


def number(text: str) -> int:
    if (pairs := int(text)) < 2:
        raise argparse.ArgumentTypeError("a standard error needs at least 2 pairs")
    return pairs


def paired_ratio(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """The geometric mean of after / before over pairs with its standard error, and both medians in milliseconds."""
    logarithms = np.log(np.asarray(after) / np.asarray(before))
    ratio = float(np.exp(logarithms.mean()))
    return {
        "before_ms": round(1000 * float(np.median(before)), 2),
        "after_ms": round(1000 * float(np.median(after)), 2),
        "ratio": round(ratio, 4),
        "standard_error": round(ratio * standard_error(logarithms), 4),
    }
