"""dvc.yaml names all the code that a stage's results come from: else `dvc repro` keeps old results.

tools/pipeline writes it from the stages' imports; what is tested is that it was run, and that it sees everything.
"""

import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from limelight.models.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pipeline() -> ModuleType:
    loader = SourceFileLoader("pipeline", str(ROOT / "tools/pipeline"))
    spec = spec_from_loader("pipeline", loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def test_dvc_yaml_is_what_the_stages_import() -> None:
    done = subprocess.run([sys.executable, "tools/pipeline", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_exempt_is_there(pipeline: ModuleType) -> None:
    assert [name for name in (*pipeline.EXEMPT, *pipeline.BY_NAME) if not (ROOT / name).exists()] == []


def test_imports_are_found_wherever_they_stand(pipeline: ModuleType) -> None:
    imported = {file.relative_to(ROOT).as_posix() for file in pipeline.imported(ROOT / "stages/evaluate.py")}
    assert {
        "limelight/config/__init__.py",
        "limelight/reporting/evaluate.py",
        "limelight/tracking/journal.py",
    } <= imported
    typed = {file.relative_to(ROOT).as_posix() for file in pipeline.imported(ROOT / "limelight/tasks/saliency.py")}
    assert "limelight/data/manifest.py" not in typed  # for type checkers alone
    code = pipeline.code_of("limelight.stages.train")
    assert {"models/layers.py", "models/losses/bce_iou.py", "limelight/training/objectives/velocity.py"} <= code


def test_no_shared_code_is_left_out_by_shortening(pipeline: ModuleType) -> None:
    code = pipeline.code_of("limelight.stages.evaluate")
    assert all(pipeline.within(name, pipeline.shortened(code)) for name in code)


def test_a_new_published_name_trains_nothing_anew() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    waiting = {name for name, stage in stages.items() if "models/zoo" in stage.get("do", stage)["deps"]}
    assert waiting == {"weights", "package"}


def test_families_import_none_but_their_own(pipeline: ModuleType) -> None:
    """So that a run waits for its own family alone."""
    for family in FAMILIES:
        own = ROOT / "models" / family
        for file in own.rglob("*.py"):
            others = [each for each in pipeline.imported(file) if each.is_relative_to(ROOT / "models")]
            strangers = [
                each for each in others if each.relative_to(ROOT / "models").parts[0] in {*FAMILIES} - {family}
            ]
            assert not strangers, f"{file} imports {strangers}"


def test_a_run_waits_for_its_own_family_alone() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        waits = [each for each in stage.get("do", stage)["deps"] if str(each).startswith("models")]
        assert "models" not in waits and "models/families.py" not in waits
        assert not [each for each in waits if each.split("/")[1] in FAMILIES], name
        own = [each for each in waits if "${" in each]
        # What is only imported is made by no family's code that DVC could name.
        assert len(own) == ("foreach" in stage and name != "weights"), name


@pytest.mark.parametrize(
    "preset", [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))], ids=lambda p: p.stem
)
def test_presets_have_what_dvc_asks_of_params(preset: Path) -> None:
    """Lists of runs and sections of the profile, empty or not: DVC has no defaults for them."""
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    params = yaml.safe_load(preset.read_text(encoding="utf-8"))
    assert set(re.findall(r"foreach: \$\{(\w+)\}", text)) <= params.keys()
    sections = set(re.findall(r"- profiles\.\$\{profile\}\.(\w+)$", text, re.MULTILINE)) - {"runs"}
    assert sections >= {"data", "deploy", "compare"}
    assert sections <= params["profiles"][params["profile"]].keys()
