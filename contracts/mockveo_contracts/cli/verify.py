"""The command `verify`: a server against the contract.

Exit statuses are those of `check`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any, Final

import click

from mockveo.console.options import option
from mockveo.control_client import DEFAULT_URL
from mockveo.errors import SettingsError
from mockveo_contracts.cli.reporting import Reporting, is_installed, reporting_options
from mockveo_contracts.reports.known_failures import read
from mockveo_contracts.servers import verify as servers
from mockveo_contracts.servers.plan import PAID_JOBS, VerifyPlan, is_near
from mockveo_contracts.servers.server_rules import server_rules

#: Generated requests for each operation, and generated histories, against a server on this machine. Arbitrary.
USUAL_EXAMPLES: Final = 25
USUAL_HISTORIES: Final = 20
#: A key for --list and --dry-run, which send nothing.
_UNUSED_KEY: Final = "sk-unused"


@click.command()
@click.argument("url", default=DEFAULT_URL)
@option("--only", "probes", multiple=True, metavar="NAME", help="Run only this check: a name or a pattern.")
@option("--list", "listed", is_flag=True, help="List the checks and send nothing.")
@option("--dry-run", is_flag=True, help="Print the requests that would be sent and send nothing.")
@option(
    "--max-jobs",
    type=click.IntRange(0),
    example="2",
    help="Most jobs to create.  [default: 5 if they may cost money, else no limit]",
)
@option("--max-seconds", type=click.FloatRange(0), example="60", help="Most seconds the run may take.")
@option("--rate", type=click.FloatRange(0, min_open=True), example="2", help="Most requests per second.")
@option("--yes", is_flag=True, help="Create jobs that may cost money without asking.")
@option(
    "--examples",
    type=click.IntRange(0),
    example="25",
    help="Generated requests per operation.  [default: 25 for a server on this machine, else 0]",
)
@option(
    "--histories",
    type=click.IntRange(0),
    example="20",
    help="Generated sequences of requests, only if the server is a mockveo.  [default: 20]",
)
@option(
    "--generated-creates/--no-generated-creates",
    default=None,
    help="Generate create requests too.  [default: only for a server on this machine]",
)
@option("--failing-prompt", help="A prompt whose job is known to fail.")
@option("--poll-interval", type=click.FloatRange(0), example="5", help="Seconds between two polls.")
@option(
    "--job-seconds", type=click.FloatRange(1), default=600.0, show_default=True, help="Most seconds a job may take."
)
@option("--profile", help="Expected generation of the API.  [default: that of the server if it is a mockveo]")
@option("--spec", metavar="FILE", help="Use this OpenAPI document instead of the built-in one.")
@option(
    "--overlay",
    "overlays",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="Change the document with this OpenAPI Overlay. Repeatable.",
)
@reporting_options
def verify(
    *, reporting: Reporting, url: str, listed: bool, dry_run: bool, yes: bool, examples: int | None,
    histories: int | None, **limits: Any,
) -> None:  # fmt: skip
    """Test a server against the contract.

    URL is the root or base URL of the server. The key comes from COMETAPI_KEY, and that of another customer from
    COMETAPI_OTHER_KEY; a missing key that is needed is asked for. If the server is not on this machine, jobs may cost
    money: at most 5 are created, after a question.

    Exit statuses: 0 no violation, 1 a violation, 2 the verification could not run, 3 a known failure no longer occurs.
    """
    near, sends = is_near(url), not (listed or dry_run)
    usual = near and is_installed("schemathesis", "generating requests needs mockveo[schemathesis]")
    if examples is None:
        examples = USUAL_EXAMPLES if usual else 0
    if histories is None:
        histories = USUAL_HISTORIES if usual else 0
    plan = VerifyPlan(
        key=_key(url, sends=sends),
        other_key=os.environ.get("COMETAPI_OTHER_KEY"),
        examples=examples,
        histories=histories,
        seed=reporting.seed,
        strict=reporting.strict,
        known=() if reporting.known_failures is None else tuple(read(reporting.known_failures, server_rules().find)),
        **limits,
    )
    if not sends:
        lines = servers.names(plan) if listed else servers.rehearse(url, plan)
        for line in lines:
            click.echo(line)
        return
    if not (near or yes):
        _confirm_cost(url, PAID_JOBS if plan.max_jobs is None else plan.max_jobs)
    with reporting.progress() as progress:
        report = servers.verified(url, replace(plan, progress=progress))
    reporting.deliver(report)
    sys.exit(report.exit_status)


def _key(url: str, *, sends: bool) -> str | None:
    """Return the key to use; ask for it if a server elsewhere needs one. Raises SettingsError."""
    key = os.environ.get("COMETAPI_KEY")
    if key or is_near(url):
        return key or None
    if not sends:
        return _UNUSED_KEY
    if not sys.stdin.isatty():
        raise SettingsError(f"COMETAPI_KEY is missing; expected a key of {url}, e.g. export COMETAPI_KEY=sk-...")
    entered: str = click.prompt(f"Key for {url}", hide_input=True, err=True)
    return entered


def _confirm_cost(url: str, jobs: int) -> None:
    """Ask before creating jobs that may cost money. Raises SettingsError if there is no terminal to ask on."""
    if not jobs:
        return
    cost = f"this creates up to {jobs} jobs at {url}, and each may cost money"
    if not sys.stdin.isatty():
        raise SettingsError(f"{cost}; expected --yes, or --max-jobs 0 to run only the checks that cost nothing")
    click.confirm(f"mockveo: {cost}. Continue?", abort=True, err=True)
