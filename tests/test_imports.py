"""Arrows point one way, and nothing heavy is imported before it is used."""

import json
import subprocess
import sys

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


def test_a_bare_gpu_machine_can_train() -> None:
    """Networks, data and training need none of the pipeline's tools, nor each other's users."""
    modules = ("training.runs", "data.loader", "models.scfnet.network", "models.sdnet.network")
    statement = "import " + ", ".join(f"limelight.{module}" for module in modules)
    found = imported_by(statement)
    assert "torch" in found
    others = {"limelight.flows", "limelight.stages", "limelight.services"}
    assert not found & (ORCHESTRATION | others | {"onnx", "onnxruntime", "openvino", "nncf"})


def test_networks_import_nothing_of_this_repository_but_themselves() -> None:
    modules = ("weights", "importers", "losses", "cost", "scfnet.network")
    statement = "import " + ", ".join(f"limelight.models.{module}" for module in modules)
    own = {name for name in imported_by(statement) if name.startswith("limelight.")}
    assert own == {"limelight.models", "limelight.foundation"}


def test_help_answers_without_heavy_imports() -> None:
    assert not imported_by("import limelight.cli") & (ORCHESTRATION | RUNTIMES | {"numpy", "cv2", "PIL", "pyarrow"})
