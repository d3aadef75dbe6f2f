"""The network of docs/architecture.md, added as the page says: it is trained, exported, evaluated and used."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from limelight.data.manifest import write_manifest
from limelight.imaging.images import read_image
from tests.forks import AS_A_MODULE, Forks
from tests.training.toy import toy_samples

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("flows", "models", "services", "stages")
pytestmark = pytest.mark.slow


def blocks(language: str) -> list[str]:
    """The page's code blocks of one language, without their indentation."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").partition("## Adding a network")[2]
    blocks = re.findall(rf"^   ```{language}\n(.*?)^   ```$", page, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^   ", "", block, flags=re.MULTILINE) for block in blocks]


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, laid out as it is installed, with what the page says: its files, a family, small options."""
    copy = tmp_path_factory.mktemp("changed")
    for name in ("limelight", "tests", *PARTS):
        target = copy / "limelight" / name if name in PARTS else copy / name
        shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for block in blocks("python"):
        path = copy / "limelight" / block.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(block, encoding="utf-8")
    (copy / "limelight/models/overview/__init__.py").touch()
    replace(copy / "limelight/models/families.py", '"foreign")', '"foreign", "overview")')
    replace(
        copy / "tests/models/test_every_network.py", '    "sdnet-bn":', '    "overview": {"width": 4},\n    "sdnet-bn":'
    )
    return copy


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def forks(changed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Of processes that have the changed code, and the libraries that all of them import."""
    modules = (
        "limelight.models.registry",
        "limelight.models.base",
        "limelight.inference.loading",
        "matplotlib",
        "pytest",
    )
    forks = Forks(modules, tmp_path_factory.mktemp("forks"), code=changed)
    yield forks
    forks.close()


def python(forks: Forks, folder: Path, module: str, *arguments: str) -> str:
    """Run `python -m module arguments` in a folder; return what it writes."""
    done = forks.start(AS_A_MODULE, module, *arguments, folder=folder, PYTHONDONTWRITEBYTECODE="1").wait()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_it_passes_the_checks_of_every_network(changed: Path, forks: Forks) -> None:
    options = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--override-ini=addopts=")
    output = python(forks, changed, "pytest", *options, "tests/models/test_every_network.py", "-k", "overview")
    assert re.search(r"\d+ passed", output)


def test_from_training_to_a_cut_out(forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = Path("data/datasets/toy")
    write_manifest(toy_samples(data, 6) + toy_samples(data, 2, "val") + toy_samples(data, 2, "test"))
    params = yaml.safe_load(blocks("yaml")[0])
    profile = {
        **params["profiles"]["demo"],
        "data": {"datasets": [{"name": "toy", "path": "toy"}]},
        "deploy": {"samples": 2, "runtimes": ["onnx-fp32", "openvino-fp32"], "max_mae_change": 1, "max_f_change": 1},
        "evaluate": {"latency_runs": 1, "overlays": 1, "workers": 1},
    }
    settings = {"profile": "demo", "device": "cpu", "tracking": {"enabled": False}, "profiles": {"demo": profile}}
    Path("params.yaml").write_text(yaml.safe_dump(params | settings))
    for stage, name in (("train", ""), ("reparameterize", ""), ("evaluate", "-deploy")):
        python(forks, tmp_path, f"limelight.stages.{stage}", f"seen-twice{name}")
    photo = next(data.rglob("*.jpg"), None) or next(data.rglob("*.png"))
    for runtime in ("torch", "onnx-fp32", "openvino-fp32"):
        cut_out = tmp_path / f"{runtime}.png"
        options = ("--model", "artifacts/seen-twice-deploy", "--runtime", runtime, "--kind", "rgba", "-o", str(cut_out))
        python(forks, tmp_path, "limelight.cli", "predict", str(photo), *options)
        assert cut_out.stat().st_size > 100 and read_image(cut_out).shape == read_image(photo).shape
