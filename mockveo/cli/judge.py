"""The command `judge`: saved traffic against the contract."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from mockveo.console.options import option, requirements_option
from mockveo.console.output import print_document, say
from mockveo.text import counted


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@requirements_option
@option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def judge(file: Path, requirements: str, as_json: bool) -> None:
    """Check saved traffic against the contract.

    FILE is a journal, a JSON log or a HAR. Only rules that requests alone can show are checked. The exit status is 1
    if a MUST rule is broken.
    """
    from mockveo.rules.client_rules import client_rules, findings
    from mockveo.rules.money import traffic_bill
    from mockveo.rules.requirements import newer
    from mockveo.traffic.importing import read

    trace = read(file)
    judged_all, bill = findings(trace), traffic_bill(trace)
    not_asked = {name for name, rule in client_rules().rules.items() if newer(rule.since, requirements)}
    broken = [finding for finding in judged_all if finding.rule not in not_asked]
    later = [finding for finding in judged_all if finding.rule in not_asked]
    if as_json:
        judged = {"exchanges": len(trace), "findings": [finding.to_json() for finding in broken]}
        judged["newer"] = [finding.to_json() for finding in later]
        print_document(json.dumps({**judged, "bill": bill.to_json()}))
    else:
        for finding in broken:
            numbers = ", ".join(map(str, finding.exchanges))
            say(f"{finding.verdict} of {finding.rule}: {finding.message} [{numbers}]", single_line=True)
            say(f"  source: {finding.source}", single_line=True)
        for finding in later:
            say(f"new since {requirements}, not counted: {finding.rule}: {finding.message}", single_line=True)
        say(f"bill: {bill.line}", single_line=True)
        for job in bill.wasted.lines:
            say(f"  wasted {job}", single_line=True)
        numbers = f"{counted(len(trace), 'exchange')}, {counted(len(broken), 'finding')}"
        say(f"{numbers}, by the rules that requests alone can show", single_line=True)
    if any(finding.verdict == "violation" for finding in broken):
        sys.exit(1)
