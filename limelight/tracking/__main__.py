"""Log the journal's pending runs: `python -m limelight.tracking`."""

from limelight.config import load_params
from limelight.tracking.runs import log_journal
from limelight.tracking.store import open_store
from limelight.tracking.tracker import warn_stopped


def main() -> None:
    params = load_params()
    if params.tracking.enabled:
        try:
            with open_store(params.tracking) as (client, experiment_id):
                log_journal(client, experiment_id)
        except Exception as error:
            warn_stopped(error)


if __name__ == "__main__":
    main()
