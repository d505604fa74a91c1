"""Write the requirement set of a month: `python scripts/freeze.py MONTH [--again]`.

A set names the rules, with their severities, and the cases, with a digest of what each is, that `--requirements MONTH`
asks for. It is written once, when a version with new ones is released; a test compares it from then on. `--again`
writes it again, for a set that no release has yet.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from mockveo_contracts.cases import definitions
from mockveo_contracts.servers.probes import PROBES
from mockveo_contracts.servers.server_rules import server_rules

from mockveo import yamlfiles
from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Rule
from mockveo.rules.requirements import SETS


def frozen(month: str) -> dict[str, Any]:
    """Return the set of a month as what is here now makes it."""
    cases = {name: case for name, case in definitions.catalogue().items() if case.since <= month}
    return {
        "client rules": _severities(client_rules().rules, month),
        "server rules": _severities(server_rules().rules, month),
        "cases": {name: _digest(case.data) for name, case in cases.items()},
        "probes": [name for name, probe in PROBES.items() if probe.since <= month],
    }


def _severities(rules: Mapping[str, Rule], month: str) -> dict[str, str]:
    return {name: rule.severity for name, rule in rules.items() if rule.since <= month}


def _digest(data: Mapping[str, Any]) -> str:
    """Return a digest of what a client gets and meets; how a case is described may change."""
    same = {name: value for name, value in data.items() if name not in ("says", "since")}
    return sha256(definitions.canonical(same).encode()).hexdigest()[:16]


def main() -> None:
    """Write the file; an error for one that exists."""
    parser = argparse.ArgumentParser(description="Write the requirement set of a month.")
    parser.add_argument("month", metavar="MONTH", help="e.g. 2026-11")
    parser.add_argument("--again", action="store_true", help="write it although it exists")
    options = parser.parse_args()
    path = SETS / f"{options.month}.yaml"
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", options.month):
        sys.exit(f"the month is {options.month!r}; expected a year and a month, e.g. 2026-11")
    if path.exists() and not options.again:
        sys.exit(f"{path.name} exists, and a set does not change; expected a later month, or --again before a release")
    path.write_text(yamlfiles.dump(frozen(options.month)), encoding="utf-8")
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
