"""A stage's deps in dvc.yaml name all the code that its results come from: else `dvc repro` keeps old results.

Imports are read from the source, those inside functions too, and followed through the project.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from limelight.models.registry import REGISTRY

ROOT = Path(__file__).resolve().parent.parent.parent
BESIDE = ("flows", "models", "services", "stages")
"""Folders of the package limelight that stand beside its own."""
OWN = ("limelight", *BESIDE)
STAGES: dict[str, dict] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

FAMILY_CODE = re.compile(rf"models/({'|'.join(sorted({each.family for each in REGISTRY.values()}))})/")

EXEMPT = {
    "limelight/__init__.py": "the version",
    "limelight/config/__init__.py": "settings reach DVC as params",
    "limelight/config/data.py": "settings reach DVC as params",
    "limelight/config/deployment.py": "settings reach DVC as params",
    "limelight/config/evaluation.py": "settings reach DVC as params",
    "limelight/config/optimisation.py": "settings reach DVC as params",
    "limelight/config/params.py": "settings reach DVC as params",
    "limelight/config/reading.py": "settings reach DVC as params",
    "limelight/config/run.py": "settings reach DVC as params",
    "limelight/journal.py": "writes down what happened",
    "limelight/progress.py": "shows what happens",
    "limelight/provenance.py": "writes down what happened",
    "limelight/tracking.py": "writes down what happened",
    "limelight/config/presets.py": "settings reach DVC as params",
    "models/__init__.py": "passes names on",
    "limelight/one_line.py": "prints mistakes",
    "limelight/foundation/errors.py": "words of what went wrong",
    "limelight/foundation/section.py": "what settings have in common",
    "limelight/foundation/files.py": "writes files whole",
    "stages/runner.py": "starts a stage",
}
"""Code that no result depends on, and why."""

BY_NAME = {
    "models/registry.py": sorted((ROOT / "models").rglob("*.py")),  # networks, by their names
    "limelight/training/objectives/__init__.py": sorted((ROOT / "limelight/training/objectives").glob("*.py")),
    "limelight/tasks/__init__.py": sorted((ROOT / "limelight/tasks").glob("*.py")),  # tasks, by their names
    "stages/package.py": sorted((ROOT / "services").glob("*.py")),  # what a bentofile names
}
"""Code that is imported by a name that stands in no import statement."""


def module_file(name: str) -> Path | None:
    """The file of a module of this project; None for anything else."""
    top, *inner = name.split(".")
    if top != "limelight":
        return None
    path = ROOT.joinpath(*(inner if inner and inner[0] in BESIDE else (top, *inner)))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


class Imports(ast.NodeVisitor):
    """The files that a file imports, wherever it does, except for type checkers."""

    def __init__(self) -> None:
        self.files: set[Path] = set()

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.add(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, "imports here are absolute"
        # A name may be a module of the package, or something in it.
        self.add(
            f"{node.module}.{alias.name}" if module_file(f"{node.module}.{alias.name}") else node.module
            for alias in node.names
        )

    def add(self, names: Iterator[str]) -> None:
        for name in names:
            parts = name.split(".")
            packages = (module_file(".".join(parts[:end])) for end in range(1, len(parts) + 1))
            self.files |= {file for file in packages if file}


@cache
def imported(file: Path) -> frozenset[Path]:
    visitor = Imports()
    visitor.visit(ast.parse(file.read_text(encoding="utf-8")))
    return frozenset(visitor.files)


def needed(stage: str) -> set[str]:
    """Every file that the stage may run, relative to the root."""
    todo, found = [ROOT / command(stage)], set()
    while todo:
        file = todo.pop()
        name = file.relative_to(ROOT).as_posix()
        if file not in found and name not in EXEMPT and file.stat().st_size:
            found.add(file)
            todo += [*imported(file), *BY_NAME.get(name, ())]
    return {file.relative_to(ROOT).as_posix() for file in found}


def definition(stage: str) -> dict:
    return STAGES[stage].get("do", STAGES[stage])


def command(stage: str) -> str:
    """'exec python -m limelight.stages.train ${item}' -> 'stages/train.py'."""
    module = definition(stage)["cmd"].split(" -m ")[1].split()[0]
    return module_file(module).relative_to(ROOT).as_posix()


def covers(dependency: str, file: str) -> bool:
    return file == dependency or file.startswith(dependency + "/")


@pytest.mark.parametrize("stage", STAGES)
def test_all_code_of_a_stage_is_among_its_deps(stage: str) -> None:
    deps = [dep for dep in definition(stage)["deps"] if isinstance(dep, str)]
    missing = sorted(file for file in needed(stage) if not any(covers(dep, file) for dep in deps))
    if stage == "package":  # champion.json carries the hash of the one family's code that it packs
        missing = [file for file in missing if not FAMILY_CODE.match(file)]
    assert not missing, f"dvc.yaml: {stage} runs code that is none of its deps: {missing}"


@pytest.mark.parametrize("stage", STAGES)
def test_no_dep_is_code_that_the_stage_never_runs(stage: str) -> None:
    code = [dep for dep in definition(stage)["deps"] if isinstance(dep, str) and dep.split("/")[0] in OWN]
    idle = [dep for dep in code if not any(covers(dep, file) for file in needed(stage))]
    assert not idle, f"dvc.yaml: {stage} waits for code that it does not run: {idle}"


def test_what_is_exempt_is_there() -> None:
    assert [file for file in EXEMPT if not (ROOT / file).is_file()] == []


def test_imports_are_found_wherever_they_stand() -> None:
    found = {file.relative_to(ROOT).as_posix() for file in imported(ROOT / "stages/evaluate.py")}
    assert {
        "limelight/config/__init__.py",
        "limelight/reporting/evaluate.py",
        "limelight/foundation/files.py",
    } <= found
    assert "limelight/data/catalogue.py" not in {
        file.relative_to(ROOT).as_posix() for file in imported(ROOT / "limelight/data/classes.py")
    }
