"""The commands `rules` and `explain`: the rules of the contract."""

from __future__ import annotations

import click

from mockveo.console.options import option


@click.command()
@option("--servers", is_flag=True, help="List the rules for servers instead of those for clients.")
def rules(servers: bool) -> None:
    """List the rules of the contract."""
    from mockveo.rules.client_rules import client_rules
    from mockveo_contracts.servers.server_rules import server_rules

    book = server_rules() if servers else client_rules()
    for rule in book.rules.values():
        click.echo(f"{rule.id:28}{rule.severity.upper():7}{rule.description}")


@click.command()
@click.argument("rule")
def explain(rule: str) -> None:
    """Explain a rule and name its source."""
    from mockveo.rules.client_rules import client_rules
    from mockveo.rules.engine import find
    from mockveo_contracts.servers.server_rules import server_rules

    explained = find(rule, {**server_rules().rules, **client_rules().rules})
    click.echo(
        f"{explained.id} ({explained.severity.upper()})\n\n  {explained.description}\n\n  Source: {explained.source}"
    )
