"""`verify`, through the front door: a mockveo is verified, and other servers that are played or not there."""

from __future__ import annotations

import json
import os
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
from mockveo_contracts.servers.verify import names, verification, verify
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
def test_the_fake_is_clean(fakes: dict[str, ServerThread], profile: str, seed: int) -> None:
    data = verify(fakes[profile].url, VerifyPlan(seed=seed))
    assert (data["findings"], data["exit_status"], data["profile"]) == ([], 0, profile)


def course(*phases: tuple[str, int]) -> dict[str, Any]:
    """A scenario of phases of 20 s, with their status and progress."""
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
        course(("queued", 0), ("in_progress", 80), ("in_progress", 30)), {"progress-order": "violation"},
    ),
    "progress 100 early": (course(("queued", 0), ("in_progress", 100)), {"progress-complete": "violation"}),
    "progress text": ({"style": {"progress": "text"}}, {"answer-schema": "violation"}),
    "slow": ("slow", {"job-ends": "violation"}),
    "status backwards": (
        course(("queued", 0), ("in_progress", 0), ("queued", 0), ("in_progress", 50)), {"status-order": "violation"},
    ),
    "stuck-at-99": ("stuck-at-99", {"job-ends": "violation"}),
    "stuck-queued": ("stuck-queued", {"job-ends": "violation"}),
    "succeeded": (
        {"style": {"statuses": {"completed": "succeeded"}}}, {"answer-schema": "violation", "job-ends": "violation"},
    ),
    "upper-case": ("upper-case", {"answer-schema": "violation", "starts-queued": "violation", "job-ends": "violation"}),
    "unknown-status": ("unknown-status", {"answer-schema": "violation", "starts-queued": "violation"}),
}  # fmt: skip
#: Built-in scenarios of what the pages know and advise how to live with: no finding.
FINE = ("normal", "fails", "moderated", "flaky-polls", "overloaded", "rate-limited", "retry-after", "no-video-url")


@pytest.mark.parametrize("name", BREAKING)
def test_a_scenario_that_breaks_the_contract_breaks_exactly_its_rules(
    fakes: dict[str, ServerThread], name: str
) -> None:
    scenario, rules = BREAKING[name]
    url = f"{fakes['docs-2026-03'].url}/@{name.replace(' ', '-')}"
    Remote(url, name.replace(" ", "-")).ask("PUT", "/scenario", {"scenario": scenario})
    data = verify(url, VerifyPlan(job_seconds=400.0))
    assert broken_rules(data) == rules, [(one["rule"], one["message"]) for one in data["findings"]]


@pytest.mark.parametrize("name", FINE)
def test_trouble_that_the_pages_know_is_no_breach(fakes: dict[str, ServerThread], name: str) -> None:
    url = f"{fakes['docs-2026-03'].url}/@{name}"
    Remote(url, name).ask("PUT", "/scenario", {"scenario": name})
    data = verify(f"{url}/v1", VerifyPlan())
    assert (data["findings"], data["exit_status"]) == ([], 0)


@pytest.mark.parametrize(
    ("scenario", "rule"), [("early-completed-at", "completed-at-early"), ("expired-url", "video-url")]
)
def test_what_only_the_second_pages_have(fakes: dict[str, ServerThread], scenario: str, rule: str) -> None:
    url = f"{fakes['docs-2026-10'].url}/@{scenario}"
    Remote(url, scenario).ask("PUT", "/scenario", {"scenario": scenario})
    assert broken_rules(verify(url, VerifyPlan())) == {rule: "warning"}


def test_a_server_of_the_first_pages_breaks_the_second(servers: Any) -> None:
    root, memory = servers
    data = verify(
        f"{root}/accepts-anything", VerifyPlan(**{**vars(plan(memory["accepts-anything"])), "profile": "docs-2026-10"})
    )
    assert {"choices", "model-required", "answer-schema"} <= broken_rules(data).keys()


def test_every_rule_is_broken_by_something() -> None:
    told = {rule for one in MUTANTS.values() for rule in one.breaks} | {
        rule for _, rules in BREAKING.values() for rule in rules
    }
    elsewhere = {"completed-at-early", "video-url", "choices", "model-required", "schema-negative"}
    assert told | elsewhere == server_rules().rules.keys()


def test_every_built_in_scenario_has_been_thought_of() -> None:
    told = {scenario for scenario, _ in BREAKING.values() if isinstance(scenario, str)} | set(FINE)
    lost = {"bad-key", "no-credit", "model-not-found", "html-errors", "content-not-ready", "truncated-video"}
    assert {one.name for one in built_in()} - told - lost == {"early-completed-at", "expired-url"}


@pytest.mark.parametrize(("scenario", "message"), [("bad-key", "refuses the key"), ("no-credit", "a key with credit")])
def test_what_says_nothing_of_the_server_ends_the_run(
    fakes: dict[str, ServerThread], scenario: str, message: str
) -> None:
    url = f"{fakes['docs-2026-03'].url}/@{scenario}"
    Remote(url, scenario).ask("PUT", "/scenario", {"scenario": scenario})
    data = verify(url, VerifyPlan())
    assert (data["exit_status"], data["findings"]) == (2, [])
    assert message in data["aborted"]


def test_a_run_leaves_nothing_in_the_worlds_of_a_mockveo(fakes: dict[str, ServerThread]) -> None:
    server = fakes["gateway"]
    verify(server.url, VerifyPlan())
    worlds = Remote(server.url).ask("GET", "/worlds")["worlds"]
    assert [(one["jobs"], one["exchanges"]) for one in worlds] == [(0, 0)] * len(worlds)


def test_a_mockveo_is_verified_at_its_own_pace_too() -> None:
    with mockveo.serve(clock="poll", step=30.0, seed=1, render=False, key=(OURS, OTHER)) as server:
        data = verify(server.url, VerifyPlan(key=OURS, other_key=OTHER, turn_time=False, poll_interval=0.0))
    assert (data["findings"], data["exit_status"]) == ([], 0)


def test_without_another_good_key_a_made_up_one_is_tried(servers: Any) -> None:
    root, memory = servers
    alone = VerifyPlan(**{**vars(plan(memory["any-key"])), "other_key": None})
    assert broken_rules(verify(f"{root}/any-key", alone)) == {"auth-bad-key": "violation"}
    assert broken_rules(verify(f"{root}/no-auth", alone))["auth-other-key"] == "violation"


# The report.


def test_the_report_is_of_the_shape_that_reports_have(fakes: dict[str, ServerThread]) -> None:
    schema = json_report.SCHEMA
    url = f"{fakes['docs-2026-03'].url}/@shape"
    Remote(url, "shape").ask("PUT", "/scenario", {"scenario": "upper-case"})
    data = json.loads(json.dumps(verify(url, VerifyPlan(job_seconds=30.0))))
    jsonschema_rs.Draft202012Validator(json.loads(schema.read_text())).validate(data)
    assert data["findings"]


def test_no_key_is_in_the_report(servers: Any) -> None:
    root, memory = servers
    for name in ("forbidden", "any-scheme"):
        text = json.dumps(verify(f"{root}/{name}", plan(memory[name])))
        assert OURS not in text
        assert OTHER not in text


def test_a_finding_can_be_repeated_with_curl(servers: Any) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    root, memory = servers
    finding = next(
        one for one in verify(f"{root}/not-found", plan(memory["not-found"]))["findings"] if one["rule"] == "unknown-id"
    )
    command = next(line for line in finding["reproduce"] if line.startswith("curl"))
    env = {**os.environ, "COMETAPI_KEY": OURS, "no_proxy": "*"}
    answer = subprocess.run(["bash", "-c", f"{command} -w %{{http_code}}"], env=env, capture_output=True, check=True)
    assert answer.stdout.endswith(b"404")
    assert finding["trace"][0]["response"]["status"] == 404


def test_the_smallest_sequence_is_the_create_and_what_shows_the_breach(servers: Any) -> None:
    root, memory = servers
    data = verify(f"{root}/progress-regress", plan(memory["progress-regress"]))
    finding = next(one for one in data["findings"] if one["case"] == "job/text-only")
    assert [one["request"]["method"] for one in finding["trace"]] == ["POST", "GET", "GET"]
    assert finding["reproduce"][0].startswith("ID=$(curl")
    assert finding["reproduce"][-1] == f"mockveo verify {root}/progress-regress --only job/text-only --seed 0"
    assert finding["message"] == "progress goes from 60 back to 30"


def test_a_known_failure_fails_nothing_until_it_is_gone(servers: Any) -> None:
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
def test_a_warning_fails_a_strict_run(servers: Any, strict: bool, status: int) -> None:
    root, memory = servers
    chosen = VerifyPlan(**{**vars(plan(memory["no-reason"])), "strict": strict})
    assert verify(f"{root}/no-reason", chosen)["exit_status"] == status


def test_there_is_no_server() -> None:
    data = verify(NOWHERE, VerifyPlan())
    assert (data["exit_status"], data["findings"]) == (2, [])
    assert "no server answers at http://127.0.0.1:9" in data["aborted"]


@pytest.mark.parametrize("url", ["", "ftp://x/", "http://", "http://x:99999", "http://user@x/v1", "http://x/v1?a=b"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="expected the root or base URL"):
        verify(url, VerifyPlan())


def test_probes_are_chosen_by_pattern(fakes: dict[str, ServerThread]) -> None:
    data = verify(fakes["gateway"].url, VerifyPlan(probes=("auth/*",)))
    assert [one["name"] for one in data["cases"]] == ["auth/no-key", "auth/other-scheme", "auth/bad-key"]
    with pytest.raises(SettingsError, match="did you mean 'auth/no-key'"):
        names(VerifyPlan(probes=("auth/nokey",)))


def test_checks_are_done_one_by_one(fakes: dict[str, ServerThread]) -> None:
    with verification(fakes["docs-2026-10"].url, VerifyPlan()) as run:
        checks = {one.name: one for one in run.checks()}
        assert list(checks) == names(VerifyPlan())
        assert checks["errors/choices"].run() == []
        assert [one.name for one in run.report.cases] == ["errors/choices"]
