"""Check that a bento needs no code but its own."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from limelight.foundation.errors import UserError
from limelight.models.weights import read_card
from limelight.packaging.bento import packed_weights
from limelight.packaging.serving import as_packaged
from limelight.tasks import task_of

# An editable installation finds what a bento lacks in the checkout: a bento that is incomplete is served there, and
# nowhere else.
_START = """
import sys
from importlib import import_module
from pathlib import Path

source, entry = sys.argv[1:]
sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
sys.path.insert(0, source)
module, _, name = entry.partition(":")
getattr(import_module(module), name)()
files = {name: each.__file__ or "" for name, each in sys.modules.items() if name.split(".")[0] == "limelight"}
if others := [f"{name} ({file})" for name, file in files.items() if not Path(file).is_relative_to(source)]:
    sys.exit(f"it imports {others[0]}, which is not its own")
"""


def check_self_contained(unpacked: Path, environment: Mapping[str, str]) -> None:
    """Start the service of an unpacked bento in a process that can import no other code of this project.

    Args:
        unpacked: absolute path.
        environment: see `limelight.packaging.serving.as_packaged`.

    Raises:
        UserError: it does not start, or imports code of another place.
    """
    weights = packed_weights(unpacked)
    result = subprocess.run(
        [sys.executable, "-c", _START, str(unpacked / "src"), task_of(read_card(weights)).service.entry],
        env=as_packaged({"LIMELIGHT_MODEL": str(weights), **environment}),
        capture_output=True,
        text=True,
    )
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
        raise UserError(f"the bento {unpacked} does not start with its own code alone: {reason}")
