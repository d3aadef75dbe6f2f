"""download: fetch and verify every dataset named in params.yaml -> data/index.json.

Runs at every `dvc repro`, since it checks folders that DVC does not track: an unchanged file costs one `stat`.
"""

import sys

from limelight.config import Params
from limelight.data.hashes import HashCache
from limelight.data.index import INDEX, Entry, write_index
from limelight.data.sources import fetch
from limelight.foundation.errors import UserError
from limelight.stages.runner import stage_main
from limelight.tracking.journal import noted_run


def run(params: Params) -> None:
    """Fetch every dataset; one that is unavailable does not stop the others.

    Raises:
        UserError: some are unavailable; the message says for each what to do.
    """
    cache = HashCache()
    entries: dict[str, Entry] = {}
    failures: list[str] = []
    requests = params.active.data.datasets
    for request in requests:
        try:
            entries[request.name] = entry = fetch(request, cache)
        except UserError as error:
            failures.append(str(error))
        else:
            print(f"{request.name}: {entry.files:,} files in {entry.root} ({entry.source}, {entry.sha256[:12]})")
        finally:
            cache.save()  # hashing a large dataset takes minutes
    if len(failures) == 1:
        raise UserError(failures[0])
    if failures:
        for failure in failures:
            print(f"error: {failure}", file=sys.stderr)
        raise UserError(
            f"{len(failures)} of {len(requests)} datasets are missing; follow the instructions above, then run it again"
        )
    before = INDEX.read_bytes() if INDEX.is_file() else None
    write_index(entries)
    if INDEX.read_bytes() != before:  # it runs at every `dvc repro`; only a change is worth logging
        _note(params, entries)


def _note(params: Params, entries: dict[str, Entry]) -> None:
    with noted_run(params, "download") as note:
        for name, entry in entries.items():
            note.log_params({f"{name}.source": entry.source, f"{name}.sha256": entry.sha256})
            note.log_metrics({f"{name}.files": entry.files})


if __name__ == "__main__":
    stage_main(run)
