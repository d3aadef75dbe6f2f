"""Errors that processes pass to each other."""

import pickle

from limelight.foundation.errors import TooLarge


def test_an_error_of_size_is_the_same_in_another_process() -> None:
    for option in (None, "--max-pixels"):
        error = TooLarge("it has 12 pixels, more than 11", "make it smaller", option)
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        assert isinstance(copy, TooLarge) and str(copy) == str(error) and copy.without_option == error.without_option
    assert str(error) == "it has 12 pixels, more than 11; make it smaller, or raise the limit (--max-pixels)"
