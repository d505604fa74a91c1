"""The command `check`: its options. `check_run.py` has its body, so that `--help` imports nothing of it.

Exit statuses are those of the client protocol: 0 no violation, 1 a violation, 2 the check could not run, 3 a stale
entry among the known failures.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mockveo.console.options import option
from mockveo.settings import Settings
from mockveo_contracts.cli.reporting_options import reporting_options

if TYPE_CHECKING:
    from mockveo_contracts.cli.check_run import Mode
    from mockveo_contracts.cli.reporting import Reporting

_MODES: Final[tuple[Mode, ...]] = ("session", "once", "run")


@click.command()
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
@option("--python", "function", metavar="MODULE:CALLABLE", help="Check a Python function, in virtual time.")
@option(
    "--mode",
    type=click.Choice(_MODES),
    default="session",
    show_default=True,
    help="How a program is run: one process for all cases (session), one process per case (once),"
    " or one process per case that gets only environment variables (run).",
)
@option(
    "--features",
    metavar="LIST",
    help="What the client supports, with --mode once or run, e.g. images=1,content.",
)
@option("--case", "cases", multiple=True, metavar="NAME", help="Run only this case: a name, a pattern or a file.")
@option(
    "--corpus",
    type=click.Path(path_type=Path),
    default=Path("mockveo-cases"),
    show_default=True,
    metavar="DIR",
    help="Directory of your own cases. Generated cases that break a rule are saved there.",
)
@option(
    "--generated",
    type=click.IntRange(0),
    example="100",
    help="Number of generated cases.  [default: 200; 40 for a program; 0 with --case]",
)
@option(
    "--shrink-seconds",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to spend on making the generated cases that break a rule smaller.",
)
@option("--profile", default=Settings().profile, show_default=True, help="Generation of the API to serve.")
@option(
    "--accelerate",
    type=click.FloatRange(1, 10000),
    default=1.0,
    metavar="N",
    help="Run a program's clock N times as fast (needs libfaketime).",
)
@option(
    "--parallel",
    type=click.IntRange(1),
    example="4",
    help="Number of processes of a program that run side by side.  [default: 4; 1 with --mode run]",
)
@reporting_options
def check(  # an option each
    *,
    reporting: Reporting,
    cases: tuple[str, ...],
    corpus: Path,
    generated: int | None,
    shrink_seconds: float,
    program: tuple[str, ...],
    function: str | None,
    mode: Mode,
    features: str | None,
    accelerate: float,
    parallel: int | None,
    profile: str,
) -> None:
    """Test a client against the contract.

    The client is a program, given after `--`, that speaks the client protocol (docs/client-protocol.md), or a Python
    function. For example `mockveo check -- python my_client.py` or `mockveo check --python my_package.module:client`.

    Exit statuses: 0 no violation, 1 a violation, 2 the check could not run, 3 a known failure no longer occurs.
    """
    from mockveo_contracts.cli.check_run import ClientOptions, run
    from mockveo_contracts.clients.check import CheckPlan

    client = ClientOptions(
        program=program,
        function=function,
        mode=mode,
        features=features,
        accelerate=accelerate,
        parallel=parallel,
        profile=profile,
    )
    plan = CheckPlan(
        cases=cases,
        corpus=corpus,
        shrink_seconds=shrink_seconds,
        seed=reporting.seed,
        strict=reporting.strict,
        profile=profile,
        again=f"mockveo check --case {{case}} {client}",
    )
    sys.exit(run(client, reporting, plan, generated))
