"""The power of `verify`: what is broken in one way is found, by the rule of that way, and what is not is left alone."""

from __future__ import annotations

import pytest
from broken_servers import MUTANTS, Small
from mockveo_contracts.servers.verify import verify
from seeds import seeds
from verification import plan


@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_broken_is_found_under_its_rule(servers: tuple[str, dict[str, Small]], name: str) -> None:
    root, found = servers
    data = verify(f"{root}/{name}", plan(found[name], ends="job-ends" not in MUTANTS[name].breaks))
    rules = {one["rule"]: one["verdict"] for one in reversed(data["findings"])}
    assert rules == MUTANTS[name].breaks, [(one["rule"], one["case"], one["message"]) for one in data["findings"]]
    violations = "violation" in rules.values()
    assert data["exit_status"] == (1 if violations else 0)


@pytest.mark.parametrize("seed", seeds(8))
def test_the_correct_one_is_clean(servers: tuple[str, dict[str, Small]], seed: int) -> None:
    root, found = servers
    data = verify(f"{root}/correct/v1", plan(found["correct"], seed))
    assert (data["findings"], data["exit_status"], data["aborted"]) == ([], 0, None)


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 32
