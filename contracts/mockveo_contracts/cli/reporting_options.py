"""The options on findings and reports that `check` and `verify` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from mockveo.console.options import option, requirements_option
from mockveo_contracts.reports.formats import KINDS, prepare


def reporting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the shared options; the command gets them as `reporting`."""

    @option("--seed", type=int, default=0, show_default=True, help="Seed of what is generated.")
    @option("--strict", is_flag=True, help="Also fail on warnings (rules of severity SHOULD).")
    @option(
        "--known",
        "known_failures",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Known failures, which do not fail the run: a rule and a case or check per line.",
    )
    @requirements_option
    @option(
        "--report",
        "reports",
        multiple=True,
        metavar="KIND=FILE",
        help=f"Write a report: {KINDS}. Repeatable.",
    )
    @option("--quiet", is_flag=True, help="Show no progress.")
    @wraps(command)
    def with_reporting(
        *,
        seed: int,
        strict: bool,
        known_failures: Path | None,
        requirements: str,
        reports: Sequence[str],
        quiet: bool,
        **values: Any,
    ) -> None:
        from mockveo_contracts.cli.reporting import Reporting

        # Prepared before anything runs: a report that cannot be written must not cost a whole run.
        reporting = Reporting(seed, strict, known_failures, requirements, prepare(reports), quiet)
        command(reporting=reporting, **values)

    return with_reporting
