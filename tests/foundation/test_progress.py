"""Progress is readable where it is not seen on a terminal."""

import pytest

from limelight.foundation import progress


def test_progress_off_a_terminal_prints_plain_lines(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(range(5), 5, "counting", "numbers")) == list(range(5))
    shown = capfd.readouterr().err
    assert shown.startswith("counting: 5/5 numbers") and "\r" not in shown and "\x1b" not in shown
