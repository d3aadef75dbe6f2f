"""validate: Great Expectations on the manifest and on decoded samples -> reports/data/."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from limelight.config import Params
from limelight.data.census import Finding, census_lines, read_census, summarise
from limelight.data.manifest import Sample, read_manifest
from limelight.foundation.errors import UserError
from limelight.foundation.files import write_json
from limelight.stages.runner import stage_main
from limelight.tracking.journal import Note, noted_run

REPORT = Path("reports/data")
PASSED = REPORT / "passed.json"
"""What trainings depend on. It holds no figures: more decoded samples or other expectations must not retrain runs."""


def run(params: Params) -> None:
    """Check the data; write summary.json, samples.png and the Data Docs, and passed.json if nothing is wrong.

    Raises:
        UserError: an expectation that is more than a warning fails.
    """
    with noted_run(params, "validate") as note:
        check(params, note)


def check(params: Params, note: Note) -> None:
    """As `run`, recording the figures and the location of the pages in `note`."""
    # Great Expectations takes seconds to import.
    from limelight.data.validation.checks import Checker, failure_table
    from limelight.data.validation.contact_sheet import write_contact_sheet
    from limelight.data.validation.duplicates import find_duplicates, write_duplicates
    from limelight.data.validation.manifest_suite import manifest_suite
    from limelight.data.validation.samples_suite import samples_suite
    from limelight.data.validation.tables import choose, decoded_table, manifest_table

    settings, names = params.active.validation, [request.name for request in params.active.data.datasets]
    samples, odd_masks = read_manifest(), read_census()
    chosen = choose(samples, settings.samples)
    shutil.rmtree(REPORT, ignore_errors=True)
    if chosen:
        write_contact_sheet(chosen, REPORT / "samples.png")
    decoded = decoded_table(chosen)
    duplicates = find_duplicates(samples)
    if duplicates:
        write_duplicates(duplicates, REPORT / "duplicates.csv")
    checker = Checker(REPORT / "docs")
    table = manifest_table(samples, odd_masks, duplicates)
    outcomes = checker.check("manifest", table, manifest_suite(settings, names, samples))
    outcomes += checker.check("samples", decoded, samples_suite(settings, decoded))
    results = summary(samples, len(chosen), outcomes, odd_masks)
    write_json(REPORT / "summary.json", results)
    note.log_metrics(
        {**{name: results[name] for name in ("samples", "decoded", "expectations")}, "failed": len(results["failed"])}
    )
    for name in ("summary.json", "samples.png"):
        note.log_artifact(REPORT / name)
    for line in census_lines(odd_masks):
        print(line)
    violated = [outcome for outcome in outcomes if not (outcome.success or outcome.warning)]
    if any(not outcome.success for outcome in outcomes):
        print(failure_table(outcomes))
    if violated:
        raise UserError(
            f"the data fail {len(violated)} of {len(outcomes)} expectations, first: {violated[0].expectation} "
            f"({violated[0].detail}); correct the data or profiles.{params.profile}.validation; "
            f"see "
            f"{REPORT}/docs/index.html"
        )
    write_json(PASSED, {"success": True})
    print(f"{len(samples):,} samples meet {len(outcomes)} expectations; pictures in {REPORT}/samples.png")


def summary(samples: list[Sample], decoded: int, outcomes: list[Any], odd_masks: list[Finding]) -> dict[str, Any]:
    """Build the contents of summary.json, which change only with the data or the expectations."""
    counts: dict[str, dict[str, int]] = {}
    for (dataset, split), count in sorted(Counter((one.dataset, one.split) for one in samples).items()):
        counts.setdefault(dataset, {})[split] = count
    return {
        "success": all(outcome.success or outcome.warning for outcome in outcomes),
        "samples": len(samples),
        "decoded": decoded,
        "datasets": counts,
        "masks": summarise(odd_masks),
        "expectations": len(outcomes),
        "failed": [
            {
                "table": outcome.table,
                "expectation": outcome.expectation,
                "detail": outcome.detail,
                "warning": outcome.warning,
                "samples": list(outcome.samples),
            }
            for outcome in outcomes
            if not outcome.success
        ],
    }


if __name__ == "__main__":
    stage_main(run)
