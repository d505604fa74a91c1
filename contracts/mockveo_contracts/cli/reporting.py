"""What `check` and `verify` share: the options on findings and reports, and how a report is delivered."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from mockveo.console.options import option
from mockveo.console.output import discard_output
from mockveo_contracts.reports.formats import Target, prepare, write_all
from mockveo_contracts.reports.model import Report, ReportError
from mockveo_contracts.reports.progress import Progress
from mockveo_contracts.reports.terminal import show


@dataclass(frozen=True, slots=True)
class Reporting:
    """The options that `check` and `verify` share."""

    seed: int
    strict: bool
    known_failures: Path | None
    targets: Sequence[Target]
    quiet: bool

    def progress(self) -> Progress:
        """Return a progress bar on standard error, or an invisible one."""
        return Progress(io.StringIO() if self.quiet else sys.stderr)

    def deliver(self, report: Report) -> None:
        """Print a report and write its files, each even if another fails. Raises ReportError."""
        problem = ""
        try:
            show(report, sys.stdout)
        except BrokenPipeError:
            discard_output()
        except OSError as error:
            problem = f"standard output cannot be written: {error.strerror}"
        write_all(self.targets, report)
        if problem:
            raise ReportError(problem)


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
    @option(
        "--report",
        "reports",
        multiple=True,
        metavar="KIND=FILE",
        help="Write a report: json, junit, html, sarif, github or har. Repeatable.",
    )
    @option("--quiet", is_flag=True, help="Show no progress.")
    @wraps(command)
    def with_reporting(
        *, seed: int, strict: bool, known_failures: Path | None, reports: Sequence[str], quiet: bool, **values: Any
    ) -> None:
        # Prepared before anything runs: a report that cannot be written must not cost a whole run.
        command(reporting=Reporting(seed, strict, known_failures, prepare(reports), quiet), **values)

    return with_reporting


def is_installed(module: str, needed_for: str) -> bool:
    """Return whether an optional module is installed, and report what is left out if not."""
    installed = find_spec(module) is not None
    if not installed:
        click.echo(f"mockveo: {needed_for}; skipped, because {module} is not installed", err=True)
    return installed
