"""The commands of the contract tests: thin, over `mockveo_contracts`, which is loaded when one of them runs.

Exit statuses are those of the client protocol: 0 no violation, 1 a violation, 2 the check could not run, 3 a stale
entry among the known failures.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from mockveo.cli.control import explained, unread
from mockveo.errors import SettingsError

if TYPE_CHECKING:
    from mockveo_contracts.clients.check import CheckPlan
    from mockveo_contracts.clients.client_report import ClientReport
    from mockveo_contracts.clients.driver import Driver
    from mockveo_contracts.clients.interruption import Stop
    from mockveo_contracts.reports.formats import Target
    from mockveo_contracts.servers.verify import VerifyPlan


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
@click.option("--python", "function", metavar="MODULE:CALLABLE", help="Check a Python function, in virtual time.")
@click.option(
    "--mode",
    type=click.Choice(["session", "once", "run"]),
    default="session",
    show_default=True,
    help="How a program is driven: one process for all cases, one for each, or as it is.",
)
@click.option("--features", metavar="LIST", help="What the client can do, for once and run, e.g. images=1,content.")
@click.option("--case", "cases", multiple=True, metavar="NAME", help="Only this case: a name, a pattern or a file.")
@click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    default=Path("mockveo-cases"),
    show_default=True,
    metavar="DIR",
    help="Cases of your own; those that are generated and break a rule are written there.",
)
@click.option(
    "--generated", type=click.IntRange(0), help="Generated cases.  [default: 200; 40 for a program; 0 with --case]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="What is generated.")
@click.option("--profile", default="docs-2026-03", show_default=True, help="Which generation of the API is played.")
@click.option("--accelerate", type=click.FloatRange(1, 10000), default=1.0, metavar="N", help="Run a program's time N times as fast (libfaketime).")  # fmt: skip # noqa: E501
@click.option("--strict", is_flag=True, help="A warning fails the check too.")
@click.option("--known", type=click.Path(path_type=Path), metavar="FILE", help="Failures that are known: lines of a rule and a case.")  # fmt: skip # noqa: E501
@click.option("--report", "reports", multiple=True, metavar="KIND=FILE", help="Write a report: json, junit, html, sarif, github, har.")  # fmt: skip # noqa: E501
@click.option("--quiet", is_flag=True, help="Show no progress.")
def check(program: tuple[str, ...], function: str | None, **options: Any) -> None:
    """Say which rules of the contract a client breaks.

    The client is a program, given after `--`, that speaks the client protocol, or a Python function. For example
    `mockveo check -- python my_client.py` or `mockveo check --python my_package.module:client`.
    """
    with explained():
        if function is not None and program:
            raise SettingsError(f"both a function, {function}, and a program, {program[0]}; wanted one of them")
        if function is None and not program:
            raise SettingsError("wanted a client: a program after --, e.g. mockveo check -- python my_client.py, or --python MODULE:CALLABLE")  # fmt: skip # noqa: E501
        from mockveo_contracts.clients.interruption import Interrupted, Stop
        from mockveo_contracts.reports.formats import prepare

        targets, stop = prepare(options["reports"]), Stop()
        _look_for_corpus(options["corpus"])
        with stop.by_signals():
            try:
                report = _played(list(program), function, options, stop)
            except Interrupted as error:
                raise SettingsError(f"{error} before anything was played") from None
            _tell(report.data, targets)
        sys.exit(report.exit_status)


def _look_for_corpus(corpus: Path) -> None:
    given = click.get_current_context().get_parameter_source("corpus") is ParameterSource.COMMANDLINE
    if given and not corpus.exists():
        click.echo(f"mockveo: the corpus {corpus} is not there yet; it is made for what is found", err=True)
    elif given and not corpus.is_dir():
        raise SettingsError(f"--corpus {corpus} is a file; wanted a directory, e.g. --corpus mockveo-cases")


def _played(program: list[str], function: str | None, options: dict[str, Any], stop: Stop) -> ClientReport:
    from mockveo_contracts.clients.check import check as play
    from mockveo_contracts.reports.terminal import Progress

    root = Path.cwd()
    with ExitStack() as entered:
        with stop.soon():
            plan, driver = _prepared(program, function, options)
            entered.enter_context(driver)
        progress = entered.enter_context(Progress(io.StringIO() if options["quiet"] else sys.stderr))
        report = play(driver, replace(plan, progress=progress, stop=stop, root=root))
    for note in report.notes:
        click.echo(f"mockveo: {note}", err=True)
    return report


def _tell(data: Mapping[str, Any], targets: Sequence[Target]) -> None:
    """Shows a report, and writes it to files, each whatever becomes of the others. Raises ReportError."""
    from mockveo_contracts.reports.formats import write_all
    from mockveo_contracts.reports.model import ReportError
    from mockveo_contracts.reports.terminal import show

    failed = ""
    try:
        show(data, sys.stdout)
    except BrokenPipeError:
        unread()
    except OSError as error:
        failed = f"standard output cannot be written to: {error.strerror}"
    write_all(targets, data)
    if failed:
        raise ReportError(failed)


def _prepared(program: list[str], function: str | None, options: dict[str, Any]) -> tuple[CheckPlan, Driver]:
    from mockveo_contracts.case import features_of
    from mockveo_contracts.clients.check import CheckPlan, drive, usual_count
    from mockveo_contracts.clients.functions import load
    from mockveo_contracts.reports.known_failures import read

    client = load(function) if function else program
    count, shown = options["generated"], f"--python {function}" if function else _shown(program, options)
    if count is None and options["cases"]:
        count = 0
    elif count is None:
        count = usual_count(client) if _is_here("hypothesis", "cases are generated with mockveo[contracts]") else 0
    plan = CheckPlan(
        cases=options["cases"],
        corpus=options["corpus"],
        generated=count,
        seed=options["seed"],
        strict=options["strict"],
        known=tuple(read(options["known"])) if options["known"] else (),
        profile=options["profile"],
        again=f"mockveo check --case {{case}} {shown}",
    )
    driver = drive(
        client,
        name=function or "",
        mode=options["mode"],
        features=features_of(options["features"]) if options["features"] is not None else None,
        factor=options["accelerate"],
        profile=options["profile"],
    )
    return plan, driver


def _shown(program: list[str], options: dict[str, Any]) -> str:
    """A program as it is to be given again."""
    mode = "" if options["mode"] == "session" else f"--mode {options['mode']} "
    declared = f"--features {options['features']} " if options["features"] else ""
    return f"{mode}{declared}-- {shlex.join(program)}"


@click.command()
@click.option("--show", "name", metavar="NAME", help="Print one as YAML, to start from.")
def cases(name: str | None) -> None:
    """List the cases that every client is played."""
    with explained():
        from mockveo_contracts.cases.definitions import as_yaml, catalogue, find

        if name is not None:
            click.echo(as_yaml(find(name)), nl=False)
            return
        width = max(map(len, catalogue())) + 2
        for one in catalogue().values():
            click.echo(f"{one.name:{width}}{one.says}")


@click.command()
@click.argument("case")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8360, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--speed", type=float, help="Seconds of a job's life in one of ours.  [default: 100, as in a check]")
@click.option("--profile", default="docs-2026-03", show_default=True, help="Which generation of the API is played.")
def replay(case: str, speed: float | None, **settings: Any) -> None:
    """Serve exactly what a case serves, to be called by hand.

    CASE is a name of the catalogue, or a file that a check has written.
    """
    with explained():
        from mockveo.cli.serve import run
        from mockveo.settings import of
        from mockveo_contracts.cases.definitions import SPEED, find
        from mockveo_contracts.clients.replay import by_hand

        script = find(case)
        served = of(**settings, speed=speed or SPEED, seed=0, render=False)
        with by_hand(script) as opening:
            run(served, opening=opening)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--as", "reports", multiple=True, required=True, metavar="KIND=FILE", help="junit, html, sarif, github, har.")  # fmt: skip # noqa: E501
def report(files: tuple[Path, ...], reports: tuple[str, ...]) -> None:
    """Make other reports of JSON reports.

    Of several, `--as html=FILE` makes one page of rules and clients.
    """
    with explained():
        from mockveo_contracts.reports.formats import prepare, write_all
        from mockveo_contracts.reports.model import read

        data = [read(path) for path in files]
        write_all(prepare(reports), data)


@click.command()
@click.argument("url", default="http://127.0.0.1:8360")
@click.option("--only", "probes", multiple=True, metavar="NAME", help="Only this check: a name or a pattern.")
@click.option("--list", "listed", is_flag=True, help="List the checks, and send nothing.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@click.option("--max-jobs", type=click.IntRange(0), help="Most jobs.  [default: 5 where they may cost money]")
@click.option("--max-seconds", type=click.FloatRange(0), help="Seconds that the run may take.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Most requests a second.")
@click.option("--yes", is_flag=True, help="Do not ask before jobs are made that may cost money.")
@click.option(
    "--examples", type=click.IntRange(0), help="Generated requests an operation.  [default: 25 on this machine]"
)
@click.option("--histories", type=click.IntRange(0), help="Generated lives of jobs, of a mockveo.  [default: 20]")
@click.option(
    "--generated-creates/--no-generated-creates", default=None, help="Generate creates too.  [default: on this machine]"
)
@click.option("--failing-prompt", help="A prompt whose job is known to fail.")
@click.option("--poll-interval", type=click.FloatRange(0), help="Seconds between two polls.")
@click.option("--job-seconds", type=click.FloatRange(1), default=600.0, show_default=True, help="What a job may take.")
@click.option("--profile", help="Which generation of the API is wanted.  [default: the server's own, or docs-2026-03]")
@click.option("--spec", help="Hold it against this OpenAPI document instead of ours.")
@click.option(
    "--overlay", "overlays", multiple=True, type=click.Path(), help="Change the document by this OpenAPI Overlay."
)
@click.option("--seed", type=int, default=0, show_default=True, help="What is generated.")
@click.option("--strict", is_flag=True, help="A warning fails the verification too.")
@click.option(
    "--known",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Failures that are known: lines of a rule and a check.",
)
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="KIND=FILE",
    help="Write a report: json, junit, html, sarif, github, har.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def verify(url: str, **options: Any) -> None:
    """Say which rules of the contract a server breaks.

    The key comes from COMETAPI_KEY, one of another customer from COMETAPI_OTHER_KEY; without them it is asked for
    where one is needed. Against a server that is not this machine's, jobs may cost money: at most 5 are made, after a
    question.
    """
    with explained():
        from mockveo_contracts.reports.formats import prepare
        from mockveo_contracts.reports.terminal import Progress
        from mockveo_contracts.servers.verify import names, rehearse
        from mockveo_contracts.servers.verify import verify as run

        targets = prepare(options["reports"])
        plan = _server_plan(url, options)
        if options["listed"] or options["dry_run"]:
            for line in names(plan) if options["listed"] else rehearse(url, plan):
                click.echo(line)
            return
        _ask_for_money(url, plan, yes=options["yes"])
        with Progress(io.StringIO() if options["quiet"] else sys.stderr) as progress:
            data = run(url, replace(plan, progress=progress))
        _tell(data, targets)
        sys.exit(data["exit_status"])


def _server_plan(url: str, options: dict[str, Any]) -> VerifyPlan:
    from mockveo_contracts.reports.known_failures import read
    from mockveo_contracts.servers.server_rules import server_rules
    from mockveo_contracts.servers.verify import VerifyPlan, is_near

    near, silent = is_near(url), options["listed"] or options["dry_run"]
    key = os.environ.get("COMETAPI_KEY")
    if key is None and not near and not silent:
        if not sys.stdin.isatty():
            raise SettingsError(f"there is no key for {url}; wanted one in COMETAPI_KEY")
        key = click.prompt(f"Key for {url}", hide_input=True, err=True)
    taken = (
        *("max_jobs", "max_seconds", "rate", "generated_creates", "failing_prompt", "poll_interval", "job_seconds"),
        *("profile", "spec", "overlays", "seed", "strict", "probes"),
    )
    examples, histories = options["examples"], options["histories"]
    usual = near and _is_here("schemathesis", "requests are generated with mockveo[schemathesis]")
    return VerifyPlan(
        key=key or (silent and "sk-nobody") or None,
        other_key=os.environ.get("COMETAPI_OTHER_KEY"),
        examples=(25 if usual else 0) if examples is None else examples,
        histories=(20 if usual else 0) if histories is None else histories,
        known=tuple(read(options["known"], server_rules().find)) if options["known"] else (),
        **{name: options[name] for name in taken},
    )


def _is_here(module: str, what: str) -> bool:
    """Whether an extra is installed: what nobody has asked for is left out without it, and that is told."""
    found = find_spec(module) is not None
    if not found:
        click.echo(f"mockveo: {what}, which is not installed", err=True)
    return found


def _ask_for_money(url: str, plan: VerifyPlan, *, yes: bool) -> None:
    """Asks before jobs are made that may cost money. Raises SettingsError where there is nobody to ask."""
    from mockveo_contracts.servers.verify import PAID_JOBS, is_near

    jobs = PAID_JOBS if plan.max_jobs is None else plan.max_jobs
    if is_near(url) or yes or not jobs:
        return
    what = f"up to {jobs} jobs are made at {url}, and each may cost money"
    if not sys.stdin.isatty():
        raise SettingsError(f"{what}; wanted --yes, or --max-jobs 0 for what costs nothing")
    click.confirm(f"mockveo: {what}. Go on?", abort=True, err=True)


@click.command()
@click.option("--servers", is_flag=True, help="Those for servers instead.")
def rules(servers: bool) -> None:
    """List the rules of the contract for clients."""
    from mockveo.rules.client_rules import client_rules
    from mockveo_contracts.servers.server_rules import server_rules

    book = server_rules() if servers else client_rules()
    for rule in book.rules.values():
        click.echo(f"{rule.id:28}{rule.severity.upper():7}{rule.description}")


@click.command()
@click.argument("rule")
def explain(rule: str) -> None:
    """Say what a rule wants, and where it comes from."""
    from mockveo.rules.client_rules import client_rules
    from mockveo.rules.engine import find
    from mockveo_contracts.servers.server_rules import server_rules

    with explained():
        found = find(rule, {**server_rules().rules, **client_rules().rules})
        click.echo(f"{found.id} ({found.severity.upper()})\n\n  {found.description}\n\n  Source: {found.source}")


#: All of them, for the group that they belong to.
CHECKS: Final = (cases, check, explain, replay, report, rules, verify)
