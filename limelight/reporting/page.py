"""The leaderboard as Markdown and as one self-contained HTML file."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from limelight.evaluation.tiles import Tile
from limelight.reporting.leaderboard import Leaderboard
from limelight.reporting.page_style import SCRIPT, STYLE
from limelight.reporting.rows import MAPS
from limelight.reporting.rule import Champion
from limelight.reporting.tables import Cell, Table, tables
from limelight.tasks import get_task

Diagram = tuple[Path, Path]
"""Plot of speed and quality, for a light and for a dark page."""

_NOTE = (
    "Of each metric the best value is bold and the second best underlined. Latencies are medians of single images: of "
    "the network, and end to end with resizing and normalisation. GMAC "
    "counts multiply-accumulates of convolutions and linear layers."
)


def markdown(board: Leaderboard) -> str:
    """Format the tables, the champion and the reproduce commands as GitHub's Markdown."""
    parts = ["# Leaderboard"]
    for task, contest in board.contests.items():
        best = contest.champion
        parts.append(
            f"**Champion of {task}: {best.artifact} ({best.runtime})**, {best.metric} {best.value:.4f}: {best.reason}."
        )
        if best.runner_up:
            parts.append(f"Runner-up: {_runner_up(best)}.")
    for table in tables(board):
        parts += [f"## {table.title}", _markdown_table(table)]
    parts += [_notes(board), *_facts(board)]
    return "\n\n".join(parts) + "\n"


def html(board: Leaderboard, pictures: Mapping[str, Sequence[Tile]], diagrams: Sequence[Diagram]) -> str:
    """Format one self-contained page, light or dark by the reader's system setting.

    Args:
        pictures: the gallery, by sample id.
        diagrams: one per task.
    """
    champions = {f"{best.artifact} ({best.runtime})" for best in (each.champion for each in board.contests.values())}
    body = [
        "<header><h1>Limelight leaderboard</h1></header>",
        *(_champion(f"champion of {task}", contest.champion) for task, contest in board.contests.items()),
        *(_html_table(table, champions) for table in tables(board)),
        f'<p class="notes">{escape(_notes(board))} Click a heading to sort.</p>',
        "<h2>Speed and quality</h2>",
        *(_figure(*diagram) for diagram in diagrams),
        *(["<h2>The same images</h2>"] if pictures else []),
        *(_strip(name, tiles) for name, tiles in pictures.items()),
        "<h2>Where this comes from</h2><ul>" + "".join(f"<li>{_code(fact)}</li>" for fact in _facts(board)) + "</ul>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Limelight leaderboard</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(body)}<script>{SCRIPT}</script></body></html>\n"
    )


def _notes(board: Leaderboard) -> str:
    return " ".join([*(get_task(task).note for task in board.contests), _NOTE])


def _champion(kicker: str, best: Champion) -> str:
    return (
        f'<section class="champion"><p class="kicker">{kicker}</p>'
        f'<p class="name">{escape(best.artifact)} <span>{escape(best.runtime)}</span></p>'
        f'<p class="value">{escape(best.metric)} {best.value:.4f}</p><p>{escape(best.reason)}.</p>'
        + (f"<p>Runner-up: {escape(_runner_up(best))}.</p>" if best.runner_up else "")
        + "</section>"
    )


def _runner_up(best: Champion) -> str:
    after = best.runner_up or {}
    return f"{after['artifact']} ({after['runtime']}), {after['value']:.4f}"


def _facts(board: Leaderboard) -> list[str]:
    """List the reproduce command, the machine and what was left out; commands in backticks."""
    made = board.reproduce
    facts = [f"Reproduce: `{made['command']}` with profile `{made['profile']}` in params.yaml."]
    if made.get("dirty") == "true":
        facts.append("The working tree differed from that revision.")
    facts += [f"Measured on: {line}." for line in board.hardware]
    if len(board.hardware) > 1:
        facts.append("Latencies of different machines or numbers of threads are not comparable.")
    if any(row.runtime == MAPS for contest in board.contests.values() for row in contest.rows):
        facts.append("Rows called maps are scored from published maps; their speed is not known here.")
    return facts + [f"Left out: {name}: {reason}." for name, reason in board.left_out.items()]


def _markdown_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rows = [[_markdown_cell(cell) for cell in row] for row in table.rows]
    return "\n".join([line(table.header), line(["---"] * len(table.header)), *map(line, rows)])


def _markdown_cell(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.best else f"<ins>{cell.text}</ins>" if cell.second else cell.text


def _html_table(table: Table, champions: set[str]) -> str:
    kinds = [_kind(cell) for cell in table.rows[0]]
    head = "".join(
        f'<th tabindex="0" class="{kind}">{escape(title)}</th>' for kind, title in zip(kinds, table.header, strict=True)
    )
    rows = "".join(
        f"<tr{' class=champion-row' if row[0].value in champions else ''}>{''.join(_cell(cell) for cell in row)}</tr>"
        for row in table.rows
    )
    return (
        f'<h2>{escape(table.title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    sort = "" if cell.value is None else f' data-sort="{escape(str(cell.value))}"'
    mark = " best" if cell.best else " second" if cell.second else ""
    return f'<td class="{_kind(cell)}{mark}"{sort}>{escape(cell.text)}</td>'


def _kind(cell: Cell) -> str:
    return "text" if isinstance(cell.value, str) else "number"


def _figure(light: Path, dark: Path) -> str:
    def uri(path: Path) -> str:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()

    return (
        f'<picture><source srcset="{uri(dark)}" media="(prefers-color-scheme: dark)">'
        f'<img class="wide" src="{uri(light)}" alt="Quality over network latency, one point per row"></picture>'
    )


def _strip(name: str, tiles: Sequence[Tile]) -> str:
    shown = "".join(
        f'<figure><img src="{tile.uri}" alt="{escape(tile.title)}" loading="lazy">'
        f"<figcaption>{escape(tile.title)}<br><small>{escape(tile.note)}&nbsp;</small></figcaption></figure>"
        for tile in tiles
    )
    return f'<h3>{escape(name)}</h3><div class="strip">{shown}</div>'


def _code(fact: str) -> str:
    """Escape, and turn `...` into code."""
    parts = escape(fact).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
