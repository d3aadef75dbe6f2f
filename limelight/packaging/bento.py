"""Build and unpack bentos: one file that holds the service, the weights and their requirements."""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limelight.config import Package
from limelight.data.archives import extract
from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path, write_json, write_text
from limelight.inference.runtimes import Engine, parse
from limelight.models.card import Card
from limelight.models.families import FAMILIES
from limelight.models.registry import entry
from limelight.models.shipped import shipped_names
from limelight.models.weights import CARD, read_card
from limelight.tasks import task_of
from limelight.tasks.task import Service

if TYPE_CHECKING:
    from packaging.requirements import Requirement


CODE = {"limelight": "limelight", "models": "limelight/models", "services": "limelight/services"}
"""Repository folder -> its place in a bento, the same as in an installed package."""
_CACHES = shutil.ignore_patterns("__pycache__")
_BASE = ("bentoml", "numpy", "opencv-python-headless", "pillow", "pillow-heif", "pydantic", "simplejpeg")
_VIDEO = ("av", "websockets")
_ENGINES: dict[Engine, tuple[str, ...]] = {
    "torch": ("torch", "timm", "safetensors"),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
}


def build_bento(folder: Path, runtime: str, settings: Package, target: Path, work: Path) -> str:
    """Put weights and service into a bento and export it to `target`, whole or not at all.

    Args:
        folder: the weights folder; goes into BentoML's model store first, its card as the model's metadata.
        runtime: what the service runs the weights with; decides which packages the bento requires.
        settings: the limits that the service enforces.
        target: the exported file, `.bento`.
        work: scratch folder; BentoML's store is created there, so that the user's own is neither read nor changed.

    Returns:
        The bento's tag, name:version.
    """
    home, context = work / "home", work / "context"
    shutil.rmtree(work, ignore_errors=True)
    (home / "tmp").mkdir(parents=True)  # BentoML creates it only on import, so not for a second bento
    os.environ |= {"BENTOML_HOME": str(home.resolve()), "BENTOML_DO_NOT_TRACK": "True"}
    import bentoml

    card = read_card(folder)
    service, version = task_of(card).service, card.provenance.sha256[:12]
    facts = _without_null(card.model_dump(mode="json"))  # BentoML refuses null
    with bentoml.models.create(f"{service.name}:{version}", labels=_labels(card), metadata=facts) as model:
        shutil.copytree(folder, model.path, dirs_exist_ok=True)
    stage_sources(context, card, service, runtime, settings)
    bento = bentoml.bentos.build_bentofile(service.bentofile, version=version, build_ctx=str(context))
    with atomic_path(target) as temporary:
        bento.export(str(temporary.resolve()))  # a relative path would be resolved against the root
    return str(bento.tag)


def _without_null(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_null(value) for key, value in tree.items() if value is not None}
    return [_without_null(value) for value in tree] if isinstance(tree, list) else tree


def _labels(card: Card) -> dict[str, str]:
    known = card.architecture
    return {"model": known.model, "form": known.form, "licence": card.provenance.licence}


def stage_sources(context: Path, card: Card, service: Service, runtime: str, settings: Package) -> None:
    """Copy the bento's sources to a separate folder; in the repository BentoML would walk environment and data."""
    family = entry(card.architecture.model).family
    for source, place in CODE.items():
        shutil.copytree(source, context / place, ignore=_other_families(family) if source == "models" else _CACHES)
    # The registry imports every family that is listed there.
    families = f'"""The family of networks in this bento."""\n\nFAMILIES = ("{family}",)\n'
    write_text(context / CODE["models"] / "families.py", families)
    shutil.copy(service.bentofile, context)
    extra = _VIDEO if service.videos else ()
    write_text(
        context / "requirements.txt", "".join(f"{line}\n" for line in pinned(runtime, card.architecture.model, extra))
    )
    limits = {"max_body": int(settings.max_body_mb * (1 << 20)), "max_pixels": settings.max_pixels, "runtime": runtime}
    limits |= {name: getattr(settings, name) for name in service.limits}
    if service.videos:
        limits["max_video_body"] = int(settings.max_video_mb * (1 << 20))
        limits |= {name: getattr(settings, name) for name in ("max_frames", "max_seconds", "max_frame_pixels")}
    write_json(context / CODE["services"] / "settings.json", limits)


def _other_families(family: str) -> Callable[[str, list[str]], set[str]]:
    """The `ignore` of copytree for models/: families that the bento does not serve, and shipped weights."""
    left_out = {"models": {*FAMILIES} - {family}, "models/shipped": {*shipped_names()}}

    def ignored(folder: str, names: list[str]) -> set[str]:
        return _CACHES(folder, names) | (left_out.get(Path(folder).as_posix(), set()) & set(names))

    return ignored


def pinned(runtime: str, model: str, others: Sequence[str] = (), lock: Path = Path("requirements.lock")) -> list[str]:
    """Pin the packages that the service needs with this runtime, transitively, at the versions of the lock file.

    Args:
        runtime: torch, onnx-fp32, openvino-int8, ...; only its own engine is required.
        model: name of the network; its packages are not needed for an export.
        others: packages that are needed too.

    Returns:
        'name==version', sorted.

    Raises:
        UserError: a package is not in the lock file, or there is no such runtime.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    locked = {}
    for line in re.findall(r"^[A-Za-z0-9][^\\\n]*", lock.read_text(encoding="utf-8"), re.MULTILINE):
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate():
            locked[canonicalize_name(pin.name)] = f"{canonicalize_name(pin.name)}{pin.specifier}"
    pinned: dict[str, str] = {}
    engine = parse(runtime).engine
    own = entry(model).packages if engine == "torch" else ()
    pending = [Requirement(name) for name in (*_BASE, *_ENGINES[engine], *own, *others)]
    while pending:
        package = pending.pop()
        name = canonicalize_name(package.name)
        if name not in locked:
            raise UserError(f"{name} is needed to serve {runtime} but is not in {lock}; run make lock")
        if name not in pinned:
            pinned[name] = locked[name]
            pending += [
                requirement
                for requirement in map(Requirement, requires(name) or [])
                if _applies(requirement, package.extras)
            ]
    return sorted(pinned.values())


def _applies(requirement: "Requirement", extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras})


def unpack(bento: Path, folder: Path) -> Path:
    """Unpack an exported bento into a folder that BentoML can serve, and return its absolute path.

    Raises:
        UserError: the file is missing, damaged or no archive.
    """
    if not bento.is_file():
        raise UserError(f"{bento} does not exist; dvc repro package makes it")
    extract(bento, folder)
    return folder.resolve()


def packed_weights(unpacked: Path) -> Path:
    """The weights folder in an unpacked bento.

    Raises:
        UserError: there is none.
    """
    card = next(unpacked.glob(f"models/*/*/{CARD}"), None)
    if card is None:
        raise UserError(f"{unpacked} holds no weights; dvc repro package makes the bento again")
    return card.parent
