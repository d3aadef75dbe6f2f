"""Running expectations on a table with Great Expectations, and saying in plain words what failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import great_expectations as gx
from great_expectations.checkpoint import UpdateDataDocsAction
from great_expectations.data_context.types.base import ProgressBarsConfig

if TYPE_CHECKING:
    import pandas as pd

_SITE = "data_docs"
_MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Outcome:
    """One expectation on one table."""

    table: str
    expectation: str
    """What was expected, in words."""
    success: bool
    warning: bool
    """A failure is reported, but stops nothing."""
    detail: str
    """What was found instead; empty where it holds."""
    samples: tuple[str, ...]
    """Ids of some samples at fault."""


class Checker:
    """Checks tables one after another and gathers their results in one set of Data Docs.

    Args:
        docs: folder of the HTML pages; they are readable offline, though unstyled.
    """

    def __init__(self, docs: Path) -> None:
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        self._context.add_data_docs_site(
            site_name=_SITE,
            site_config={
                "class_name": "SiteBuilder",
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(docs.absolute()),
                },
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            },
        )
        self._source = self._context.data_sources.add_or_update_pandas("limelight")

    def check(self, name: str, table: "pd.DataFrame", expectations: Sequence[Any]) -> list[Outcome]:
        """Check one table.

        Args:
            table: has a column `sample_id`, which names the rows at fault.
        """
        batch = self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        suite = self._context.suites.add(gx.ExpectationSuite(name=name, expectations=list(expectations)))
        definition = self._context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batch, suite=suite)
        )
        index = {"unexpected_index_column_names": ["sample_id"]} if "sample_id" in table else {}
        checkpoint = gx.Checkpoint(
            name=name,
            validation_definitions=[definition],
            actions=[UpdateDataDocsAction(name="docs", site_names=[_SITE])],
            result_format={"result_format": "SUMMARY", **index},
        )
        result = self._context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table})
        # Results come grouped by column; the suite's order is the one to read them in.
        order = {expectation.description: position for position, expectation in enumerate(expectations)}
        outcomes = [_outcome(name, one) for run in result.run_results.values() for one in run.results]
        return sorted(outcomes, key=lambda outcome: order[outcome.expectation])


def _outcome(table: str, result: Any) -> Outcome:
    config = result.expectation_config
    index = [] if result.success else result.result.get("partial_unexpected_index_list") or []
    return Outcome(
        table=table,
        expectation=config.description,
        success=bool(result.success),
        warning=config.severity == "warning",
        detail="" if result.success else _detail(result),
        samples=tuple(dict.fromkeys(str(row["sample_id"]) for row in index))[:_MAX_EXAMPLES],
    )


def _detail(result: Any) -> str:
    """Describe what failed. A missing column does not raise and has no result: the reason is in the exception info."""
    info = result.exception_info or {}
    errors = [info] if "raised_exception" in info else list(info.values())
    raised = next((error["exception_message"] for error in errors if error.get("raised_exception")), None)
    if raised:
        return " ".join(raised.split())
    details = result.result
    if "unexpected_count" in details:
        values = ", ".join(
            dict.fromkeys(str(value)[:80] for value in details.get("partial_unexpected_list", [])[:_MAX_EXAMPLES])
        )
        return f"{details['unexpected_count']} of {details['element_count']} samples: {values}"
    return f"found {details.get('observed_value')}"


def failure_table(outcomes: Sequence[Outcome]) -> str:
    """Format the failed expectations as lines of text: what was expected, what was found, and samples at fault."""
    lines = []
    for outcome in outcomes:
        if not outcome.success:
            lines.append(f"{'warning' if outcome.warning else 'FAILED '}  {outcome.table}: {outcome.expectation}")
            lines.append(f"         {outcome.detail}")
            lines += [f"         - {sample}" for sample in outcome.samples]
    return "\n".join(lines)
