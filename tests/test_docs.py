"""What the documentation names exists: commands and options, files, headings, targets, and what its Python imports."""

import ast
import importlib
import re
import runpy
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer.main

from limelight.cli.main import app
from limelight.services import launch

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "params.yaml")]
PAGES += sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("presets/*.yaml")])
COMMANDS = {**typer.main.get_command(app).commands, "serve": typer.main.get_command(launch.app)}


def mistakes(text: str, page: Path) -> list[str]:
    """What a page names that is not there."""
    problems = []
    for verb, rest in re.findall(r"(?<![\w/.-])limelight ([a-z][\w-]*)([^\n`#|&;]*)", text):
        parameters = COMMANDS[verb].params if verb in COMMANDS else []
        known = {"--help"}.union(*((*parameter.opts, *parameter.secondary_opts) for parameter in parameters))
        problems += [f"limelight {verb} {flag}" for flag in re.findall(r"(?<=\s)-[\w-]+", rest) if flag not in known]
        problems += [f"limelight {verb}"] * (verb not in COMMANDS)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"(?:^ {4}|`|`time |&& |: )make ([a-z-]+)", text, re.MULTILINE)
    problems += [f"make {name}" for name in named if name not in targets]
    modules = re.findall(r"-m ((?:benchmarks|limelight)\.[\w.]*\w)", text)
    problems += [name for name in modules if find_spec(name) is None]
    places = re.findall(r"(?:presets|tools)/[\w.-]*\w", text)
    problems += [place for place in places if not (ROOT / place).exists()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for path, heading in re.findall(r"\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)", prose):
        target = page.parent / path if path else page
        if not target.exists() or (heading and heading not in headings(target)):
            problems.append(f"{path}#{heading}")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for node in ast.walk(ast.parse(textwrap.dedent(block))):
            if isinstance(node, ast.ImportFrom):
                problems += [f"{node.module}.{each.name}" for each in node.names if not defined(node.module, each.name)]
            elif isinstance(node, ast.Import):
                problems += [each.name for each in node.names if find_spec(each.name) is None]
    return problems


def defined(module: str, name: str) -> bool:
    """Whether a module of this project defines or passes on a name, by its text: importing it would take seconds."""
    spec = find_spec(module)
    if spec is None or not spec.origin or module.split(".")[0] not in ("limelight", "benchmarks", "tests"):
        return spec is not None and hasattr(importlib.import_module(module), name)
    text = Path(spec.origin).read_text(encoding="utf-8")
    return bool(re.search(rf"^(?:class |def |from [\w.]+ import (?:.*, )?)?{name}\b", text, re.MULTILINE))


def headings(page: Path) -> set[str]:
    """As links name them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    assert mistakes(page.read_text(encoding="utf-8"), page) == []


def test_what_is_not_there_is_found() -> None:
    wrong = """`limelight fly` and `limelight predict a.jpg --speed 3 -o out`,
[page](docs/none.md), [part](README.md#nothing)

    make coffee && python -m benchmarks.none && cp presets/none.yaml params.yaml

```python
from limelight.config import load_params, nothing
```
"""
    assert mistakes(wrong, ROOT / "page.md") == [
        "limelight fly", "limelight predict --speed", "make coffee", "benchmarks.none", "presets/none.yaml",
        "docs/none.md#", "README.md#nothing", "limelight.config.nothing",
    ]  # fmt: skip


def test_the_page_of_settings_is_that_of_the_code() -> None:
    written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert written == runpy.run_path(str(ROOT / "tools/settings"))["page"](), "run tools/settings"
    assert "\n## `runs.<name>.schedule`\n" in written and "| `epochs` | whole number, at least 1 | `10` |" in written
