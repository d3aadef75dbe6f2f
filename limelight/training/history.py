"""What a training recorded, epoch by epoch."""

import csv
from dataclasses import dataclass
from pathlib import Path

from limelight.foundation.files import atomic_path, write_json

Record = dict[str, float]

HEADLINES = ("val_max_f", "val_miou")
"""The metrics that decide which epoch was best, for masks and for text prompts; higher is better."""


@dataclass(frozen=True)
class History:
    """One record per epoch: epoch (from 1), loss and its parts (means over the epoch), lr (of the last step), and
    figures such as val_mae and val_max_f where the epoch was validated. Holds no times: equal trainings have equal
    histories."""

    records: list[Record]

    @property
    def last(self) -> Record:
        """The newest value of every quantity: of the last epoch, or of the last one that measured it."""
        return {key: value for record in self.records for key, value in record.items()}

    @property
    def best(self) -> Record | None:
        """The record with the highest headline figure, the earliest of equals; None if no epoch was validated."""
        headline = next((name for name in HEADLINES if name in self.last), "")
        validated = [record for record in self.records if headline in record]
        return max(validated, key=lambda record: record[headline], default=None)

    def write_json(self, path: Path) -> None:
        """Write {"epochs": [records], "best": record or null}."""
        write_json(path, {"epochs": self.records, "best": self.best})

    def write_csv(self, path: Path) -> None:
        """Write one line per epoch; a quantity not measured in an epoch is left empty."""
        columns = list(dict.fromkeys(key for record in self.records for key in record))
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, columns)
            writer.writeheader()
            writer.writerows(self.records)
