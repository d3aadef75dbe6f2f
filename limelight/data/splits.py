"""The division of a dataset into splits: exact counts, the same for one seed whatever order files come in."""

import hashlib
import math
from collections.abc import Iterable

from limelight.foundation.errors import UserError


def share_counts(total: int, shares: dict[str, float]) -> dict[str, int]:
    """Whole numbers that sum to `total`, each within one of its share: the largest remainders are rounded up, among
    equal ones that of the larger share, then by name. The order in which `shares` was written does not matter."""
    ordered = sorted(shares, key=lambda split: (-shares[split], split))
    exact = {split: total * shares[split] for split in ordered}
    counts = {split: math.floor(value + 1e-9) for split, value in exact.items()}
    by_remainder = sorted(ordered, key=lambda split: counts[split] - exact[split])
    for split in by_remainder[: total - sum(counts.values())]:
        counts[split] += 1
    return counts


def assign_splits(keys: Iterable[str], shares: dict[str, float], seed: int) -> dict[str, str]:
    """Key -> split, by rank: the distinct keys in an order that looks random, each at a place of its own.

    A key that comes or goes moves those at the borders of splits alone, about one per split.

    Args:
        keys: what must stay together: sample ids, or clip ids of a video set.
        shares: split -> share; they sum to 1.
        seed: another one gives another order.

    Raises:
        UserError: there are too few keys for every split with a share to have one.
    """
    ordered = sorted(set(keys), key=lambda key: _rank(key, seed))
    counts = share_counts(len(ordered), shares)
    empty = [split for split, share in shares.items() if share > 0 and counts[split] == 0]
    if empty:
        raise UserError(
            f"{len(ordered)} samples divided by {shares} leave none for {', '.join(empty)}; "
            "give larger shares or more samples"
        )
    names = (split for split, count in counts.items() for _ in range(count))
    return dict(zip(ordered, names, strict=True))


def _rank(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{key}".encode(errors="surrogateescape")).digest()
