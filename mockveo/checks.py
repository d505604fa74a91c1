"""The commands of the contract tests: thin, over `mockveo_contracts`, which is loaded when one of them runs.

Exit statuses are those of the client protocol: 0 no violation, 1 a violation, 2 the check could not run, 3 a stale
entry among the known failures.
"""

from __future__ import annotations

import io
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mockveo.commands import explained
from mockveo.errors import SettingsError

if TYPE_CHECKING:
    from mockveo_contracts.check import Plan
    from mockveo_contracts.drivers import Driver


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
@click.option("--corpus", type=click.Path(path_type=Path), metavar="DIR", help="Cases of your own, and found failures.")
@click.option("--generated", type=click.IntRange(0), help="Generated cases.  [default: 200; 40 for a program]")
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
        if (function is None) == (not program):
            raise SettingsError("wanted a client: a program after --, e.g. mockveo check -- python my_client.py, or --python MODULE:CALLABLE")  # fmt: skip # noqa: E501
        from mockveo_contracts.check import check as play
        from mockveo_contracts.formats import parse, write
        from mockveo_contracts.terminal import Progress, show

        for one in options["reports"]:
            parse(one)  # before anything is played for it
        plan, driver = _prepared(list(program), function, options)
        with driver, Progress(io.StringIO() if options["quiet"] else sys.stderr) as progress:
            report = play(driver, replace(plan, progress=progress))
        show(report.data, sys.stdout)
        for one in options["reports"]:
            write(one, report.data)
        sys.exit(report.exit_status)


def _prepared(program: list[str], function: str | None, options: dict[str, Any]) -> tuple[Plan, Driver]:
    from mockveo_contracts.case import features_of
    from mockveo_contracts.check import Plan
    from mockveo_contracts.drivers import drive, usual_count
    from mockveo_contracts.functions import load
    from mockveo_contracts.known import read

    client = load(function) if function else program
    count, shown = options["generated"], f"--python {function}" if function else _shown(program, options)
    plan = Plan(
        cases=options["cases"],
        corpus=options["corpus"],
        generated=usual_count(client) if count is None else count,
        seed=options["seed"],
        strict=options["strict"],
        known=tuple(read(options["known"])) if options["known"] else (),
        profile=options["profile"],
        again=f"mockveo check --case '{{case}}' {shown}",
    )
    driver = drive(
        client,
        name=function or "",
        mode=options["mode"],
        features=features_of(options["features"]) if options["features"] is not None else None,
        factor=options["accelerate"],
        seed=options["seed"],
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
        from mockveo_contracts.scripts import as_yaml, catalogue, find

        if name is not None:
            click.echo(as_yaml(find(name)), nl=False)
            return
        for one in catalogue().values():
            click.echo(f"{one.name:28}{one.says}")


@click.command()
@click.argument("case")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8360, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--speed", type=float, help="Seconds of a job's life in one of ours.  [default: 100, as in a check]")
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the check.")
@click.option("--profile", default="docs-2026-03", show_default=True, help="Which generation of the API is played.")
def replay(case: str, speed: float | None, **settings: Any) -> None:
    """Serve exactly what a case serves, to be called by hand.

    CASE is a name of the catalogue, or a file that a check has written.
    """
    with explained():
        from mockveo_contracts.replay import by_hand
        from mockveo_contracts.scripts import SPEED, find

        from mockveo.console import run
        from mockveo.settings import of

        script = find(case)
        served = of(**settings, speed=speed or SPEED, render=False)
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
        from mockveo_contracts.formats import write
        from mockveo_contracts.report import read

        data = [read(path) for path in files]
        for one in reports:
            write(one, data)


#: All of them, for the group that they belong to.
CHECKS: Final = (cases, check, replay, report)
