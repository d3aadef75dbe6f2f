"""Arrows point one way, no two files import each other, and nothing heavy is imported before it is used."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ORCHESTRATION = {"prefect", "dvc", "mlflow", "bentoml", "great_expectations"}
RUNTIMES = {"torch", "onnxruntime", "openvino", "matplotlib", "pandas", "scipy"}


def imported_by(statement: str) -> set[str]:
    """What a fresh interpreter holds after `statement`: top-level modules, and this project's folders."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    names = json.loads(answer.stdout.splitlines()[-1])
    return {".".join(name.split(".")[: 2 if name.startswith("limelight.") else 1]) for name in names}


@pytest.mark.parametrize("stage", ["download", "prepare", "validate", "compare", "package"])
def test_a_stage_imports_neither_orchestration_nor_runtimes_before_it_runs(stage: str) -> None:
    assert not imported_by(f"import stages.{stage}") & (ORCHESTRATION | RUNTIMES)


@pytest.mark.parametrize("stage", ["train", "distill", "reparameterize", "evaluate"])
def test_no_stage_imports_orchestration(stage: str) -> None:
    assert not imported_by(f"import stages.{stage}") & ORCHESTRATION


@pytest.mark.slow
def test_a_bare_gpu_machine_can_train() -> None:
    """Networks, data and training need none of the pipeline's tools, nor each other's users."""
    modules = ("training.runs", "data.loader", "models.scfnet.network", "models.sdnet.network")
    statement = "import " + ", ".join(f"limelight.{module}" for module in modules)
    imported = imported_by(statement)
    assert "torch" in imported
    others = {"limelight.flows", "limelight.stages", "limelight.services"}
    assert not imported & (ORCHESTRATION | others | {"onnx", "onnxruntime", "openvino", "nncf", "matplotlib", "pandas"})


@pytest.mark.slow
def test_networks_import_nothing_of_this_repository_but_themselves() -> None:
    modules = ("weights", "importers", "losses", "cost", "scfnet.network")
    statement = "import " + ", ".join(f"limelight.models.{module}" for module in modules)
    own = {name for name in imported_by(statement) if name.startswith("limelight.")}
    assert own == {"limelight.models", "limelight.foundation"}


def test_help_answers_without_heavy_imports() -> None:
    assert not imported_by("import limelight.cli.main") & (
        ORCHESTRATION | RUNTIMES | {"numpy", "cv2", "PIL", "pyarrow"}
    )


# ------------------------------------------------------------------------------------------------- read from the source
ROOT = Path(__file__).resolve().parent.parent
SIBLING_FOLDERS = ("flows", "models", "services", "stages")
"""Folders of the package limelight that stand beside its own."""
LOW = {"foundation", "models"}
LIBRARY = LOW | {
    *("bench", "champions", "config", "data", "deploy", "download", "evaluation", "imaging", "inference", "media"),
    *("packaging", "predict", "reporting", "tasks", "tracking", "training"),
}
MAY_IMPORT: dict[str, set[str]] = {
    "foundation": set(),
    "download": {"foundation"},
    "models": {"download", "foundation"},
    "config": LOW,
    "tracking": {"config", *LOW},
    "imaging": LOW,
    "data": {"config", "download", "imaging", *LOW},
    "media": {"imaging", *LOW},
    "inference": {"imaging", *LOW},
    "evaluation": {"config", "data", "imaging", "inference", "media", *LOW},
    "training": {"config", "data", "evaluation", "imaging", "inference", "tracking", *LOW},
    "tasks": {"config", "data", "evaluation", "imaging", "inference", "media", *LOW},
    "reporting": {"config", "data", "evaluation", "imaging", "inference", "tasks", *LOW},
    "deploy": {"config", "data", "evaluation", "imaging", "inference", "media", "tasks", *LOW},
    "bench": {"data", "deploy", "evaluation", "imaging", "inference", "media", "reporting", "tasks", *LOW},
    "champions": {"config", "reporting", "tasks", "tracking", *LOW},
    "packaging": {"config", "data", "imaging", "inference", "tasks", *LOW},
    "predict": {"champions", "deploy", "imaging", "inference", "media", "tasks", *LOW},
    "cli": LIBRARY,
    "services": LIBRARY,
    "stages": LIBRARY,
    "flows": {"stages", *LIBRARY},
}
"""Part -> parts that its files may import. A part is a folder in limelight/, or beside it."""


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    modules = {}
    for top in ("limelight", *SIBLING_FOLDERS):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            modules[".".join(("limelight", *parts) if top in SIBLING_FOLDERS else parts).removesuffix(".__init__")] = (
                path
            )
    return modules


MODULES = modules()


def names_imported(path: Path) -> Iterator[str]:
    """The modules that a file imports by name, inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports here are absolute"
            within = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else str(node.module) for name in within)


ARROWS = {name: {one for one in names_imported(path) if one in MODULES} - {name} for name, path in MODULES.items()}


def part_of(module: str) -> str:
    """'limelight.data.loader' -> 'data'; of the package itself ''."""
    return [*module.split("."), ""][1]


def reached(start: str) -> set[str]:
    """The modules that a module imports, and those that they do."""
    reached: set[str] = set()
    waiting = list(ARROWS[start])
    while waiting:
        if (name := waiting.pop()) not in reached:
            reached.add(name)
            waiting += ARROWS[name]
    return reached


def test_no_files_import_each_other() -> None:
    """Directly or through others; what only type checkers see counts."""
    reach = {name: reached(name) for name in ARROWS}
    cycles = {
        tuple(sorted(other for other in reach[name] if name in reach[other])) for name in ARROWS if name in reach[name]
    }
    assert not cycles


def test_every_arrow_is_in_the_table() -> None:
    wrong = {
        (name, part_of(other))
        for name, others in ARROWS.items()
        for other in others
        if part_of(name) and part_of(other) not in (*MAY_IMPORT[part_of(name)], part_of(name))
    }
    assert not wrong


def test_the_table_has_no_cycle_and_knows_every_part() -> None:
    assert {part_of(name) for name in MODULES} - {""} == MAY_IMPORT.keys()
    placed: set[str] = set()
    while ready := {part for part, others in MAY_IMPORT.items() if part not in placed and others <= placed}:
        placed |= ready
    assert placed == MAY_IMPORT.keys()
