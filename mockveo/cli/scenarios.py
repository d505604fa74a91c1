"""The command `scenarios`: list, show and check scenarios."""

from __future__ import annotations

from pathlib import Path

import click

from mockveo._paths import built_in_scenarios
from mockveo.console.output import print_document, print_table, say
from mockveo.text import counted


@click.group(invoke_without_command=True)
@click.pass_context
def scenarios(context: click.Context) -> None:
    """List the built-in scenarios, show or check one.

    `mockveo scenarios show NAME` prints a built-in scenario as YAML to start from.
    """
    from mockveo.simulator.scenarios import built_in

    if context.invoked_subcommand is None:
        print_table((scenario.name, scenario.summary) for scenario in built_in())


@scenarios.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a built-in scenario as YAML."""
    from mockveo.simulator.scenarios import named

    named(name)
    print_document(built_in_scenarios()[name].read_text(encoding="utf-8"))


@scenarios.command()
def schema() -> None:
    """Print the JSON Schema of a scenario."""
    from mockveo.simulator.scenarios import SCHEMA

    print_document(SCHEMA.read_text(encoding="utf-8"))


@scenarios.command()
@click.argument("files", nargs=-1, required=True)
def check(files: tuple[str, ...]) -> None:
    """Check scenario files and report what is wrong.

    The error names they use are checked against the OpenAPI document only when the scenario is served.
    """
    from mockveo.simulator.scenarios import read

    for name in files:
        scenario = read(Path(name))
        say(f"{name}: {counted(len(scenario.faults), 'fault')}, ends in {scenario.ending}", single_line=True)
