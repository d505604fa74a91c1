"""The requirement sets are what was frozen: nothing of a past month has been changed, added or taken away."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys

import pytest
from mockveo_contracts.cases.definitions import catalogue
from mockveo_contracts.servers.probes import PROBES
from mockveo_contracts.servers.server_rules import server_rules
from paths import ROOT

from mockveo import yamlfiles
from mockveo.errors import RuleError
from mockveo.rules.client_rules import client_rules
from mockveo.rules.requirements import SETS, months

FREEZE = ROOT / "scripts" / "freeze.py"
FROZEN = runpy.run_path(str(FREEZE))["frozen"]


@pytest.mark.parametrize("month", months())
def test_set_is_what_was_frozen(month: str) -> None:
    path = SETS / f"{month}.yaml"
    assert yamlfiles.parse(path.read_bytes(), path.name, RuleError) == FROZEN(month), (
        f"what {path.name} asks for has changed; a rule, a severity or a case that is new needs a `since` of its own."
        " CONTRIBUTING.md says more"
    )


def test_whatever_says_since_says_a_month() -> None:
    cases, probes = catalogue().values(), PROBES.values()
    rules = [*client_rules().rules.values(), *server_rules().rules.values()]
    dated = [*((rule.id, rule.since) for rule in rules), *((each.name, each.since) for each in (*cases, *probes))]
    assert [name for name, since in dated if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", since)] == []


@pytest.mark.parametrize(("month", "problem"), [(months()[0], "a set does not change"), ("nov", "a year and a month")])
def test_set_is_not_written_twice_by_mistake(month: str, problem: str) -> None:
    before = {path.name: path.read_bytes() for path in SETS.iterdir()}
    done = subprocess.run([sys.executable, str(FREEZE), month], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert problem in done.stderr
    assert {path.name: path.read_bytes() for path in SETS.iterdir()} == before
