"""The duration of a check: `python benchmarks/check.py [--rounds N] [--zoo | --programs] [NAME ...]`.

The zoo's correct client runs the catalogue and 200 generated cases in this process; a program runs the catalogue in one
process and in four, there also with 40 generated cases, as `mockveo check` does. `--zoo` checks each mutant of the zoo
as a function instead, `--programs` as a program with 40 generated cases, or only the mutants that are named; both print
the slowest ten. All print wall-clock seconds and CPU seconds, which are those of this process alone. The aims on two
cores: a function 8 s, a correct program 15 s, a program that is broken in every case 60 s.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from mockveo_contracts import Case, Outcome
from mockveo_contracts.case import Image, Input
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.check import CheckPlan, check, drive
from mockveo_contracts.reports.model import Report

from mockveo.errors import did_you_mean

TESTS = Path(__file__).resolve().parent.parent / "tests"
PROGRAM = TESTS / "clients" / "programs" / "client.py"


def main() -> int:
    """Print the table; 1 if a correct client has findings."""
    parser = argparse.ArgumentParser(description="The duration of a check.")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--zoo", action="store_true", help="check each mutant of the zoo as a function")
    parser.add_argument("--programs", action="store_true", help="check each mutant of the zoo as a program")
    parser.add_argument("--play", metavar="MUTANT", help="be the program of a mutant, in mode session")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a mutant of the zoo; default: all of them")
    options = parser.parse_args()
    sys.path.insert(0, str(TESTS / "mutants"))
    if options.play:
        play(options.play)
        return 0
    if options.zoo or options.programs:
        mutants = import_module("zoo").ZOO
        for name in options.names:
            if name not in mutants:
                parser.error(
                    f"{name!r} is no mutant of the zoo; {did_you_mean(name, mutants)}expected e.g. no-deadline"
                )
        slowest(options.names, programs=options.programs)
        return 0
    return rounds(options.rounds)


def rounds(number: int) -> int:
    """Print the table of the correct clients; return 1 if one has findings."""
    zoo = import_module("zoo_client")

    def correct(case: Case) -> Outcome:
        outcome: Outcome = zoo.CorrectClient(case)()
        return outcome

    program = [sys.executable, str(PROGRAM), "session"]
    runs: dict[str, Callable[[], tuple[float, float, Report]]] = {
        "catalogue, function": lambda: timed(correct, CheckPlan(generated=0), zoo.CorrectClient.features),
        "200 generated, function": lambda: timed(correct, CheckPlan(generated=200), zoo.CorrectClient.features, ()),
        "catalogue, program": lambda: timed(program, CheckPlan(generated=0), parallel=1),
        "catalogue, program, 4 processes": lambda: timed(program, CheckPlan(generated=0)),
        "with 40 generated, 4 processes": lambda: timed(program, CheckPlan(generated=40)),
    }
    clean = True
    print(f"{'':34}{'cases':>7}{'wall s':>9}{'CPU s':>9}")
    for _ in range(number):
        for name, run in runs.items():
            wall, cpu, report = run()
            clean &= not report.findings
            played = len(report.cases) + report.generated
            print(f"{name:34}{played:>7}{wall:>9.2f}{cpu:>9.2f}{'' if not report.findings else '  findings!'}")
    return 0 if clean else 1


def slowest(names: Sequence[str], *, programs: bool) -> None:
    """Check mutants of the zoo; print the slowest ten."""
    zoo = import_module("zoo")
    rows = []
    for name in names or zoo.ZOO:
        if programs:
            command = [sys.executable, __file__, "--play", name]
            wall, cpu, report = timed(command, CheckPlan(generated=40))
        else:
            wall, cpu, report = timed(zoo.ZOO[name], CheckPlan(), zoo.CorrectClient.features)
        rows.append((wall, cpu, name, report))
        print(f"{len(rows)} of {len(names or zoo.ZOO)}", name, f"{wall:.2f}", file=sys.stderr)
    print(f"{'':34}{'cases':>7}{'wall s':>9}{'CPU s':>9}")
    for wall, cpu, name, report in sorted(rows, key=lambda row: -row[0])[:10]:
        print(f"{name:34}{len(report.cases) + report.generated:>7}{wall:>9.2f}{cpu:>9.2f}  {report.aborted}")


def play(name: str) -> None:
    """Speak the client protocol for a mutant of the zoo."""
    mutant = import_module("zoo").ZOO[name]
    print(json.dumps({"type": "hello", "client": name, "features": dict(mutant.features)}), flush=True)
    sys.stdin.readline()
    for line in sys.stdin:
        case = json.loads(line)
        given = case["input"]
        images = tuple(Image(image["path"], image["filename"], image["content_type"]) for image in given["images"])
        call = Input(given["prompt"], given["model"], given["size"], images)
        rest = {field.name: case[field.name] for field in fields(Case) if field.name != "input"}
        try:
            outcome = mutant(Case(input=call, **rest))
        except Exception as error:  # noqa: BLE001 - it is its outcome
            outcome = Outcome("error", error={"type": type(error).__name__, "message": str(error)})
        print(json.dumps({"type": "result", "id": case["id"], **asdict(outcome)}), flush=True)


def timed(
    client: Callable[[Case], Outcome] | Sequence[str],
    plan: CheckPlan,
    features: Mapping[str, Any] | None = None,
    played: Iterable[TestCase] | None = None,
    *,
    parallel: int | None = None,
) -> tuple[float, float, Report]:
    """Return the wall-clock and CPU seconds that a check takes, start and end included, and its report."""
    wall, cpu = perf_counter(), process_time()
    with drive(client, features=features, parallel=parallel) as driver:
        report = check(driver, plan, played)
    return perf_counter() - wall, process_time() - cpu, report


if __name__ == "__main__":
    sys.exit(main())
