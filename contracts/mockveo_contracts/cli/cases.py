"""The commands `cases` and `replay`: list the cases of `check`, and serve one of them."""

from __future__ import annotations

from typing import Any

import click

from mockveo.console.options import option
from mockveo.console.output import print_document, print_table
from mockveo.settings import Settings, of
from mockveo_contracts.case import SPEED


@click.command()
@option("--show", "name", metavar="NAME", help="Print a case as YAML to start from.")
def cases(name: str | None) -> None:
    """List the cases that `check` runs."""
    from mockveo_contracts.cases.definitions import as_yaml, catalogue, find

    if name is not None:
        print_document(as_yaml(find(name)))
        return
    print_table((case.name, case.description) for case in catalogue().values())


@click.command()
@click.argument("case")
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("--port", type=int, default=8360, show_default=True, help="Port to listen on; 0 takes a free one.")
@option("--speed", type=float, default=SPEED, show_default=True, help="Simulated seconds per second.")
@option("--profile", default=Settings().profile, show_default=True, help="Generation of the API to serve.")
def replay(case: str, **settings: Any) -> None:
    """Serve one case, to be called by hand.

    CASE is a name (see `mockveo cases`) or a file that `check` saved. It is served exactly as in a check.
    """
    from mockveo.console.foreground import run
    from mockveo_contracts.cases.definitions import find
    from mockveo_contracts.cli.replay import by_hand

    test_case = find(case)
    served = of(**settings, seed=0, render=False)
    with by_hand(test_case) as opening:
        run(served, opening=opening)
