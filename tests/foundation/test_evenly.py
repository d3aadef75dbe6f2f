from limelight.foundation.evenly import evenly_spaced


def test_the_ends_and_even_distances_between() -> None:
    assert evenly_spaced("abcdefghi", 5) == ["a", "c", "e", "g", "i"]
    assert evenly_spaced("abcdef", 3) == ["a", "c", "f"], "2.5 is rounded to an even number"
    assert evenly_spaced("abc", 1) == ["a"] and evenly_spaced("ab", 9) == ["a", "b"] and evenly_spaced("", 4) == []
