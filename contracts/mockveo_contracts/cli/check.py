"""The command `check`: a client against the contract.

Exit statuses are those of the client protocol: 0 no violation, 1 a violation, 2 the check could not run, 3 a stale
entry among the known failures.
"""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import click
from click.core import ParameterSource

from mockveo.console.options import option
from mockveo.errors import SettingsError
from mockveo.spec.spec import DEFAULT_PROFILE
from mockveo_contracts.case import features_of
from mockveo_contracts.cli.reporting import Reporting, is_installed, reporting_options
from mockveo_contracts.clients import check as clients
from mockveo_contracts.clients.driver import Driver
from mockveo_contracts.clients.functions import load
from mockveo_contracts.clients.interruption import Interrupted, Stop
from mockveo_contracts.reports.known_failures import read
from mockveo_contracts.reports.model import Report

Mode = Literal["session", "once", "run"]
_MODES: Final[tuple[Mode, ...]] = ("session", "once", "run")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """The client to check, and how it is driven."""

    program: tuple[str, ...]
    function: str | None
    mode: Mode
    features: str | None
    accelerate: float
    profile: str

    def __post_init__(self) -> None:
        if self.function is not None and self.program:
            raise SettingsError(
                f"the client is both a function, {self.function}, and a program, {self.program[0]}; expected one of"
                f" them, e.g. mockveo check --python {self.function}"
            )
        if self.function is None and not self.program:
            raise SettingsError(
                "the client is missing; expected a program after --, e.g. mockveo check -- python my_client.py,"
                " or a function, e.g. mockveo check --python my_package.module:client"
            )

    def driver(self) -> Driver:
        """Return the client's driver. Raises MockveoError."""
        return clients.drive(
            self.program if self.function is None else load(self.function),
            name=self.function or "",
            mode=self.mode,
            features=None if self.features is None else features_of(self.features),
            factor=self.accelerate,
            profile=self.profile,
        )

    def usual_count(self) -> int:
        """Return the default number of generated cases."""
        if not is_installed("hypothesis", "generating cases needs mockveo[contracts]"):
            return 0
        return clients.usual_count(self.program if self.function is None else load(self.function))

    def __str__(self) -> str:
        """The part of a command line that names the client again."""
        if self.function is not None:
            return f"--python {self.function}"
        mode = "" if self.mode == "session" else f"--mode {self.mode} "
        features = f"--features {self.features} " if self.features else ""
        return f"{mode}{features}-- {shlex.join(self.program)}"


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
@option("--profile", default=DEFAULT_PROFILE, show_default=True, help="Generation of the API to serve.")
@option(
    "--accelerate",
    type=click.FloatRange(1, 10000),
    default=1.0,
    metavar="N",
    help="Run a program's clock N times as fast (needs libfaketime).",
)
@reporting_options
def check(  # an option each
    *,
    reporting: Reporting,
    cases: tuple[str, ...],
    corpus: Path,
    generated: int | None,
    program: tuple[str, ...],
    function: str | None,
    mode: Mode,
    features: str | None,
    accelerate: float,
    profile: str,
) -> None:
    """Test a client against the contract.

    The client is a program, given after `--`, that speaks the client protocol (docs/client-protocol.md), or a Python
    function. For example `mockveo check -- python my_client.py` or `mockveo check --python my_package.module:client`.

    Exit statuses: 0 no violation, 1 a violation, 2 the check could not run, 3 a known failure no longer occurs.
    """
    client = ClientOptions(
        program=program, function=function, mode=mode, features=features, accelerate=accelerate, profile=profile
    )
    _check_corpus(corpus)
    plan = clients.CheckPlan(
        cases=cases,
        corpus=corpus,
        seed=reporting.seed,
        strict=reporting.strict,
        profile=profile,
        again=f"mockveo check --case {{case}} {client}",
    )
    if generated is None and cases:
        generated = 0
    stop = Stop()
    with stop.by_signals():
        try:
            report = _run(client, replace(plan, stop=stop), generated, reporting)
        except Interrupted as error:
            raise SettingsError(f"{error} before the first case") from None
        reporting.deliver(report)
    sys.exit(report.exit_status)


def _check_corpus(corpus: Path) -> None:
    """Warn of a missing corpus that the user named. Raises SettingsError if it is a file."""
    source = click.get_current_context().get_parameter_source("corpus")
    if source is not ParameterSource.COMMANDLINE or corpus.is_dir():
        return
    if corpus.exists():
        raise SettingsError(f"--corpus is {str(corpus)!r}, a file; expected a directory, e.g. --corpus mockveo-cases")
    click.echo(f"mockveo: --corpus {corpus} does not exist yet; it is created when a case is saved", err=True)


def _run(client: ClientOptions, plan: clients.CheckPlan, generated: int | None, reporting: Reporting) -> Report:
    """Run the cases. Raises Interrupted if a signal arrives before the first."""
    root = Path.cwd()
    with ExitStack() as entered:
        with plan.stop.soon():
            known_failures = () if reporting.known_failures is None else tuple(read(reporting.known_failures))
            count = client.usual_count() if generated is None else generated
            driver = entered.enter_context(client.driver())
        progress = entered.enter_context(reporting.progress())
        report = clients.check(
            driver, replace(plan, generated=count, known=known_failures, progress=progress, root=root)
        )
    for note in report.notes:
        click.echo(f"mockveo: {note}", err=True)
    return report
