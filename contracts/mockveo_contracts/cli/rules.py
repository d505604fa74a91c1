"""The commands `rules` and `explain`: the rules of the contract."""

from __future__ import annotations

import click

from mockveo.console.options import option
from mockveo.console.output import print_table, print_wrapped, say


@click.command()
@option("--servers", is_flag=True, help="List the rules for servers instead of those for clients.")
def rules(servers: bool) -> None:
    """List the rules of the contract."""
    from mockveo.rules.client_rules import client_rules
    from mockveo_contracts.servers.server_rules import server_rules

    book = server_rules() if servers else client_rules()
    print_table((rule.id, rule.severity.upper(), rule.description) for rule in book.rules.values())


@click.command()
@click.argument("rule")
def explain(rule: str) -> None:
    """Explain a rule and name its source."""
    from mockveo.rules.client_rules import client_rules
    from mockveo.rules.engine import find
    from mockveo_contracts.servers.server_rules import server_rules

    explained = find(rule, {**server_rules().rules, **client_rules().rules})
    say(f"{explained.id} ({explained.severity.upper()})\n")
    parts = {
        "": explained.description,
        "Why": explained.why,
        "What breaking it looks like": explained.example,
        "How to fix it": explained.advice,
        "Source": explained.source,
        "Page": explained.page,
    }
    for heading, text in parts.items():
        if heading:
            say(f"\n{heading}")
        print_wrapped(text, "  ")
