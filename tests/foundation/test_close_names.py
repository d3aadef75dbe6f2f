"""Suggestions of names: by alias, by part, by spelling."""

import pytest

from limelight.foundation.close_names import close_names

KNOWN = ("DUTS-TR", "DUTS-TE", "DUT-OMRON", "NJUD", "ECSSD", "net.plus-ultra", "net.duts", "SOD")


@pytest.mark.parametrize(
    ("name", "first"),
    [("NJU2K", "NJUD"), ("duts", "DUTS-TR"), ("ecssd", "ECSSD"), ("ecsd", "ECSSD"), ("NET", "net.duts")],
)
def test_the_likeliest_is_first(name: str, first: str) -> None:
    names = close_names(name, KNOWN, {"nju2k": "NJUD"})
    assert names[0] == first and len(names) <= 3


@pytest.mark.parametrize("name", ["zzz", "", "x"])
def test_what_is_like_none(name: str) -> None:
    assert close_names(name, KNOWN) == []
