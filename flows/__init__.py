"""Prefect flows: what runs where, in which order, with which retries. Only this package imports Prefect."""

import logging
import os

from limelight.foundation.errors import UserError

# Prefect reads its settings when it is imported, so they are set before that. A first start migrates an empty database,
# which takes longer than Prefect's own limit on a slow machine.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")


def _without_traceback(record: logging.LogRecord) -> bool:
    """Log a UserError as one line: Prefect logs every exception with its traceback."""
    if record.exc_info and isinstance(record.exc_info[1], UserError):
        record.exc_info = None
    return True


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_without_traceback)
