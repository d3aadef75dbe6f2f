"""Prefect flows: what runs where, in which order, with which retries. Only this package imports Prefect."""

import os

# Prefect reads its settings when it is imported, so they are set before that. A first start migrates an empty database,
# which takes longer than Prefect's own limit on a slow machine.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
