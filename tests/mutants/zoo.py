"""The zoo: a correct client, and mutants of it that have one defect each. They show what the client contracts find.

`python tests/zoo.py` prints a table: each mutant, the rule that it breaks, and which cases show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache

import zoo_course
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
from mockveo_contracts.clients.search import search
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.reports.finding import FINDINGS
from zoo_client import EQUIVALENT, ZOO, Client, Mutant

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Verdict

__all__ = ["EQUIVALENT", "ZOO", "Mutant", "MutantDriver", "broken", "catalogue", "first_to_break", "generated"]

#: They put their mutants into the zoo as they are imported.
ROOMS = (zoo_requests, zoo_fields, zoo_images, zoo_course, zoo_polling, zoo_outcome, zoo_equivalent)
#: Generated cases that are played, and what they are drawn with.
EXAMPLES, SEED = 200, 0


class Correct:
    """The correct client."""

    features = Client.features

    def __call__(self, case: Case) -> Outcome:
        return Client(case)()


def broken(play: CaseRun) -> dict[str, Verdict]:
    """The rules that a play breaks."""
    assert not play.adapter_error, (play.test_case.name, play.adapter_error)
    return {one.rule.id: one for one in play.verdicts() if one.verdict in FINDINGS}


def catalogue(seed: int | None = None) -> list[TestCase]:
    """The cases that are always played; with another seed than their own, if that is wanted."""
    cases = definitions.catalogue().values()
    return list(cases) if seed is None else [definitions.parse_case({**one.data, "seed": seed}) for one in cases]


class MutantDriver(Functions):
    """A driver that any client of the zoo can be let into, one after the other: a server costs more than a case."""

    def __init__(self) -> None:
        super().__init__(self._played_by)
        self.client = replace(self.client, features=features(Client.features))
        self.inside: Mutant | Correct = Correct()
        #: What was played.
        self.played: list[TestCase] = []

    def _played_by(self, case: Case) -> Outcome:
        return self.inside(case)

    def play(self, scripts: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Plays scripts."""
        for one in scripts:
            self.played.append(one)
            yield from super().play([one])


@cache
def generated(cage: MutantDriver) -> tuple[TestCase, ...]:
    """The cases that a search plays. They are the same for all clients that have the same features."""
    before, cage.inside = len(cage.played), Correct()
    search(cage, cage.spec, EXAMPLES, SEED)
    return tuple(cage.played[before:])


def first_to_break(cage: MutantDriver, mutant: Mutant, cases: Iterable[TestCase]) -> CaseRun | None:
    """The first play of a mutant that breaks its rule as badly as it should."""
    rule = mutant.rules[0]
    promising = by_promise(cage, rule, tuple(cases))
    cage.inside = mutant
    for play in cage.play(promising):
        found = broken(play).get(rule)
        if found is not None and found.verdict == mutant.verdict:
            return play
    return None


def by_promise(cage: MutantDriver, rule: str, cases: tuple[TestCase, ...]) -> list[TestCase]:
    """Cases, those in which the rule has something to say of the correct client first.

    Where only some do, a mutant that breaks the rule breaks it there, most likely; so little else has to be played.
    """
    says = exercised(cage, cases)
    return sorted(cases, key=lambda one: rule not in says[one.name])


@cache
def exercised(cage: MutantDriver, cases: tuple[TestCase, ...]) -> Mapping[str, frozenset[str]]:
    """Case -> the rules that have something to say of the correct client there."""
    cage.inside = Correct()
    told = ((one.test_case.name, one.verdicts()) for one in cage.play(cases))
    return {name: frozenset(one.rule.id for one in said if one.verdict != "not exercised") for name, said in told}


def table() -> Iterator[str]:
    """The zoo in Markdown."""
    yield "| mutant | what it does | rule | severity | caught by the catalogue in | caught by generated cases in |"
    yield "|---|---|---|---|---|---|"
    with MutantDriver() as cage:
        yield from (_row(cage, mutant) for mutant in ZOO.values())


def _row(cage: MutantDriver, mutant: Mutant) -> str:
    severity = client_rules().find(mutant.rules[0]).severity
    shown = [_showing(cage, mutant, cases) for cases in (catalogue(), generated(cage))]
    return f"| {mutant} | {mutant.why} | {mutant.rules[0]} | {severity} | {' | '.join(shown)} |"


def _showing(cage: MutantDriver, mutant: Mutant, cases: Iterable[TestCase]) -> str:
    play = first_to_break(cage, mutant, cases)
    return play.test_case.name if play is not None else "none"


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)  # noqa: T201
