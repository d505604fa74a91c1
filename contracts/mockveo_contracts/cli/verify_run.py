"""The body of the command `verify`: a server against the contract."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any, Final

import click

from mockveo.console.output import print_table, say
from mockveo.errors import SettingsError
from mockveo.text import printable
from mockveo_contracts.cli.reporting import Reporting, is_installed
from mockveo_contracts.interruption import Stop
from mockveo_contracts.reports.known_failures import read
from mockveo_contracts.servers import verify as servers
from mockveo_contracts.servers.http_client import root_of
from mockveo_contracts.servers.plan import PAID_JOBS, VerifyPlan, is_near
from mockveo_contracts.servers.server_rules import server_rules

#: Generated requests for each operation, and generated histories, against a server on this machine. Arbitrary.
USUAL_EXAMPLES: Final = 25
USUAL_HISTORIES: Final = 20
#: A key for --list and --dry-run, which send nothing.
_UNUSED_KEY: Final = "sk-unused"


def run(
    url: str, reporting: Reporting, *, listed: bool, dry_run: bool, yes: bool, examples: int | None,
    histories: int | None, **limits: Any,
) -> int:  # fmt: skip
    """Verify a server and deliver the report; return the exit status. Raises MockveoError."""
    near, sends = is_near(root_of(url)), not (listed or dry_run)
    usual = near and is_installed("schemathesis", "generating requests needs mockveo[schemathesis]")
    if examples is None:
        examples = USUAL_EXAMPLES if usual else 0
    if histories is None:
        histories = USUAL_HISTORIES if usual else 0
    plan = VerifyPlan(
        key=_key(url, sends=sends),
        other_key=os.environ.get("COMETAPI_OTHER_KEY"),
        upstream_key=os.environ.get("COMETAPI_UPSTREAM_KEY"),
        examples=examples,
        histories=histories,
        seed=reporting.seed,
        strict=reporting.strict,
        requirements=reporting.requirements,
        known=() if reporting.known_failures is None else tuple(read(reporting.known_failures, server_rules().find)),
        **limits,
    )
    if listed:
        print_table((name, servers.description(name)) for name in servers.names(plan))
        return 0
    if dry_run:
        for line in servers.rehearse(url, plan):
            say(line)
        return 0
    if not (near or yes):
        _confirm_cost(url, PAID_JOBS if plan.max_jobs is None else plan.max_jobs)
    stop = Stop()
    with stop.by_signals():
        with reporting.progress() as progress:
            report = servers.verified(url, replace(plan, progress=progress, stop=stop))
        for note in report.notes:
            say(f"mockveo: {note}", err=True, single_line=True)
        reporting.deliver(report)
    return report.exit_status


def _key(url: str, *, sends: bool) -> str | None:
    """Return the key to use; ask for it if a server elsewhere needs one. Raises SettingsError."""
    key = os.environ.get("COMETAPI_KEY")
    if key or is_near(url):
        return key or None
    if not sends:
        return _UNUSED_KEY
    if not sys.stdin.isatty():
        raise SettingsError(f"COMETAPI_KEY is missing; expected a key of {url}, e.g. export COMETAPI_KEY=sk-...")
    entered: str = click.prompt(f"Key for {printable(url)}", hide_input=True, err=True)
    return entered


def _confirm_cost(url: str, jobs: int) -> None:
    """Ask before creating jobs that may cost money. Raises SettingsError if there is no terminal to ask on."""
    if not jobs:
        return
    cost = f"this creates up to {jobs} jobs at {url}, and each may cost money"
    if not sys.stdin.isatty():
        raise SettingsError(f"{cost}; expected --yes, or --max-jobs 0 to run only the checks that cost nothing")
    try:
        agreed = click.confirm(f"mockveo: {printable(cost)}. Continue?", err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        raise SettingsError("nothing was sent, as you did not agree to the cost; expected y, or --max-jobs 0")
