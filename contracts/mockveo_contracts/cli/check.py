"""The command `check`: its options. `check_run.py` has its body, so that `--help` imports nothing of it.

Exit statuses are those of the client protocol: 0 no violation, 1 a violation, 2 the check could not run, 3 a stale
entry among the known failures.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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
    "--kill-everywhere",
    "everywhere",
    is_flag=True,
    help="Play one case (--case, or call/prompt-only), then again with a kill of the client in each of its exchanges.",
)
@option("--shard", metavar="N/COUNT", help="Run only each COUNT-th case; `mockveo report --merge` joins the reports.")
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
    "--overlay", "overlays", multiple=True, metavar="FILE", help="OpenAPI Overlay to apply, e.g. prices. Repeatable."
)
@option("--budget", metavar="LIMIT", help="Jobs, or money, e.g. 2.50USD, that a case may cost. Default: no limit.")
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
@option(
    "--through",
    metavar="URL",
    help="Let the program call these servers, e.g. at a balancer, which share --store. Nothing kills it then.",
)
@option("--store", metavar="URL", help="With --through, the Redis of these servers, e.g. redis://localhost.")
@reporting_options
def check(  # an option each; `of_client` are those of ClientOptions
    *,
    reporting: Reporting,
    cases: tuple[str, ...],
    corpus: Path,
    generated: int | None,
    everywhere: bool,
    shard: str | None,
    shrink_seconds: float,
    **of_client: Any,
) -> None:
    """Test a client against the contract.

    The client is a program, given after `--`, that speaks the client protocol (docs/client-protocol.md), or a Python
    function. For example `mockveo check -- python my_client.py` or `mockveo check --python my_package.module:client`.

    Exit statuses: 0 no violation, 1 a violation, 2 the check could not run, 3 a known failure no longer occurs.
    """
    from mockveo_contracts.cases.shards import WHOLE, Shard
    from mockveo_contracts.cli.check_run import ClientOptions, run
    from mockveo_contracts.clients.check import CheckPlan

    client = ClientOptions(**of_client)
    plan = CheckPlan(
        cases=cases,
        corpus=corpus,
        shard=WHOLE if shard is None else Shard.parse(shard),
        shrink_seconds=shrink_seconds,
        seed=reporting.seed,
        strict=reporting.strict,
        profile=client.profile,
        budget=client.budget or "",
        requirements=reporting.requirements,
        everywhere=everywhere,
        again=_again(client, cases, everywhere=everywhere),
    )
    sys.exit(run(client, reporting, plan, generated))


def _again(client: object, cases: tuple[str, ...], *, everywhere: bool) -> str:
    """Return the command that runs a case again."""
    if not everywhere:
        return f"mockveo check --case {{case}} {client}"
    chosen = "".join(f"--case {shlex.quote(case)} " for case in cases)
    return f"mockveo check --kill-everywhere {chosen}{client}"
