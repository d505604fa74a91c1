"""What the client contracts find, and what they do not mind: the zoo, played the catalogue and generated cases.

The mutants of a rule are found by playing those cases first that the rule has something to say about, and ending at
the first that shows it; the correct client and the mutants that break one rule alone are played every case.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mockveo_contracts.cases.definitions import TestCase
from seeds import seeds
from zoo import EQUIVALENT, ZOO, Correct, Mutant, MutantDriver, broken, catalogue, first_to_break, generated

from mockveo.rules.client_rules import client_rules

#: Mutants that break no more than their own rule.
ALONE = [one for one in ZOO.values() if one.only]
OTHERS = [one for one in ZOO.values() if not one.only]
#: Those that generated cases are to find: what is no more than informational they need not.
GRAVE = [one for one in ZOO.values() if client_rules().find(one.rules[0]).severity != "info"]
#: Groups of them that are tested, each by itself so that they can be in parallel. In each one may be missed.
GROUPS = 8


@pytest.fixture(scope="module")
def cage() -> Iterator[MutantDriver]:
    with MutantDriver() as cage:
        yield cage


def all_broken(cage: MutantDriver, inside: Mutant | Correct, cases: list[TestCase]) -> dict[str, dict[str, str]]:
    """Rule -> case -> verdict."""
    found: dict[str, dict[str, str]] = {}
    cage.inside = inside
    for play in cage.play(cases):
        for rule, verdict in broken(play).items():
            found.setdefault(rule, {})[play.test_case.name] = verdict.verdict
    return found


@pytest.mark.parametrize("seed", seeds(5))
def test_the_correct_client_breaks_nothing(cage: MutantDriver, seed: int) -> None:
    assert all_broken(cage, Correct(), catalogue(seed)) == {}


def test_nor_in_generated_cases(cage: MutantDriver) -> None:
    cases = generated(cage)
    assert len(cases) > 150
    assert all_broken(cage, Correct(), list(cases)) == {}


@pytest.mark.parametrize("client", EQUIVALENT.values(), ids=str)
def test_what_is_no_defect_is_none(cage: MutantDriver, client: Mutant) -> None:
    assert all_broken(cage, client, catalogue()) == {}


@pytest.mark.parametrize("mutant", OTHERS, ids=str)
def test_the_catalogue_finds(cage: MutantDriver, mutant: Mutant) -> None:
    assert first_to_break(cage, mutant, catalogue()) is not None


@pytest.mark.parametrize("mutant", ALONE, ids=str)
def test_the_catalogue_finds_that_rule_alone(cage: MutantDriver, mutant: Mutant) -> None:
    found = all_broken(cage, mutant, catalogue())
    assert list(found) == list(mutant.rules)
    assert mutant.verdict in found[mutant.rules[0]].values()


def test_each_rule_has_a_mutant_that_it_alone_finds() -> None:
    assert sorted(one.rules[0] for one in ALONE) == sorted(client_rules().rules)


@pytest.mark.parametrize("group", range(GROUPS))
def test_generated_cases_alone_find_nearly_all(cage: MutantDriver, group: int) -> None:
    mutants = GRAVE[group::GROUPS]
    missed = [str(one) for one in mutants if first_to_break(cage, one, generated(cage)) is None]
    assert len(missed) <= 1, missed


def test_few_mutants_are_beyond_generated_cases() -> None:
    assert sum(bool(one.unlikely) for one in GRAVE) <= 0.05 * len(GRAVE)
