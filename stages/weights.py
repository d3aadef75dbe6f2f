"""weights: one artifact of `imported`: weights by name, or a folder that `limelight import` made there."""

import shutil
from pathlib import Path

from limelight.config import Params
from limelight.foundation.artifacts import ARTIFACTS
from limelight.foundation.errors import UserError
from limelight.foundation.files import atomic_path
from limelight.models.card import Card
from limelight.models.shipped import FOLDER, shipped_names
from limelight.models.weights import check_weights, read_card
from limelight.models.zoo.names import advice
from limelight.models.zoo.pins import PINS
from limelight.stages.runner import stage_main
from limelight.tracking.journal import noted_run


def run(params: Params, name: str) -> None:
    """Write artifacts/<name>, if it is the name of published weights, which are fetched at their first use on this
    machine, or of weights that come with Limelight.

    Raises:
        UserError: it is no such name and there is no such folder, its weights are damaged, or they cannot be fetched.
    """
    with noted_run(params, "weights", name) as note:
        target = ARTIFACTS / name
        known = name in PINS or name in shipped_names()
        card = _placed(name, target) if known else _imported(name, target)
        note.set_tags({"weights.sha256": card.provenance.sha256, "weights.source": card.provenance.source})
        print(f"{target}: {card.provenance.source}")


def _placed(name: str, target: Path) -> Card:
    from limelight.models.zoo.folder import whole_folder

    source = whole_folder(PINS[name]) if name in PINS else FOLDER / name
    with atomic_path(target) as folder:
        shutil.copytree(source, folder)
    return read_card(target)


def _imported(name: str, target: Path) -> Card:
    if not target.is_dir():
        raise UserError(
            f"imported: {target} does not exist, and {name!r} is not the name of weights; {advice(name)}; "
            f"limelight import ... -o {target} makes one of a file"
        )
    card = read_card(target)
    check_weights(target, card)
    return card


if __name__ == "__main__":
    stage_main(run)
