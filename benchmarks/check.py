"""The duration of a check: `python benchmarks/check.py [--rounds N]`.

The zoo's correct client runs the catalogue and 200 generated cases in this process; a program in one session runs the
catalogue, one case at a time and four at a time. Each round prints wall-clock seconds and CPU seconds of this process.
The aim on two cores: 5 s, 10 s and 60 s.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from mockveo_contracts import Case, Outcome
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.check import CheckPlan, check, drive
from mockveo_contracts.reports.model import Report

TESTS = Path(__file__).resolve().parent.parent / "tests"
PROGRAM = TESTS / "clients" / "programs" / "client.py"


def main() -> int:
    """Print the table; 1 if a correct client has findings."""
    parser = argparse.ArgumentParser(description="The duration of a check.")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    rounds: int = parser.parse_args().rounds
    sys.path.insert(0, str(TESTS / "mutants"))
    zoo = import_module("zoo_client")

    def correct(case: Case) -> Outcome:
        outcome: Outcome = zoo.CorrectClient(case)()
        return outcome

    program = [sys.executable, str(PROGRAM), "session"]
    runs: dict[str, Callable[[], tuple[float, float, Report]]] = {
        "catalogue, function": lambda: timed(correct, CheckPlan(generated=0), zoo.CorrectClient.features),
        "200 generated, function": lambda: timed(correct, CheckPlan(generated=200), zoo.CorrectClient.features, ()),
        "catalogue, program": lambda: timed(program, CheckPlan(generated=0)),
        "catalogue, program, 4 in flight": lambda: timed([*program, "4"], CheckPlan(generated=0)),
    }
    clean = True
    print(f"{'':34}{'cases':>7}{'wall s':>9}{'CPU s':>9}")
    for _ in range(rounds):
        for name, run in runs.items():
            wall, cpu, report = run()
            clean &= not report.findings
            played = len(report.cases) + report.generated
            print(f"{name:34}{played:>7}{wall:>9.2f}{cpu:>9.2f}{'' if not report.findings else '  findings!'}")
    return 0 if clean else 1


def timed(
    client: Callable[[Case], Outcome] | Sequence[str],
    plan: CheckPlan,
    features: Mapping[str, Any] | None = None,
    played: Iterable[TestCase] | None = None,
) -> tuple[float, float, Report]:
    """Return the wall-clock and CPU seconds that a check takes, start and end included, and its report."""
    wall, cpu = perf_counter(), process_time()
    with drive(client, features=features) as driver:
        report = check(driver, plan, played)
    return perf_counter() - wall, process_time() - cpu, report


if __name__ == "__main__":
    sys.exit(main())
