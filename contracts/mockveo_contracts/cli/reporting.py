"""What `check` and `verify` share: the values of their common options, and how a report is delivered."""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from mockveo.console.output import discard_output, say
from mockveo.errors import ReportError
from mockveo_contracts.reports.formats import Target, write_all
from mockveo_contracts.reports.model import Report
from mockveo_contracts.reports.progress import Progress
from mockveo_contracts.reports.terminal import show

#: Variables that hold keys of the API.
KEY_VARIABLES: Final = ("COMETAPI_KEY", "COMETAPI_OTHER_KEY", "COMETAPI_UPSTREAM_KEY", "OPENAI_API_KEY")


@dataclass(frozen=True, slots=True)
class Reporting:
    """The options that `check` and `verify` share."""

    seed: int
    strict: bool
    known_failures: Path | None
    requirements: str
    targets: Sequence[Target]
    quiet: bool

    def progress(self) -> Progress:
        """Return a progress bar on standard error, or an invisible one."""
        return Progress(io.StringIO() if self.quiet else sys.stderr)

    def deliver(self, report: Report) -> None:
        """Print a report with its command line, and write its files. Raises ReportError."""
        report.command = _command_line()
        deliver(report, self.targets)


def deliver(report: Report, targets: Sequence[Target]) -> None:
    """Print a report and write its files, each even if another fails. Raises ReportError."""
    problem = ""
    try:
        show(report, sys.stdout)
    except BrokenPipeError:
        discard_output()
    except OSError as error:
        problem = f"standard output cannot be written: {error.strerror}"
        discard_output()
    try:
        write_all(targets, report)
    except BrokenPipeError:
        discard_output()
    if problem:
        raise ReportError(problem)


def _command_line() -> str:
    """Return the command line of this process, keys by the variables that hold them."""
    text = shlex.join(["mockveo", *sys.argv[1:]])
    for name in KEY_VARIABLES:
        key = os.environ.get(name)
        if key:
            text = text.replace(key, f"${name}")
    return text


def is_installed(module: str, needed_for: str) -> bool:
    """Return whether an optional module is installed, and report what is left out if not."""
    installed = find_spec(module) is not None
    if not installed:
        say(f"mockveo: {needed_for}; skipped, because {module} is not installed", err=True)
    return installed
