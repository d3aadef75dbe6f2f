import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight.data.splits import assign_splits, share_counts
from limelight.foundation.errors import UserError

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


@given(st.integers(0, 5000), st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_counts_are_exact(total, weights):
    shares = {f"split{number}": weight / sum(weights) for number, weight in enumerate(weights)}
    counts = share_counts(total, shares)
    assert sum(counts.values()) == total
    assert all(abs(counts[split] - total * share) < 1 for split, share in shares.items())


@given(st.permutations([f"set/{number}" for number in range(40)]), st.integers(0, 5))
def test_order_of_the_files_does_not_matter(keys, seed):
    assert assign_splits(keys, SHARES, seed) == assign_splits(sorted(keys), SHARES, seed)


def test_division():
    keys = [f"set/{number:04}" for number in range(1000)]
    assigned = assign_splits(keys, SHARES, seed=0)
    assert [list(assigned.values()).count(split) for split in SHARES] == [800, 100, 100]
    assert assigned == assign_splits(keys, dict(reversed(SHARES.items())), seed=0)
    other = assign_splits(keys, SHARES, seed=1)
    assert sum(assigned[key] != other[key] for key in keys) > 200, "another seed divides otherwise"
    test = [key for key in keys if assigned[key] == "test"]
    assert len(set(test[:50]) - set(keys[:100])) > 25, "test samples come from everywhere, not from one end"


def test_a_file_more_moves_few():
    """Published divisions stay what they were as a dataset grows."""
    keys = [f"set/{number:04}" for number in range(1000)]
    before = assign_splits(keys, SHARES, seed=0)
    for new in ("set/0000b", "set/new"):
        after = assign_splits([*keys, new], SHARES, seed=0)
        assert sum(before[key] != after[key] for key in keys) < len(SHARES)


def test_too_few_samples():
    with pytest.raises(UserError, match=r"3 samples divided by .* leave none for val, test"):
        assign_splits(["a", "b", "c"], SHARES, seed=0)
