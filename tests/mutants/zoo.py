"""The zoo: a correct client, and mutants of it with one defect each. They show what the client contracts find.

`python tests/mutants/zoo.py` prints a table: each mutant, the rule that it breaks, and which cases show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache

import zoo_content
import zoo_course
import zoo_credentials
import zoo_durable
import zoo_equivalent
import zoo_fields
import zoo_images
import zoo_outcome
import zoo_polling
import zoo_requests
from mockveo_contracts import Case, Outcome
from mockveo_contracts.case import features
from mockveo_contracts.cases import definitions
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.functions import Functions
from mockveo_contracts.clients.search import Search
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.reports.finding import FINDINGS
from zoo_client import EQUIVALENT, ZOO, ClientMutant, CorrectClient
from zoo_durable import Durable

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Verdict

__all__ = ["EQUIVALENT", "ZOO", "ClientMutant", "MutantDriver", "broken", "catalogue", "first_to_break", "generated"]

#: Modules that register their mutants when they are imported.
MODULES = (
    *(zoo_credentials, zoo_requests, zoo_fields, zoo_images, zoo_course, zoo_polling, zoo_outcome, zoo_content),
    *(zoo_equivalent, zoo_durable),
)
#: A client with `resume` plays one in so many cases without restarts.
OTHERS = 6
#: Generated cases that are played, and the seed that they are drawn with.
EXAMPLES, SEED = 200, 0
#: Those of a client with `resume`: half of them are about restarts, which take longer.
DURABLE_EXAMPLES = 100


class Correct:
    """The correct client."""

    features = CorrectClient.features

    def __call__(self, case: Case) -> Outcome:
        return CorrectClient(case)()


def broken(run: CaseRun) -> dict[str, Verdict]:
    """Return the rules that a run breaks, with their verdicts."""
    assert not run.adapter_error, (run.test_case.name, run.adapter_error)
    return {verdict.rule.id: verdict for verdict in run.verdicts() if verdict.verdict in FINDINGS}


def catalogue(seed: int | None = None, *, resumes: bool = False) -> list[TestCase]:
    """Return the cases of the catalogue, optionally with another seed than their own.

    They are those without restarts, or for a client with `resume` those with, and a few of the others.
    """
    restarts = [case for case in definitions.catalogue().values() if case.restarts]
    others = [case for case in definitions.catalogue().values() if not case.restarts]
    cases = [*restarts, *others[::OTHERS]] if resumes else others
    if seed is None:
        return list(cases)
    return [definitions.parse_case({**case.data, "seed": seed}) for case in cases]


class MutantDriver(Functions):
    """A driver of one client of the zoo after another: a server costs more than a case."""

    def __init__(self) -> None:
        super().__init__(self._call)
        self.client = replace(self.client, features=features(CorrectClient.features))
        #: The client that plays.
        self.inside: ClientMutant | Correct | Durable = Correct()
        #: The cases that were played.
        self.played: list[TestCase] = []

    def _call(self, case: Case) -> Outcome:
        return self.inside(case)

    def play(self, test_cases: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Play cases."""
        for test_case in test_cases:
            self.played.append(test_case)
            yield from super().play([test_case])


@cache
def generated(driver: MutantDriver, *, resumes: bool = False) -> tuple[TestCase, ...]:
    """Return the cases that a search draws, which are the same for all clients with the same features."""
    client = Durable if resumes else CorrectClient
    driver.client = replace(driver.client, features=features(client.features))
    return tuple(Search(driver, driver.spec, DURABLE_EXAMPLES if resumes else EXAMPLES, SEED).cases())


def first_to_break(driver: MutantDriver, mutant: ClientMutant, cases: Iterable[TestCase]) -> CaseRun | None:
    """Return the first run of a mutant that breaks its rule with the expected verdict."""
    rule = mutant.rules[0]
    promising = by_promise(driver, rule, tuple(cases))
    driver.inside = mutant
    for run in driver.play(promising):
        verdict = broken(run).get(rule)
        if verdict is not None and verdict.verdict == mutant.verdict:
            return run
    return None


def by_promise(driver: MutantDriver, rule: str, cases: tuple[TestCase, ...]) -> list[TestCase]:
    """Return the cases, those first in which the correct client exercises the rule.

    A mutant that breaks the rule most likely breaks it in one of these, so that few others have to be played.
    """
    rules = exercised(driver, cases)
    return sorted(cases, key=lambda case: rule not in rules[case.name])


@cache
def exercised(driver: MutantDriver, cases: tuple[TestCase, ...]) -> Mapping[str, frozenset[str]]:
    """Return the rules that the correct client exercises, by case."""
    driver.inside = Durable() if any(case.restarts for case in cases) else Correct()
    return {
        run.test_case.name: frozenset(
            verdict.rule.id for verdict in run.verdicts() if verdict.verdict != "not exercised"
        )
        for run in driver.play(cases)
    }


def table() -> Iterator[str]:
    """Yield the lines of the zoo as a table in Markdown."""
    yield "| mutant | what it does | rule | severity | caught by the catalogue in | caught by generated cases in |"
    yield "|---|---|---|---|---|---|"
    with MutantDriver() as driver:
        yield from (_row(driver, mutant) for mutant in ZOO.values())


def _row(driver: MutantDriver, mutant: ClientMutant) -> str:
    severity = client_rules().find(mutant.rules[0]).severity
    cases = catalogue(resumes=mutant.resumes), generated(driver, resumes=mutant.resumes)
    names = [_first_name(driver, mutant, each) for each in cases]
    return f"| {mutant} | {mutant.why} | {mutant.rules[0]} | {severity} | {' | '.join(names)} |"


def _first_name(driver: MutantDriver, mutant: ClientMutant, cases: Iterable[TestCase]) -> str:
    run = first_to_break(driver, mutant, cases)
    return run.test_case.name if run is not None else "none"


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)  # noqa: T201
