"""The command `judge`: saved traffic against the contract."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from mockveo.console.options import option
from mockveo.text import counted


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def judge(file: Path, as_json: bool) -> None:
    """Check saved traffic against the contract.

    FILE is a journal, a JSON log or a HAR. Only rules that requests alone can show are checked. The exit status is 1
    if a MUST rule is broken.
    """
    from mockveo.rules.client_rules import findings
    from mockveo.traffic.importing import read

    trace = read(file)
    broken = list(findings(trace))
    if as_json:
        click.echo(json.dumps({"exchanges": len(trace), "findings": [finding.to_json() for finding in broken]}))
    else:
        for finding in broken:
            numbers = ", ".join(map(str, finding.exchanges))
            click.echo(f"{finding.verdict} of {finding.rule}: {finding.message} [{numbers}]")
            click.echo(f"  source: {finding.source}")
        numbers = f"{counted(len(trace), 'exchange')}, {counted(len(broken), 'finding')}"
        click.echo(f"{numbers}, by the rules that requests alone can show")
    if any(finding.verdict == "violation" for finding in broken):
        sys.exit(1)
