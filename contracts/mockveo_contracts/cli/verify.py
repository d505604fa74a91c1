"""The command `verify`: its options. `verify_run.py` has its body, so that `--help` imports nothing of it.

Exit statuses are those of `check`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from mockveo.console.options import option
from mockveo.control_client import DEFAULT_URL
from mockveo_contracts.cli.reporting_options import reporting_options

if TYPE_CHECKING:
    from mockveo_contracts.cli.reporting import Reporting


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
@option(
    "--upstream",
    metavar="URL",
    example="http://127.0.0.1:8360",
    help="Of a gateway: the mockveo behind it, whose journal shows what arrives.",
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
def verify(*, reporting: Reporting, url: str, **values: Any) -> None:
    """Test a server against the contract.

    URL is the root or base URL of the server. The key comes from COMETAPI_KEY, and that of another customer from
    COMETAPI_OTHER_KEY; a missing key that is needed is asked for. If the server is not on this machine, jobs may cost
    money: at most 5 are created, after a question. With --upstream, the key that the gateway itself has to send may be
    given in COMETAPI_UPSTREAM_KEY.

    Exit statuses: 0 no violation, 1 a violation, 2 the verification could not run or was interrupted, 3 a known
    failure no longer occurs.
    """
    from mockveo_contracts.cli.verify_run import run

    sys.exit(run(url, reporting, **values))
