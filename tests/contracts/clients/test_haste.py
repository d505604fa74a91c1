"""A check ends soon: a client that uses up its time for a rule that it has broken often enough is hurried."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mockveo_contracts import Case, Outcome
from mockveo_contracts.cases import definitions
from mockveo_contracts.cases.definitions import TestCase, catalogue, parse_case
from mockveo_contracts.clients.check import ENOUGH, HURRIED_PATIENCE_S, HURRIED_S, CheckPlan, Shown, check
from mockveo_contracts.clients.functions import Functions
from mockveo_contracts.clients.programs import Programs
from mockveo_contracts.clients.testbed import CaseRun
from paths import CLIENTS
from zoo_client import CorrectClient

#: A client that never sees that a job has completed, and writes down how long it was given.
ENDLESS = """
import sys
sys.path.insert(0, {here!r})
import client
def run(call):
    with open("deadlines", "a") as file:
        file.write("%s\\n" % call.case["deadline_s"])
    job = call.create()
    while True:
        call.sleep(call.case["poll_interval_s"])
        job = call.get("/videos/" + job["id"]).json
client.Call.run = run
client.main("session")
"""


def correct(case: Case) -> Outcome:
    return CorrectClient(case)()


def played(test_case: TestCase) -> CaseRun:
    """The run of the correct client, as if it had cost time."""
    with Functions(correct, features=CorrectClient.features) as driver:
        (run,) = driver.play([test_case])
    return replace(run, seconds=10.0)


def shown(*runs: CaseRun) -> Shown:
    result = Shown()
    for run in runs:
        result.add(run)
    return result


def with_outcome(run: CaseRun, **outcome: Any) -> CaseRun:
    return replace(run, outcome={**(run.outcome or {}), **outcome})


def test_client_that_uses_up_its_time_for_one_rule_is_hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    catalogue()  # kept from now on, with the usual deadline
    monkeypatch.setattr(definitions, "DEFAULT_DEADLINE_S", 3.0)
    cases = [parse_case({}, f"case-{number}") for number in range(12)]
    program = [sys.executable, "-c", ENDLESS.format(here=str(CLIENTS / "programs"))]
    with Programs(program, parallel=2) as driver:
        report = check(driver, CheckPlan(generated=0), test_cases=cases)
    deadlines = [float(line) for line in (tmp_path / "deadlines").read_text().splitlines()]
    # Cases that were given before the last of them was over have the usual time.
    usual = deadlines.count(3.0)
    assert ENOUGH <= usual <= ENOUGH + 4
    assert deadlines == [3.0] * usual + [pytest.approx(0.14 + HURRIED_S)] * (len(cases) - usual)
    assert [case.name for case in report.cases] == [test_case.name for test_case in cases]
    assert len({finding.case.name for finding in report.findings}) == len(cases)
    (note,) = report.notes
    assert note.startswith("the client got less time for each case after it broke ")


def test_case_is_hurried_by_what_its_scenario_takes() -> None:
    run = with_outcome(played(catalogue()["call/prompt-only"]), leaks=["the output"], outcome="timeout")
    hurried = shown(*[run] * ENOUGH)
    seconds = {
        name: hurried.fit(catalogue()[name]).deadline
        for name in ("call/prompt-only", "job/long", "create/429-retry-after", "job/never-ends")
    }
    assert seconds == {
        "call/prompt-only": pytest.approx(0.14 + HURRIED_S),
        "job/long": pytest.approx(1.8 + HURRIED_S),
        "create/429-retry-after": pytest.approx(1.14 + HURRIED_S),
        "job/never-ends": pytest.approx(0.2 + HURRIED_S),
    }


def test_time_that_is_used_up_without_a_broken_rule_does_not_hurry() -> None:
    run = played(parse_case({"scenario": {"ending": "never"}}))
    assert ((run.outcome or {})["outcome"], run.test_case.usually_ends) == ("timeout", True)
    assert shown(*[run] * 2 * ENOUGH).reason == ""


def test_broken_rule_hurries_only_if_it_uses_up_the_time() -> None:
    run = played(catalogue()["call/prompt-only"])
    quick = with_outcome(run, leaks=["the output"])
    late = with_outcome(run, leaks=["the output"], outcome="timeout")
    assert shown(quick).broken == {"key-in-output"}
    assert shown(*[quick] * 2 * ENOUGH).reason == ""
    assert shown(*[late] * (ENOUGH - 1)).reason == ""
    assert shown(*[late] * ENOUGH).reason == f"it broke key-in-output and used up its time in {ENOUGH} cases"


def test_client_that_gives_up_after_many_tries_is_hurried_like_one_at_its_deadline() -> None:
    run = with_outcome(played(catalogue()["call/prompt-only"]), leaks=["the output"])
    last = {**run.trace[-1], "at": run.trace[0]["at"] + 3.2 * run.pace}
    late = replace(run, trace=[*run.trace[:-1], last])
    assert shown(*[run] * 2 * ENOUGH).reason == ""
    assert shown(*[late] * ENOUGH).reason == f"it broke key-in-output and used up its time in {ENOUGH} cases"


def test_case_whose_deadline_should_pass_does_not_hurry() -> None:
    run = with_outcome(played(catalogue()["job/never-ends"]), outcome="completed", ended_by="10 s")
    assert shown(*[run] * 2 * ENOUGH).reason == ""


def test_client_that_had_to_be_ended_gets_less_patience_too() -> None:
    run = with_outcome(played(catalogue()["call/prompt-only"]), outcome=None, ended_by="10 s")
    after = shown(*[run] * ENOUGH)
    assert after.reason == f"it had to be ended in {ENOUGH} cases"
    fitted = after.fit(catalogue()["text/at"])
    assert (fitted.patience, fitted.deadline) == (HURRIED_PATIENCE_S, pytest.approx(0.14 + HURRIED_S))
    assert shown(*[run] * (ENOUGH - 1)).fit(catalogue()["text/at"]) is catalogue()["text/at"]


def test_first_cases_of_all_groups_are_played_first() -> None:
    names: list[str] = []
    cases = [parse_case({}, name) for name in ("a/1", "a/2", "a/3", "b/1", "c/1", "c/2")]
    plan = CheckPlan(generated=0, progress=lambda _number, _total, name, _findings: names.append(name))
    with Functions(correct, features=CorrectClient.features) as driver:
        report = check(driver, plan, test_cases=cases)
    assert names == ["a/1", "b/1", "c/1", "a/2", "c/2", "a/3"]
    assert [case.name for case in report.cases] == [test_case.name for test_case in cases]
