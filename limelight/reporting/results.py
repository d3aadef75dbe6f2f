"""Result tables as papers print them: a row per method, a column per metric of each dataset; as CSV and LaTeX."""

from collections.abc import Mapping, Sequence
from typing import Any

from limelight.config import Rule
from limelight.foundation.csv_text import to_csv
from limelight.foundation.errors import UserError
from limelight.reporting.leaderboard import Contest
from limelight.reporting.rows import Row
from limelight.reporting.rule import MEAN
from limelight.reporting.tables import Cell, comparable_means, measured, scored_cells
from limelight.tasks.task import Metric, Task

_TEX_ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$"}
_TEX_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def chosen_metrics(rule: Rule, rows: Sequence[Row], task: Task[Any, Any]) -> list[str]:
    """Return the names of the result tables' metrics: those that `compare` of params.yaml names, or all measured ones.

    Raises:
        UserError: the task has no metric of a name.
    """
    names = list(measured(rows, task.metrics)) if rule.table is None else rule.table
    if unknown := [name for name in names if name not in task.metrics]:
        raise UserError(f"compare.{task.name}.table names {unknown[0]!r}; choose of {', '.join(task.metrics)}")
    return names


def results_csv(contest: Contest) -> str:
    """Format artifact, runtime, then <dataset>/<metric> and, of several datasets, mean/<metric>; empty if undefined."""
    groups = _groups(contest)
    header = ["artifact", "runtime", *(f"{group}/{name}" for group in groups for name in contest.table)]
    rows = [
        [row.artifact, row.runtime, *(_number(own, name) for own in figures for name in contest.table)]
        for row, *figures in zip(contest.rows, *groups.values(), strict=True)
    ]
    return to_csv(header, rows)


def results_tex(contest: Contest, metrics: Mapping[str, Metric]) -> str:
    """Format a LaTeX table (package booktabs): best in bold, second best underlined, equal at three decimals alike."""
    chosen = {name: metrics[name] for name in contest.table}
    groups = _groups(contest)
    scored = [scored_cells(figures, chosen) for figures in groups.values()]
    width = len(chosen)
    headings = [f"{_tex(metric.label)} {_TEX_ARROWS[metric.better]}" for metric in chosen.values()]
    firsts = range(2, 2 + width * len(groups), width)
    lines = [
        "% Best in bold, second best underlined. Needs \\usepackage{booktabs}.",
        f"\\begin{{tabular}}{{l*{{{width * len(groups)}}}{{r}}}}",
        "\\toprule",
        _tex_line(["", *(f"\\multicolumn{{{width}}}{{c}}{{{_tex(group)}}}" for group in groups)]),
        "".join(f"\\cmidrule(lr){{{first}-{first + width - 1}}}" for first in firsts),
        _tex_line(["method", *headings * len(groups)]),
        "\\midrule",
        *(
            _tex_line([_tex(row.name), *(_tex_cell(cell) for cells in scored for cell in cells[index])])
            for index, row in enumerate(contest.rows)
        ),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _groups(contest: Contest) -> dict[str, list[dict[str, float]]]:
    """Dataset -> figures of each row; of several datasets, their mean comes last."""
    groups = {name: [row.datasets.get(name, {}) for row in contest.rows] for name in contest.datasets}
    return groups | ({MEAN: comparable_means(contest)} if len(groups) > 1 else {})


def _number(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[name]:.6f}" if name in figures else ""


def _tex_cell(cell: Cell) -> str:
    if not isinstance(cell.value, float):
        return "--"
    text = f"{cell.value:.3f}"
    return f"\\textbf{{{text}}}" if cell.best else f"\\underline{{{text}}}" if cell.second else text


def _tex_line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _tex(text: str) -> str:
    return text.translate(_TEX_SPECIAL)
