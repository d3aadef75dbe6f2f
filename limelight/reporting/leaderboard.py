"""The leaderboard: a contest per task, and the origin of its figures."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from limelight.reporting.rows import Row
from limelight.reporting.rule import Champion


@dataclass(frozen=True)
class Contest:
    """The evaluations of one task."""

    rows: list[Row]
    """Best first."""
    champion: Champion
    table: list[str]
    """Metrics of the result tables, in their order."""

    @property
    def winner(self) -> Row:
        """The champion's row."""
        name = f"{self.champion.artifact} ({self.champion.runtime})"
        return next(row for row in self.rows if row.name == name)

    @property
    def datasets(self) -> list[str]:
        return sorted({dataset for row in self.rows for dataset in row.datasets})


@dataclass(frozen=True)
class Leaderboard:
    """The contests by task; only tasks with evaluations."""

    contests: dict[str, Contest]
    hardware: list[str]
    """One line per machine and thread count of the latencies; latencies of different lines are not comparable."""
    reproduce: dict[str, str]
    manifest_sha256: str
    """Hash of the samples that everything was measured on."""
    data_sha256: str
    """Hash of the samples and of their datasets' whole folders, masks included."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Report, or artifact and runtime -> why it has no row."""

    def to_json(self) -> dict[str, Any]:
        """Convert for JSON; rows omit the scores without companions where there are none."""
        tree = asdict(self)
        for contest in tree["contests"].values():
            for row in contest["rows"]:
                if not row["without_companion"]:
                    del row["without_companion"]
        return tree

    def champions(self) -> dict[str, dict[str, Any]]:
        """champion.json: task -> the rule's choice, hashes of its weights, folder and code, and of the data it was
        measured on."""
        return {
            task: {
                **asdict(contest.champion),
                "weights_sha256": contest.winner.weights_sha256,
                "folder_sha256": contest.winner.folder_sha256,
                "code_sha256": contest.winner.code_sha256,
                "manifest_sha256": self.manifest_sha256,
                "data_sha256": self.data_sha256,
            }
            for task, contest in self.contests.items()
        }


def tracked_results(board: Leaderboard, folder: Path | str) -> dict[str, Any]:
    """Collect what the experiment tracker gets of a comparison.

    Returns:
        metrics: '<artifact>/<runtime>/<what>' -> number; params: the champions; artifacts: files of `folder`.
    """
    metrics: dict[str, float] = {}
    params: dict[str, str] = {}
    for task, contest in board.contests.items():
        for row in contest.rows:
            speed = {name: getattr(row, name) for name in ("network_ms", "total_ms", "parameters", "macs")}
            for name, value in {**row.mean, **speed}.items():
                if value is not None:
                    metrics[f"{row.artifact}/{row.runtime}/{name}"] = value
        best, what = contest.champion, f"champion_{task}"
        params |= {what: best.artifact, f"{what}_runtime": best.runtime}
        params[f"{what}_rule"] = f"{best.metric} on {best.dataset}"
        metrics[f"{what}/{best.metric}"] = best.value
    return {"metrics": metrics, "params": params, "artifacts": sorted(Path(folder).iterdir())}
