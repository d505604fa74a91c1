"""The body of the command `check`: a client against the contract."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from mockveo.console.output import say
from mockveo.errors import SettingsError
from mockveo.settings import without_password
from mockveo_contracts.case import features_of
from mockveo_contracts.cli.reporting import Reporting, is_installed
from mockveo_contracts.clients import check as clients
from mockveo_contracts.clients.driver import Driver
from mockveo_contracts.clients.functions import load
from mockveo_contracts.interruption import Interrupted, Stop
from mockveo_contracts.reports.known_failures import read
from mockveo_contracts.reports.model import Report

#: How a program is run. docs/client-protocol.md explains each.
Mode = Literal["session", "once", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """The client to check, and how it is driven."""

    program: tuple[str, ...]
    function: str | None
    mode: Mode
    features: str | None
    accelerate: float
    parallel: int | None
    profile: str
    overlays: tuple[str, ...] = ()
    budget: str | None = None
    through: str | None = None
    store: str | None = None

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
            parallel=self.parallel,
            profile=self.profile,
            overlay=self.overlays,
            budget=self.budget,
            through=self.through,
            store=self.store,
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
        servers = ""
        if self.store and self.through:
            servers = f"--store {without_password(self.store)} --through {self.through} "
        return f"{mode}{features}{servers}-- {shlex.join(self.program)}"


def run(client: ClientOptions, reporting: Reporting, plan: clients.CheckPlan, generated: int | None) -> int:
    """Check a client and deliver the report; return the exit status. Raises MockveoError."""
    assert plan.corpus is not None
    _check_corpus(plan.corpus)
    if generated is None and (plan.cases or plan.everywhere):
        generated = 0
    stop = Stop()
    with stop.by_signals():
        try:
            report = _run(client, replace(plan, stop=stop), generated, reporting)
        except Interrupted as error:
            raise SettingsError(f"{error} before the first case") from None
        reporting.deliver(report)
    return report.exit_status


def _check_corpus(corpus: Path) -> None:
    """Warn of a missing corpus that the user named. Raises SettingsError if it is a file."""
    source = click.get_current_context().get_parameter_source("corpus")
    if source is not ParameterSource.COMMANDLINE or corpus.is_dir():
        return
    if corpus.exists():
        raise SettingsError(f"--corpus is {str(corpus)!r}, a file; expected a directory, e.g. --corpus mockveo-cases")
    say(f"mockveo: --corpus {corpus} does not exist yet; it is created when a case is saved", err=True)


def _run(client: ClientOptions, plan: clients.CheckPlan, generated: int | None, reporting: Reporting) -> Report:
    """Run the cases. Raises Interrupted if a signal arrives before the first."""
    root = Path.cwd()
    with ExitStack() as entered:
        with plan.stop.soon():
            known_failures = () if reporting.known_failures is None else tuple(read(reporting.known_failures))
            count = client.usual_count() if generated is None else generated
            driver = entered.enter_context(client.driver())
        progress = entered.enter_context(reporting.progress())
        plan = replace(plan, generated=count, known=known_failures, progress=progress, root=root)
        report = clients.check(driver, plan, clients.kills_everywhere(driver, plan) if plan.everywhere else None)
    if client.through:
        report.notes.append("cases with restarts were left out, as the servers at --through kill no client")
    for note in report.notes:
        say(f"mockveo: {note}", err=True, single_line=True)
    return report
