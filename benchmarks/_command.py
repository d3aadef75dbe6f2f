"""What the command lines of the benchmarks share."""

import argparse
from collections.abc import Callable
from pathlib import Path

from limelight.foundation.one_line import mistakes_in_one_line


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the benchmark's own text, and --json, the file that its report is written to as well."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    # Absolute, since some benchmarks work in a folder of their own.
    parser.add_argument("--json", type=lambda path: Path(path).absolute(), help="write the report to this file, too")
    return parser


def run_command(main: Callable[[], None]) -> None:
    """Run a benchmark; a mistake of the user's is one line and status 2."""
    with mistakes_in_one_line():
        main()
