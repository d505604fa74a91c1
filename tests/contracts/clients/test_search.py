from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mockveo_contracts import Case, Outcome
from mockveo_contracts.cases.definitions import TestCase, catalogue
from mockveo_contracts.clients.check import CheckPlan, check
from mockveo_contracts.clients.driver import Driver, DriverError
from mockveo_contracts.clients.functions import Functions
from mockveo_contracts.clients.search import Search, SearchResult
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.interruption import Stop
from zoo_client import CorrectClient

from mockveo.spec.spec import load

SPEC = load(None)


def correct(case: Case) -> Outcome:
    return CorrectClient(case)()


correct.features = CorrectClient.features  # type: ignore[attr-defined]


def search(driver: Driver, count: int, seed: int, *, stop: Stop | None = None, **limits: Any) -> SearchResult:
    """Play what a search draws, and shrink the failures."""
    new, error = Search(driver, SPEC, count, seed, stop=stop), None
    try:
        for run in driver.play(new.cases()):
            new.take(run)
    except DriverError as ended:
        error = ended
    return new.finish(error=error, **limits)


def test_search_with_equal_seeds_draws_equal_cases() -> None:
    with Functions(correct) as driver:
        drawn = [[each.name for each in Search(driver, SPEC, 15, seed).cases()] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_search_with_the_correct_client_exercises_most_rules_and_finds_nothing() -> None:
    with Functions(correct) as driver:
        result = search(driver, 200, 0)
    assert result.failures == []
    assert result.played > 150
    exercised = {rule for rule, counts in result.counts.items() if set(counts) - {"not exercised"}}
    assert len(exercised) >= 40, sorted(set(result.counts) - exercised)


def test_search_shrinks_the_case_that_breaks_a_rule() -> None:
    class Careless(CorrectClient):
        """Spoils prompts with a semicolon."""

        def prompt(self) -> str:
            return self.input.prompt.replace(";", ",")

    def client(case: Case) -> Outcome:
        return Careless(case)()

    with Functions(client, features=CorrectClient.features) as driver:
        result = search(driver, 150, 0)
    ((play, verdict),) = result.failures
    assert verdict.rule.id == "prompt-exact", verdict
    assert play.test_case.data["call"] == {"prompt": ";"}
    assert set(play.test_case.data["scenario"]) == {"phases"}
    assert play.call_trace.exchanges[0].fields == [{"name": "prompt", "value": ","}]


def test_search_shrinks_within_its_limit_of_runs() -> None:
    def client(_: Case) -> Outcome:
        return Outcome("completed")

    played = Counter[str]()

    class Counting(Functions):
        def play(self, scripts: Any) -> Any:
            scripts = list(scripts)
            played.update(test_case.name for test_case in scripts)
            return super().play(scripts)

    with Counting(client) as driver:
        result = search(driver, 30, 0, max_shrink_runs=10)
    rules = {verdict.rule.id for _, verdict in result.failures}
    assert rules == {"did-create", "no-false-success"}
    assert max(played.values()) == 1
    assert len(played) <= 30 + 10 * len(rules)


def test_search_does_not_shrink_rules_that_were_broken_before() -> None:
    with Functions(lambda _: Outcome("completed")) as driver:
        result = search(driver, 10, 0, broken_before={"did-create", "no-false-success"})
    assert result.failures == []
    assert result.counts["did-create"]["violation"] == result.played


@pytest.mark.parametrize("features", [{"images": 0, "model": False, "size": False}, {"images": 2}])
def test_search_asks_only_for_declared_features(features: dict[str, Any]) -> None:
    asked: list[Case] = []

    def client(case: Case) -> Outcome:
        asked.append(case)
        return CorrectClient(case)()

    with Functions(client, features=features) as driver:
        search(driver, 40, 0)
    assert any(case.input.images for case in asked) == (features["images"] > 0)
    assert any(case.input.model for case in asked) == features.get("model", True)


def impatient(case: Case) -> Outcome:
    """Give up when a poll fails for the first time; and declare a deadline, so that endless cases are drawn."""
    call, began = case.input, time.monotonic()
    fields = {"prompt": call.prompt, "model": call.model, "size": call.size}
    parts: list[Any] = [(name, (None, value)) for name, value in fields.items() if value is not None]
    for image in call.images:
        data = Path(image.path).read_bytes()
        parts.append(("input_reference", (image.filename, data, image.content_type)))
    with httpx.Client(headers={"Authorization": f"Bearer {case.api_key}"}, base_url=case.base_url) as http:
        answer = http.post("/videos", files=parts)
        while answer.status_code == 200:
            video = answer.json()
            if video["status"] in ("completed", "failed", "error"):
                outcome = "completed" if video["status"] == "completed" else "failed"
                return Outcome(outcome, video, error=video.get("error"))
            if time.monotonic() - began + 0.06 > case.deadline_s:
                return Outcome("timeout")
            time.sleep(0.06)
            answer = http.get(f"/videos/{video['id']}", follow_redirects=True)
    return Outcome("error", error={"type": "refused", "message": answer.text})


impatient.features = {"deadline": True, "poll_interval": True}  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", [8, 10])
def test_search_ends_when_the_smallest_case_needs_its_deadline(seed: int) -> None:
    """The search once took a case as its own smaller one, forever: the deadline that was left out was put back."""
    with Functions(impatient) as driver:
        plan = CheckPlan(generated=10, seed=seed)
        report = check(driver, plan, test_cases=[catalogue()["call/prompt-only"]])
    assert (report.aborted, report.generated) == ("", 10)
    assert "bad-json-on-poll" in {finding.rule for finding in report.findings}


class _Interrupting(Functions):
    """A driver that asks for the end of the check after so many cases."""

    def __init__(self, client: Any, cases: int) -> None:
        super().__init__(client)
        self.stop = Stop()
        self.cases = cases

    def play(self, scripts: Iterable[TestCase]) -> Iterator[CaseRun]:
        for run in super().play(scripts):
            self.cases -= 1
            self.stop.asked = self.cases <= 0
            yield run


@pytest.mark.parametrize("cases", [1, 8, 12])
def test_search_that_is_interrupted_plays_no_more_and_keeps_its_failures(cases: int) -> None:
    """As it plays what was drawn, and as it shrinks a failure."""
    with _Interrupting(impatient, cases) as driver:
        result = search(driver, 10, 10, stop=driver.stop)
    assert driver.cases == 0
    assert str(result.error) == "it was interrupted"
    assert result.played == min(cases, 10)
    rules = {verdict.rule.id for _, verdict in result.failures}
    assert ("bad-json-on-poll" in rules) is (cases > 1)


def test_search_without_time_does_not_shrink() -> None:
    with Functions(lambda _: Outcome("completed")) as driver:
        result = search(driver, 30, 0, shrink_s=0.0)
        names = {each.name for each in Search(driver, SPEC, 30, 0).cases()}
    assert len(names) == result.played == 30
    assert {run.test_case.name for run, _ in result.failures} <= names
