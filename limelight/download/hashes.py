"""Hashes by which a file is known again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from limelight.foundation.files import hash_file

Algorithm = Literal["sha256", "md5"]


@dataclass(frozen=True)
class Hash:
    """The hash of a whole file.

    MD5 is what some authors publish. It tells a damaged or a replaced file; only its author could make two files of one
    MD5.
    """

    algorithm: Algorithm
    digest: str
    """Lower-case hex digits."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse 'sha256:1be3...' or 'md5:d692...'."""
        for algorithm in get_args(Algorithm):
            if text.startswith(f"{algorithm}:"):
                return cls(algorithm, text.partition(":")[2].lower())
        raise ValueError(f"{text!r} is not '<algorithm>:<digest>', where the algorithm is sha256 or md5")

    def of(self, path: Path) -> str:
        """The same hash of a file.

        Raises:
            UserError: it cannot be read.
        """
        return hash_file(path, self.algorithm)

    def fits(self, path: Path) -> bool:
        """Whether a file has this hash."""
        return self.of(path) == self.digest
