"""Arrows point one way, and nothing heavy is imported before it is used."""

import json
import subprocess
import sys

import pytest

ORCHESTRATION = {"prefect", "dvc", "mlflow", "bentoml", "great_expectations"}
RUNTIMES = {"torch", "onnxruntime", "openvino", "matplotlib", "pandas", "scipy"}


def imported_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `statement`."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


@pytest.mark.parametrize("stage", ["download", "prepare", "validate", "compare", "package"])
def test_a_stage_imports_neither_orchestration_nor_runtimes_before_it_runs(stage: str) -> None:
    assert not imported_by(f"import stages.{stage}") & (ORCHESTRATION | RUNTIMES)


@pytest.mark.parametrize("stage", ["train", "distill", "reparameterize", "evaluate"])
def test_no_stage_imports_orchestration(stage: str) -> None:
    assert not imported_by(f"import stages.{stage}") & ORCHESTRATION


def test_a_bare_gpu_machine_can_train() -> None:
    """Networks, data and training need none of the pipeline's tools, nor each other's users."""
    statement = "import limelight.training.runs, limelight.data.loader, models.scfnet.network, models.sdnet.network"
    found = imported_by(statement)
    assert "torch" in found
    assert not found & (ORCHESTRATION | {"flows", "stages", "services", "onnx", "onnxruntime", "openvino", "nncf"})


def test_networks_import_nothing_of_this_repository_but_themselves() -> None:
    statement = "import models.weights, models.importers, models.losses, models.cost, models.scfnet.network"
    assert not imported_by(statement) & {"limelight", "flows", "stages", "services"}


def test_help_answers_without_heavy_imports() -> None:
    assert not imported_by("import limelight.cli") & (ORCHESTRATION | RUNTIMES | {"numpy", "cv2", "PIL", "pyarrow"})
