"""What the client contracts find, and what they accept: the zoo plays the catalogue and generated cases.

A mutant plays those cases first in which the correct client exercises its rule, until one shows the defect. The correct
client, and the mutants that break only one rule, play every case.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mockveo_contracts.cases.definitions import TestCase
from seeds import seeds, slow_unless
from zoo import EQUIVALENT, ZOO, ClientMutant, Correct, MutantDriver, broken, catalogue, first_to_break, generated
from zoo_durable import Durable

from mockveo.rules.client_rules import client_rules

#: Mutants that break only their own rule.
ALONE = [mutant for mutant in ZOO.values() if mutant.only]
OTHERS = [mutant for mutant in ZOO.values() if not mutant.only]
#: Those that generated cases must find: all but the informational ones.
GRAVE = [mutant for mutant in ZOO.values() if client_rules().find(mutant.rules[0]).severity != "info"]
#: Groups of them, each a test of its own so that they run in parallel.
GROUPS = 8


def guards_a_must(mutant: ClientMutant) -> bool:
    return client_rules().find(mutant.rules[0]).severity == "must"


@pytest.fixture(scope="module")
def driver() -> Iterator[MutantDriver]:
    with MutantDriver() as driver:
        yield driver


def all_broken(
    driver: MutantDriver, inside: ClientMutant | Correct | Durable, cases: list[TestCase]
) -> dict[str, dict[str, str]]:
    """Return the broken rules, each with the cases that show it and their verdicts."""
    verdicts: dict[str, dict[str, str]] = {}
    driver.inside = inside
    for run in driver.play(cases):
        for rule, verdict in broken(run).items():
            verdicts.setdefault(rule, {})[run.test_case.name] = verdict.verdict
    return verdicts


@pytest.mark.parametrize("seed", seeds(5))
def test_correct_client_breaks_no_rule_in_the_catalogue(driver: MutantDriver, seed: int) -> None:
    assert all_broken(driver, Correct(), catalogue(seed)) == {}


def test_correct_client_breaks_no_rule_in_generated_cases(driver: MutantDriver) -> None:
    cases = generated(driver)
    assert len(cases) > 150
    assert all_broken(driver, Correct(), list(cases)) == {}


@pytest.mark.parametrize("seed", seeds(5))
def test_durable_client_breaks_no_rule_in_the_catalogue(driver: MutantDriver, seed: int) -> None:
    assert all_broken(driver, Durable(), catalogue(seed, resumes=True)) == {}


def test_durable_client_breaks_no_rule_in_generated_cases(driver: MutantDriver) -> None:
    cases = generated(driver, resumes=True)
    assert sum(case.restarts is not None for case in cases) > 50
    assert all_broken(driver, Durable(), list(cases)) == {}


@pytest.mark.parametrize("client", EQUIVALENT.values(), ids=str)
def test_equivalent_client_breaks_no_rule(driver: MutantDriver, client: ClientMutant) -> None:
    assert all_broken(driver, client, catalogue(resumes=client.resumes)) == {}


@pytest.mark.parametrize("mutant", OTHERS, ids=str)
def test_catalogue_shows_the_mutant(driver: MutantDriver, mutant: ClientMutant) -> None:
    assert first_to_break(driver, mutant, catalogue(resumes=mutant.resumes)) is not None


@pytest.mark.parametrize("mutant", slow_unless(guards_a_must, ALONE), ids=str)
def test_catalogue_shows_only_the_rule_of_the_mutant(driver: MutantDriver, mutant: ClientMutant) -> None:
    verdicts = all_broken(driver, mutant, catalogue(resumes=mutant.resumes))
    assert list(verdicts) == list(mutant.rules)
    assert mutant.verdict in verdicts[mutant.rules[0]].values()


def test_every_rule_has_a_mutant_that_breaks_only_it() -> None:
    alone = sorted(mutant.rules[0] for mutant in ALONE)
    missing = sorted(set(client_rules().rules) - set(alone))
    assert alone == sorted(client_rules().rules), f"expected @mutant(RULE, only=True) in tests/mutants for: {missing}"


@pytest.mark.parametrize("group", seeds(GROUPS))
def test_generated_cases_show_all_mutants_but_the_unlikely(driver: MutantDriver, group: int) -> None:
    likely = [mutant for mutant in GRAVE[group::GROUPS] if not mutant.unlikely]
    cases = {resumes: generated(driver, resumes=resumes) for resumes in (False, True)}
    missed = [str(mutant) for mutant in likely if first_to_break(driver, mutant, cases[mutant.resumes]) is None]
    assert missed == []


def test_few_mutants_are_unlikely_in_generated_cases() -> None:
    assert sum(bool(mutant.unlikely) for mutant in GRAVE) <= 0.05 * len(GRAVE)
