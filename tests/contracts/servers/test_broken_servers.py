"""The power of `verify`: it finds each broken server under its rule, and nothing in the correct one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from broken_servers import CORRECT, MUTANTS, Small
from mockveo_contracts.servers.probe_run import MAX_UNREADABLE_POLLS
from mockveo_contracts.servers.server_rules import server_rules
from mockveo_contracts.servers.verify import verified, verify
from seeds import seeds
from verification import plan


@pytest.mark.parametrize("name", MUTANTS)
def test_broken_server_is_found_under_its_rule(servers: tuple[str, dict[str, Small]], name: str) -> None:
    root, memory = servers
    data = verify(f"{root}/{name}", plan(memory[name], ends="job-ends" not in MUTANTS[name].breaks))
    rules = {finding["rule"]: finding["verdict"] for finding in reversed(data["findings"])}
    assert rules == MUTANTS[name].breaks, [
        (finding["rule"], finding["case"], finding["message"]) for finding in data["findings"]
    ]
    violations = "violation" in rules.values()
    assert data["exit_status"] == (1 if violations else 0)


@pytest.mark.parametrize("name", CORRECT)
def test_correct_server_with_a_habit_is_clean(servers: tuple[str, dict[str, Small]], name: str) -> None:
    root, memory = servers
    data = verify(f"{root}/{name}/v1", plan(memory[name]))
    assert (data["findings"], data["exit_status"], data["aborted"]) == ([], 0, None)


@pytest.mark.parametrize("seed", seeds(8))
def test_correct_server_is_clean(servers: tuple[str, dict[str, Small]], seed: int) -> None:
    root, memory = servers
    data = verify(f"{root}/correct/v1", plan(memory["correct"], seed))
    assert (data["findings"], data["exit_status"], data["aborted"]) == ([], 0, None)


def test_rule_for_servers_is_not_of_saved_traffic() -> None:
    assert [rule.id for rule in server_rules().rules.values() if rule.wire] == []


def test_broken_servers_are_enough() -> None:
    assert len(MUTANTS) >= 32


def test_job_that_comes_and_goes_hints_at_replicas(servers: tuple[str, dict[str, Small]]) -> None:
    root, memory = servers
    name = "replicas-without-shared-state"
    (finding, *_) = verify(f"{root}/{name}", plan(memory[name]))["findings"]
    assert "several replicas without shared state?" in finding["message"]


def test_job_that_no_poll_shows_is_given_up(servers: tuple[str, dict[str, Small]]) -> None:
    root, memory = servers
    report = verified(f"{root}/cuts-polls", replace(plan(memory["cuts-polls"]), probes=("job/text-only",)))
    assert report.to_json()["summary"]["requests"] < 3 * MAX_UNREADABLE_POLLS
