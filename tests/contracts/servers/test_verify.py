"""`verify` as a whole, against mockveo and other servers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import Any

import jsonschema_rs
import pytest
from broken_servers import MUTANTS, OTHER, OURS
from mockveo_contracts.reports import json_report
from mockveo_contracts.reports.known_failures import KnownFailure
from mockveo_contracts.servers.plan import VerifyPlan
from mockveo_contracts.servers.server_rules import server_rules
from mockveo_contracts.servers.verify import names, verification, verified, verify
from seeds import seeds
from verification import PROFILES, broken_rules, plan

import mockveo
from mockveo.control_client import Remote
from mockveo.errors import SettingsError
from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import built_in

#: A port that nothing listens on: the discard service's.
NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", seeds(8))
def test_mockveo_is_clean(fakes: dict[str, ServerThread], profile: str, seed: int) -> None:
    data = verify(fakes[profile].url, VerifyPlan(seed=seed))
    assert (data["findings"], data["exit_status"], data["profile"]) == ([], 0, profile)


def lifecycle(*phases: tuple[str, int]) -> dict[str, Any]:
    """Return a scenario of phases of 20 s, with their status and progress."""
    return {"phases": [{"duration": 20, "status": status, "progress": progress} for status, progress in phases]}


#: Scenarios that break the contract -> the rules that they break.
BREAKING: dict[str, tuple[Any, dict[str, str]]] = {
    "accepted-then-dropped": ("accepted-then-dropped", {"answered": "violation"}),
    "completed 99": (
        {"style": {"extra": {"progress": 99}}},
        {"starts-queued": "violation", "progress-complete": "violation", "progress-start": "warning"},
    ),
    "content-type": ({"style": {"content_type": "text/html"}}, {"answer-json": "violation"}),
    "echo-model": ("echo-model", {"model-answered": "violation"}),
    "extra seconds": ({"style": {"extra": {"seconds": 8}}}, {"answer-schema": "violation"}),
    "fails-without-detail": ("fails-without-detail", {"failed-error": "warning"}),
    "flip-model": ("flip-model", {"model-stable": "violation", "model-answered": "violation"}),
    "gateway-envelope": ("gateway-envelope", {"answer-schema": "violation"}),
    "instant": ("instant", {"starts-queued": "violation"}),
    "never": ({"ending": "never"}, {"job-ends": "violation"}),
    "no created_at": ({"style": {"omit": ["created_at"]}}, {"answer-schema": "violation"}),
    "not-yet-visible": ("not-yet-visible", {"visible-at-once": "warning"}),
    "progress backwards": (
        lifecycle(("queued", 0), ("in_progress", 80), ("in_progress", 30)), {"progress-order": "violation"},
    ),
    "progress 100 early": (lifecycle(("queued", 0), ("in_progress", 100)), {"progress-complete": "violation"}),
    "progress text": ({"style": {"progress": "text"}}, {"answer-schema": "violation"}),
    "null field": ({"style": {"extra": {"seconds": None}}}, {"answer-schema": "warning"}),
    "null status": ({"style": {"extra": {"status": None}}}, {"answer-schema": "violation", "job-ends": "violation"}),
    "slow": ("slow", {"job-ends": "violation"}),
    "status backwards": (
        lifecycle(("queued", 0), ("in_progress", 0), ("queued", 0), ("in_progress", 50)), {"status-order": "violation"},
    ),
    "stuck-at-99": ("stuck-at-99", {"job-ends": "violation"}),
    "stuck-queued": ("stuck-queued", {"job-ends": "violation"}),
    # Both jobs end, in a word that is not documented.
    "succeeded": ({"style": {"statuses": {"completed": "succeeded"}}}, {"answer-schema": "violation"}),
    "upper-case": ("upper-case", {"answer-schema": "violation", "starts-queued": "violation"}),
    "unknown-status": ("unknown-status", {"answer-schema": "violation", "starts-queued": "violation"}),
}  # fmt: skip
#: Built-in scenarios of trouble that the pages document: no finding.
FINE = ("normal", "fails", "moderated", "flaky-polls", "overloaded", "rate-limited", "retry-after", "no-video-url")


@pytest.mark.parametrize("name", BREAKING)
def test_breaking_scenario_breaks_exactly_its_rules(fakes: dict[str, ServerThread], name: str) -> None:
    scenario, rules = BREAKING[name]
    url = f"{fakes['docs-2026-03'].url}/@{name.replace(' ', '-')}"
    Remote(url, name.replace(" ", "-")).ask("PUT", "/scenario", {"scenario": scenario})
    data = verify(url, VerifyPlan(job_seconds=400.0))
    assert broken_rules(data) == rules, [(finding["rule"], finding["message"]) for finding in data["findings"]]


@pytest.mark.parametrize("name", FINE)
def test_documented_trouble_is_no_finding(fakes: dict[str, ServerThread], name: str) -> None:
    url = f"{fakes['docs-2026-03'].url}/@{name}"
    Remote(url, name).ask("PUT", "/scenario", {"scenario": name})
    data = verify(f"{url}/v1", VerifyPlan())
    assert (data["findings"], data["exit_status"]) == ([], 0)


@pytest.mark.parametrize(
    ("scenario", "rule"), [("early-completed-at", "completed-at-early"), ("expired-url", "video-url")]
)
def test_rules_of_the_second_pages_are_checked(fakes: dict[str, ServerThread], scenario: str, rule: str) -> None:
    url = f"{fakes['docs-2026-10'].url}/@{scenario}"
    Remote(url, scenario).ask("PUT", "/scenario", {"scenario": scenario})
    assert broken_rules(verify(url, VerifyPlan())) == {rule: "warning"}


def test_server_of_the_first_pages_breaks_rules_of_the_second(servers: Any) -> None:
    root, memory = servers
    data = verify(
        f"{root}/accepts-anything", VerifyPlan(**{**vars(plan(memory["accepts-anything"])), "profile": "docs-2026-10"})
    )
    assert {"choices", "model-required", "answer-schema"} <= broken_rules(data).keys()


def test_every_server_rule_is_broken_by_a_test() -> None:
    by_mutants = {rule for mutant in MUTANTS.values() for rule in mutant.breaks}
    by_scenarios = {rule for _, rules in BREAKING.values() for rule in rules}
    elsewhere = {"completed-at-early", "video-url", "choices", "model-required", "schema-negative"}
    elsewhere |= {"upstream-once", "upstream-model", "upstream-key"}  # test_gateways.py
    assert by_mutants | by_scenarios | elsewhere == server_rules().rules.keys()


def test_every_builtin_scenario_is_covered() -> None:
    verified = {scenario for scenario, _ in BREAKING.values() if isinstance(scenario, str)} | set(FINE)
    unsuitable = {"bad-key", "no-credit", "model-not-found", "html-errors", "content-not-ready", "truncated-video"}
    assert {scenario.name for scenario in built_in()} - verified - unsuitable == {"early-completed-at", "expired-url"}


@pytest.mark.parametrize(("scenario", "message"), [("bad-key", "refuses the key"), ("no-credit", "a key with credit")])
def test_refused_key_or_credit_aborts_the_run(fakes: dict[str, ServerThread], scenario: str, message: str) -> None:
    url = f"{fakes['docs-2026-03'].url}/@{scenario}"
    Remote(url, scenario).ask("PUT", "/scenario", {"scenario": scenario})
    data = verify(url, VerifyPlan())
    assert (data["exit_status"], data["findings"]) == (2, [])
    assert message in data["aborted"]


def test_run_leaves_nothing_in_the_worlds_of_a_mockveo(fakes: dict[str, ServerThread]) -> None:
    server = fakes["gateway"]
    verify(server.url, VerifyPlan())
    worlds = Remote(server.url).ask("GET", "/worlds")["worlds"]
    assert [(world["jobs"], world["exchanges"]) for world in worlds] == [(0, 0)] * len(worlds)


def test_mockveo_is_verified_without_control_of_its_clock() -> None:
    with mockveo.serve(clock="poll", step=30.0, seed=1, render=False, key=(OURS, OTHER)) as server:
        data = verify(server.url, VerifyPlan(key=OURS, other_key=OTHER, turn_time=False, poll_interval=0.0))
    assert (data["findings"], data["exit_status"]) == ([], 0)


def test_made_up_key_replaces_a_missing_other_key(servers: Any) -> None:
    root, memory = servers
    alone = VerifyPlan(**{**vars(plan(memory["any-key"])), "other_key": None})
    assert broken_rules(verify(f"{root}/any-key", alone)) == {"auth-bad-key": "violation"}
    assert broken_rules(verify(f"{root}/no-auth", alone))["auth-other-key"] == "violation"


# The report.


def test_report_matches_the_schema(fakes: dict[str, ServerThread]) -> None:
    schema = json_report.SCHEMA
    url = f"{fakes['docs-2026-03'].url}/@shape"
    Remote(url, "shape").ask("PUT", "/scenario", {"scenario": "upper-case"})
    data = json.loads(json.dumps(verify(url, VerifyPlan(job_seconds=30.0))))
    jsonschema_rs.Draft202012Validator(json.loads(schema.read_text())).validate(data)
    assert data["findings"]


def test_report_contains_no_key(servers: Any) -> None:
    root, memory = servers
    for name in ("forbidden", "any-scheme"):
        text = json.dumps(verify(f"{root}/{name}", plan(memory[name])))
        assert OURS not in text
        assert OTHER not in text


def test_finding_is_repeated_by_its_curl_command(servers: Any) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    root, memory = servers
    data = verify(f"{root}/not-found", plan(memory["not-found"]))
    finding = next(finding for finding in data["findings"] if finding["rule"] == "unknown-id")
    command = next(line for line in finding["reproduce"] if line.startswith("curl"))
    env = {**os.environ, "COMETAPI_KEY": OURS, "no_proxy": "*"}
    answer = subprocess.run(["bash", "-c", f"{command} -w %{{http_code}}"], env=env, capture_output=True, check=True)
    assert answer.stdout.endswith(b"404")
    assert finding["trace"][0]["response"]["status"] == 404


def test_trace_of_a_finding_is_the_create_and_what_shows_the_breach(servers: Any) -> None:
    root, memory = servers
    data = verify(f"{root}/progress-regress", plan(memory["progress-regress"]))
    finding = next(finding for finding in data["findings"] if finding["case"] == "job/text-only")
    assert [exchange["request"]["method"] for exchange in finding["trace"]] == ["POST", "GET", "GET"]
    assert finding["reproduce"][0].startswith("ID=$(curl")
    assert finding["reproduce"][-1] == f"mockveo verify {root}/progress-regress --only job/text-only --seed 0"
    assert finding["message"] == "progress goes from 60 back to 30"


def test_known_failure_passes_until_it_is_stale(servers: Any) -> None:
    root, memory = servers
    entry = KnownFailure("auth-bad-key", "auth/bad-key", "our gateway takes any", "known.txt:1")
    with_known = {"known": (entry,)}
    data = verify(f"{root}/any-key", VerifyPlan(**{**vars(plan(memory["any-key"])), **with_known}))
    assert (data["exit_status"], data["summary"]["known"]) == (0, 1)
    data = verify(f"{root}/correct", VerifyPlan(**{**vars(plan(memory["correct"])), **with_known}))
    assert (data["exit_status"], data["stale"]) == (
        3,
        [{"place": "known.txt:1", "rule": "auth-bad-key", "case": "auth/bad-key", "reason": "our gateway takes any"}],
    )


@pytest.mark.parametrize(("strict", "status"), [(False, 0), (True, 1)])
def test_warning_fails_a_strict_run(servers: Any, strict: bool, status: int) -> None:
    root, memory = servers
    chosen = VerifyPlan(**{**vars(plan(memory["fails-without-reason"])), "strict": strict})
    assert verify(f"{root}/fails-without-reason", chosen)["exit_status"] == status


def test_missing_server_aborts_the_run() -> None:
    data = verify(NOWHERE, VerifyPlan())
    assert (data["exit_status"], data["findings"]) == (2, [])
    assert "no server answers at http://127.0.0.1:9" in data["aborted"]


@pytest.mark.parametrize("url", ["", "ftp://x/", "http://", "http://x:99999", "http://user@x/v1", "http://x/v1?a=b"])
def test_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="expected the root or base URL"):
        verify(url, VerifyPlan())


def test_patterns_choose_probes(fakes: dict[str, ServerThread]) -> None:
    data = verify(fakes["gateway"].url, VerifyPlan(probes=("auth/*",)))
    assert [case["name"] for case in data["cases"]] == ["auth/no-key", "auth/other-scheme", "auth/bad-key"]
    with pytest.raises(SettingsError, match="did you mean 'auth/no-key'"):
        names(VerifyPlan(probes=("auth/nokey",)))


@pytest.mark.parametrize(("count", "package"), [("examples", "schemathesis"), ("histories", "hypothesis")])
def test_missing_package_is_reported_before_the_first_request(
    count: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mockveo_contracts.servers.verify.find_spec", lambda name: None if name == package else name)
    with verification(NOWHERE, VerifyPlan(**{count: 3}, probes=("auth/*",))) as run:
        with pytest.raises(SettingsError, match=f"need {package}, which is not installed; expected 'mockveo"):
            run.all()
        assert run.client.exchanges == []


def test_checks_run_one_by_one(fakes: dict[str, ServerThread]) -> None:
    with verification(fakes["docs-2026-10"].url, VerifyPlan()) as run:
        checks = {check.name: check for check in run.checks()}
        assert list(checks) == names(VerifyPlan())
        assert checks["errors/choices"].run() == []
        assert [case.name for case in run.report.cases] == ["errors/choices"]


def test_profile_that_fits_better_is_named() -> None:
    with mockveo.serve(clock="poll", step=30.0, profile="docs-2026-03", seed=1, render=False) as server:
        report = verified(server.url, VerifyPlan(turn_time=False, poll_interval=0.0, profile="docs-2026-10"))
        fitting = verified(server.url, VerifyPlan(turn_time=False, poll_interval=0.0, profile="docs-2026-03"))
    assert report.count("violation")
    assert re.search("another profile fits better: under --profile docs-2026-03 [1-9]", report.notes[0])
    assert fitting.notes == []
