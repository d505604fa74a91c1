"""What `verify` generates: requests by schemathesis, and histories of jobs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import pytest
from broken_servers import OURS
from mockveo_contracts.servers.budget import Budget
from mockveo_contracts.servers.fuzzing import RULES
from mockveo_contracts.servers.plan import VerifyPlan
from mockveo_contracts.servers.server_rules import server_rules
from mockveo_contracts.servers.verify import verify
from verification import PROFILES, REPEATS, broken_rules, plan

from mockveo.control_client import Remote
from mockveo.errors import SettingsError
from mockveo.server.run import ServerThread


def test_generated_requests_find_nothing_in_mockveo(fakes: dict[str, ServerThread]) -> None:
    data = verify(fakes["gateway"].url, VerifyPlan(examples=3, probes=("generated/*",)))
    assert (broken_rules(data), data["exit_status"]) == ({}, 0)
    assert data["summary"]["generated"] > 50
    assert {case["name"] for case in data["cases"]} == {
        *("generated/createVideo", "generated/retrieveVideo", "generated/retrieveVideoContent"),
        *("generated/listModels", "generated/listPublicModels", "generated/links"),
    }


@pytest.mark.parametrize(
    ("name", "operation", "rule"),
    [
        ("seconds-int", "createVideo", "answer-schema"),
        ("says-html", "retrieveVideo", "answer-json"),
        ("cuts-polls", "links", "answer-json"),
        ("crashes-on-odd-ids", "retrieveVideo", "no-server-error"),
    ],
)
def test_generated_requests_find_what_is_broken(servers: Any, name: str, operation: str, rule: str) -> None:
    root, memory = servers
    probes = (f"generated/{operation}",)
    data = verify(f"{root}/{name}", replace(plan(memory[name]), examples=20, probes=probes))
    assert rule in broken_rules(data)
    assert name != "cuts-polls" or set(broken_rules(data)) == {rule}
    finding = next(finding for finding in data["findings"] if finding["rule"] == rule)
    assert REPEATS.match(finding["reproduce"][0])
    assert OURS not in json.dumps(data)


def test_generated_creates_keep_max_jobs(servers: Any) -> None:
    root, memory = servers
    before = len(memory["correct"].jobs)
    limited = {"examples": 20, "probes": ("generated/createVideo",), "max_jobs": 2}
    data = verify(f"{root}/correct", VerifyPlan(**{**vars(plan(memory["correct"])), **limited}))
    assert len(memory["correct"].jobs) - before <= 2
    assert "--max-jobs 2 are made" in data["skipped"][0]["reason"]


def test_generated_creates_are_skipped_if_not_allowed(servers: Any) -> None:
    root, memory = servers
    careful = {"examples": 2, "probes": ("generated/createVideo", "generated/links"), "generated_creates": False}
    data = verify(f"{root}/correct", VerifyPlan(**{**vars(plan(memory["correct"])), **careful}))
    assert [skipped["case"] for skipped in data["skipped"]] == ["generated/createVideo", "generated/links"]


def test_smallest_history_that_breaks_a_rule_is_reported(fakes: dict[str, ServerThread]) -> None:
    url = f"{fakes['docs-2026-03'].url}/@histories"
    phases = [{"duration": 10, "progress": 0}, {"duration": 60, "progress": [50, 100]}]
    Remote(url, "histories").ask("PUT", "/scenario", {"scenario": {"phases": phases}})
    data = verify(url, VerifyPlan(histories=30, probes=("generated/histories",)))
    assert broken_rules(data) == {"progress-complete": "violation"}
    assert len(data["findings"][0]["log"]) <= 4


@pytest.mark.parametrize("profile", PROFILES)
def test_histories_find_nothing_in_mockveo(fakes: dict[str, ServerThread], profile: str) -> None:
    data = verify(fakes[profile].url, VerifyPlan(histories=5, probes=("generated/histories",)))
    assert (data["findings"], data["exit_status"], data["summary"]["requests"] > 50) == ([], 0, True)


@pytest.mark.parametrize("requests", [1, 40, 43, 60])
def test_history_that_ends_in_its_middle_is_reported_as_far_as_it_came(
    requests: int, fakes: dict[str, ServerThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(range(requests))
    monkeypatch.setattr(Budget, "problem", lambda *_, **__: "" if next(left, None) is not None else "enough")
    data = verify(fakes["docs-2026-03"].url, VerifyPlan(histories=9, probes=("generated/histories",)))
    assert (data["findings"], data["skipped"][0]["reason"]) == ([], "the rest of it: enough")
    assert data["summary"]["requests"] == requests


def test_histories_need_a_clock_to_advance(servers: Any) -> None:
    root, memory = servers
    data = verify(
        f"{root}/correct",
        VerifyPlan(**{**vars(plan(memory["correct"])), "histories": 2, "probes": ("generated/histories",)}),
    )
    assert "cannot be advanced" in data["skipped"][0]["reason"]


def test_rules_of_schemathesis_exist() -> None:
    assert set(RULES.values()) <= server_rules().rules.keys()


def test_missing_schemathesis_is_reported_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
    fakes: dict[str, ServerThread],
) -> None:
    monkeypatch.setitem(sys.modules, "schemathesis", None)
    with pytest.raises(SettingsError, match=r"pip install 'mockveo\[schemathesis\]'"):
        verify(fakes["gateway"].url, VerifyPlan(examples=1, probes=("generated/listModels",)))
