"""The wheel, installed into an environment of its own and used from a folder that is no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limelight.imaging.encoding import write_png
from limelight.imaging.images import read_image
from limelight.packaging.serving import running

ROOT = Path(__file__).resolve().parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git tracks, so that a build folder left here has no part in it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("limelight", "models", "services", "stages", "flows"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(target), str(source)], check=True, capture_output=True)
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and with this one's packages but for this checkout."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin/python"
    command = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    others = [sysconfig.get_path("purelib"), *(path for path in sys.path if path.endswith("site-packages"))]
    (site / "others.pth").write_text("\n".join(dict.fromkeys(others)))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--force-reinstall", str(wheel)], check=True, capture_output=True)
    return environment


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run a command of that environment in an empty folder."""
    outside = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def call(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = str(installed / "bin" / command)
        return subprocess.run([command, *arguments], cwd=tmp_path, env=outside, capture_output=True, text=True)

    return call


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    image_HW3 = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    write_png(tmp_path / "photo.png", image_HW3)
    return tmp_path / "photo.png"


def test_one_name_in_site_packages_and_every_file_below_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"limelight"}
    assert "limelight/services/page.html" in names
    static = {path for path in (ROOT / "services/static").rglob("*") if path.is_file()}
    assert {f"limelight/{path.relative_to(ROOT)}" for path in static} <= {*names}
    modules = {path for name in ("models", "services", "stages", "flows") for path in (ROOT / name).rglob("*.py")}
    expected = {f"limelight/{path.relative_to(ROOT)}" for path in modules}
    expected |= {str(path.relative_to(ROOT)) for path in (ROOT / "limelight").rglob("*.py")}
    assert expected <= {*names}


def test_it_is_imported_from_where_it_is_installed(run: Run, installed: Path) -> None:
    result = run("python", "-c", "import limelight.models.registry as registry; print(registry.__file__)")
    assert Path(result.stdout.strip()).is_relative_to(installed), result.stderr


def test_predict_and_load_give_the_same_map(run: Run, untrained: Path, photo: Path) -> None:
    result = run("limelight", "predict", "photo.png", "--model", str(untrained), "-o", "map.png")
    assert result.returncode == 0, result.stderr
    script = (
        "from limelight import load; from limelight.imaging.images import read_image; import numpy as np\n"
        f"saliency = load({str(untrained)!r}).predict([read_image('photo.png')])[0].saliency_HW\n"
        "np.save('map.npy', np.rint(saliency * 255))"
    )
    result = run("python", "-c", script)
    assert result.returncode == 0, result.stderr
    assert np.array_equal(np.load(photo.with_name("map.npy")), read_image(photo.with_name("map.png"))[..., 0])


def test_doctor_finds_nothing_broken(run: Run) -> None:
    result = run("limelight", "doctor")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "no params.yaml here: predict and serve work" in result.stdout


def test_serve_has_its_page(
    installed: Path, untrained: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "executable", str(installed / "bin/python"))
    arguments = ["-m", "limelight.cli", "serve", "--model", str(untrained)]
    with running(arguments, {"BENTOML_HOME": str(tmp_path / "bentoml")}) as url:
        page = urllib.request.urlopen(f"{url}/", timeout=30).read().decode()
        script = urllib.request.urlopen(f"{url}/static/main.js", timeout=30).read()
        boundary = "part"
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="photo.png"\r\n\r\n'.encode()
            + photo.read_bytes()
            + f"\r\n--{boundary}--\r\n".encode()
        )
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = urllib.request.urlopen(urllib.request.Request(f"{url}/predict", body, kind), timeout=60).read()
    assert script == (ROOT / "services/static/main.js").read_bytes()
    assert "<!doctype html>" in page.lower() and read_image(answer).shape == (40, 50, 3)
