"""The command `run`: any program, unmodified, against the fake."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from mockveo.cli.serve import settings_options
from mockveo.console.options import option
from mockveo.console.output import say
from mockveo.settings import of

if TYPE_CHECKING:
    from mockveo.interception.outcome import RunOutcome
    from mockveo.interception.proof import Proof
    from mockveo.server.run import ServerThread

#: What ends a run with status 1, besides the program itself.
FAIL_ON: Final = ("violation", "warning", "never")
#: Exit statuses of our own; all others are the program's.
FINDING_STATUS, PROOF_STATUS = 1, 3


def _run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a run itself."""
    add = [
        option(
            "--isolate",
            type=click.Choice(["auto", "namespace", "landlock", "environment"]),
            default="auto",
            show_default=True,
            help="How to hold the program back; auto takes the strongest that works here.",
        ),
        option(
            "--require-proof",
            is_flag=True,
            help="Run only if the kernel leaves no way out; exit 3 if the program tries to reach a stranger.",
        ),
        option("--host", "hosts", multiple=True, metavar="NAME", help="Play this host too. Repeatable."),
        option(
            "--allow",
            multiple=True,
            metavar="HOST:PORT",
            help="Let the program reach this stranger; the report names it. Repeatable.",
        ),
        option(
            "--local",
            multiple=True,
            type=int,
            metavar="PORT",
            example="5432",
            help="Let the program reach this port of the machine's loopback, e.g. a database. Repeatable.",
        ),
        option("--keep-key", is_flag=True, help="Leave the program's keys as they are."),
        option(
            "--report",
            "reports",
            multiple=True,
            metavar="KIND=FILE",
            help="Write a report: json=FILE, html=FILE or har=FILE. Repeatable.",
        ),
        option(
            "--fail-on",
            type=click.Choice(FAIL_ON),
            default="never",
            show_default=True,
            help="Exit with status 1 if the program succeeds but breaks the contract like this, or worse.",
        ),
        option("--quiet", is_flag=True, help="Print only errors."),
    ]
    for decorate in reversed(add):
        command = decorate(command)
    return command


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_run_options
@partial(settings_options, without=("host", "workers"))
@click.pass_context
def run(context: click.Context, /, command: tuple[str, ...], reports: tuple[str, ...], **values: Any) -> None:
    """Run a program against the fake, and prove that nothing left.

    COMMAND runs unmodified: the hosts of the document's `servers`, https://api.cometapi.com, are played for it. Its
    exit status is that of `mockveo run`, except 2 if it cannot be run, 3 with --require-proof, and 1 with --fail-on.
    For example `mockveo run --scenario retry-after -- python bot.py`.
    """
    gc.disable()  # Starting makes no garbage.
    # Imported lazily so that `run --help` starts fast.
    from mockveo.interception.options import RunOptions
    from mockveo.interception.report import ReportTarget, opening, summary, write_reports
    from mockveo.interception.run import RunHooks, run_program

    targets = [ReportTarget.parse(text) for text in reports]
    quiet, fail_on = values.pop("quiet"), values.pop("fail_on")
    names = ("isolate", "require_proof", "hosts", "allow", "local", "keep_key")
    options = RunOptions(command, **{name: values.pop(name) for name in names})

    def started(server: ServerThread, proof: Proof) -> None:
        gc.freeze()
        gc.enable()
        if not quiet:
            say(opening(server, proof, command), err=True)

    hooks = RunHooks(
        on_start=started,
        forward_signals=True,
        any_port=context.get_parameter_source("port") is ParameterSource.DEFAULT,
    )
    outcome = run_program(options, of(**values), hooks)
    if not quiet:
        say(summary(outcome), err=True)
    write_reports(targets, outcome)
    sys.exit(_exit_status(outcome, require_proof=options.require_proof, fail_on=fail_on))


def _exit_status(outcome: RunOutcome, *, require_proof: bool, fail_on: str) -> int:
    if require_proof and (outcome.proof.level != "kernel" or outcome.proof.attempts):
        return PROOF_STATUS
    failing = FAIL_ON[: FAIL_ON.index(fail_on) + 1] if fail_on != "never" else ()
    if outcome.exit_status == 0 and any(finding.verdict in failing for finding in outcome.findings):
        return FINDING_STATUS
    return outcome.exit_status
