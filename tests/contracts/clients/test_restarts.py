"""Restarts, as a client and a reader of its report see them, at all levels of the client protocol."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from installed_clients import tool
from mockveo_contracts import Case, DeadlinePassed, Killed, Outcome
from mockveo_contracts.cases import definitions
from mockveo_contracts.clients.check import CheckPlan, check, kills_everywhere
from mockveo_contracts.clients.driver import Driver
from mockveo_contracts.clients.functions import Functions, load
from mockveo_contracts.clients.messages import Hello
from mockveo_contracts.clients.programs import Programs
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.reports.finding import FINDINGS
from mockveo_contracts.reports.model import Report
from mockveo_contracts.reports.terminal import render
from paths import CLIENTS
from zoo_durable import Durable, InMemoryOnly

from mockveo.errors import SettingsError
from mockveo.spec import spec

CONTRACT = CLIENTS / "contract"
SESSION = [sys.executable, os.fspath(CONTRACT / "with_urllib.py"), "durable"]
FULL = {"content": True, "deadline": True, "poll_interval": True, "resume": True}
#: A case of each kind: a poll, a download, a create, down for a while, another call, and the same call again.
KINDS = (
    *("first-poll", "during-the-download", "create-applied"),
    *("fails-while-down", "same-prompt", "again-after-timeout"),
)
CASES = tuple(f"restart/{kind}" for kind in KINDS)


def report_of(driver: Driver, *cases: str) -> Report:
    return check(driver, CheckPlan(generated=0), definitions.matching(cases, definitions.catalogue()))


def runs(driver: Driver, *cases: dict[str, Any]) -> list[CaseRun]:
    return list(driver.play(definitions.parse_case(case, f"x{number}") for number, case in enumerate(cases)))


def problems(run: CaseRun) -> list[str]:
    return [str(verdict) for verdict in run.verdicts() if verdict.verdict in FINDINGS]


@pytest.mark.parametrize("program", ["python", "node"])
def test_durable_session_is_started_again_and_nothing_is_found(program: str) -> None:
    command = SESSION if program == "python" else [tool("node"), os.fspath(CONTRACT / "with_fetch.mjs"), "durable"]
    with Programs(command) as driver:
        report = report_of(driver, *CASES)
    assert not report.findings
    assert not report.aborted
    starts = {case.name: [start["cause"] for start in case.starts] for case in report.cases}
    assert starts["restart/first-poll"] == ["first", "killed"]
    assert starts["restart/same-prompt"] == ["first", "other call", "killed"]
    assert starts["restart/again-after-timeout"] == ["first", "again"]


@pytest.mark.parametrize("name", ["with_requests:client", "with_httpx:client", "with_httpx:async_client"])
def test_durable_function_is_killed_and_called_again_in_virtual_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(CONTRACT)
    function = load(name)
    with Functions(function, features={**function.features, "resume": True}) as driver:  # type: ignore[attr-defined]
        report = report_of(driver, "restart/*")
    assert [(finding.rule, finding.message) for finding in report.findings] == []
    assert not report.skipped
    assert all(len(case.starts) > 1 for case in report.cases)


@pytest.mark.parametrize(
    ("mode", "command"),
    [("once", SESSION), ("run", ["sh", os.fspath(CONTRACT / "curl.sh")])],
)
def test_durable_program_of_one_process_a_case_is_started_again(mode: str, command: Sequence[str]) -> None:
    with Programs(command, mode=mode, features=FULL, parallel=2) as driver:
        report = report_of(driver, *CASES[:3], CASES[4])
    assert not report.findings
    assert all(len(case.starts) > 1 for case in report.cases)


def test_client_that_keeps_its_id_in_memory_is_shown_with_what_it_did() -> None:
    def client(case: Case) -> Outcome:
        return InMemoryOnly(case)()

    client.features = InMemoryOnly.features  # type: ignore[attr-defined]
    with Functions(client) as driver:
        report = report_of(driver, "restart/first-poll")
    (finding,) = report.findings
    assert finding.rule == "no-recreate-after-crash"
    text = " ".join(render(report).split())
    for part in (
        "the client was killed before its poll was answered, after its create had been answered",
        "2 jobs are paid for one",
        "* the client was KILLED here (SIGKILL)",
        "* started again with the same call (restart 1)",
        "* another job for the same call, which is paid for too",
        "1 wasted",
    ):
        assert part in text
    assert not any("replay" in command for command in finding.reproduce)


def test_another_job_of_a_known_price_is_shown_with_what_it_costs(tmp_path: Path) -> None:
    def client(case: Case) -> Outcome:
        return InMemoryOnly(case)()

    price = {"amount": 0.4, "currency": "USD", "per": "job", "source": "a test", "date": "2026-11-01"}
    models = spec.load(profile="docs-2026-03").form.fields["model"]["x-price"]
    action = {"target": "$.components.schemas.CreateVideoForm.properties.model.x-price"}
    actions = [{**action, "update": dict.fromkeys(models, price)}]
    overlay = tmp_path / "prices.yaml"
    overlay.write_text(json.dumps({"overlay": "1.0.0", "info": {"title": "t", "version": "1"}, "actions": actions}))
    with Functions(client, features=InMemoryOnly.features, settings={"overlay": [overlay]}) as driver:
        text = " ".join(render(report_of(driver, "restart/first-poll")).split())
    assert "* another job for the same call, for 0.40 USD more" in text
    assert "0.80 USD, of which 0.40 USD wasted" in text


def test_client_without_resume_skips_restarts_by_name() -> None:
    def client(_case: Case) -> Outcome:
        return Outcome("error")

    with Functions(client) as driver:
        report = report_of(driver, "restart/*")
    assert len(report.skipped) >= 20
    assert {skipped.reason for skipped in report.skipped} == {"the client does not declare resume"} | {
        f"the client does not declare {feature}, resume" for feature in ("content", "deadline")
    }


def test_kill_everywhere_kills_once_in_each_exchange_of_a_normal_run() -> None:
    with Functions(Durable()) as driver:
        plan = CheckPlan(cases=("call/prompt-only",), generated=0, everywhere=True)
        report = check(driver, plan, kills_everywhere(driver, plan))
    assert not report.findings
    normal, *killed = report.cases
    assert len(killed) == len(normal.log)
    assert [case.starts[0]["last"] for case in killed] == [line.number for line in normal.log]


def test_kill_everywhere_of_a_client_without_resume_is_refused() -> None:
    with Functions(lambda _: Outcome("error")) as driver, pytest.raises(SettingsError, match="does not declare"):
        kills_everywhere(driver, CheckPlan(everywhere=True))


def test_unknown_features_of_a_hello_are_ignored() -> None:
    hello = Hello.parse(b'{"type":"hello","features":{"resume":true,"telemetry":7}}')
    assert hello.client.features["resume"]
    assert "telemetry" not in hello.client.features


KILL = {"scenario": {"faults": [{"operation": "retrieve", "nth": 1, "kill": "before"}]}}


def test_function_cannot_go_on_after_its_kill_and_keeps_its_directory() -> None:
    starts: list[tuple[str, int, str]] = []

    def client(case: Case) -> Outcome:
        kept = Path(case.state_dir, "starts")
        starts.append((case.call_id, case.restart, kept.read_text() if kept.exists() else ""))
        kept.write_text(f"{case.restart}")
        try:
            return Durable()(case)
        except Exception:  # noqa: BLE001 - it is what a kill must not be
            return Outcome("failed")
        finally:
            if not case.restart:
                time.sleep(100)  # which the abandoned call does not survive

    client.features = FULL  # type: ignore[attr-defined]
    with Functions(client) as driver:
        (run,) = runs(driver, KILL)
    assert [(restart, text) for _, restart, text in starts] == [(0, ""), (1, "0")]
    assert len({call_id for call_id, *_ in starts}) == 1
    assert run.outcome is not None
    assert run.outcome["outcome"] == "completed"


def test_function_that_catches_everything_is_still_abandoned() -> None:
    def client(case: Case) -> Outcome:
        try:
            return Durable()(case)
        except BaseException as error:  # noqa: BLE001 - as clients do
            assert case.restart or isinstance(error, Killed)
            return Outcome("failed")

    client.features = FULL  # type: ignore[attr-defined]
    with Functions(client) as driver:
        (run,) = runs(driver, KILL)
    assert [start.outcome is None for start in run.starts] == [True, False]
    assert problems(run) == []


def test_deadline_passed_carries_the_job_that_goes_on() -> None:
    def client(case: Case) -> Outcome:
        outcome = Durable()(case)
        raise DeadlinePassed("too late", video=outcome.video)

    client.features = FULL  # type: ignore[attr-defined]
    never = {"call": {"deadline_s": 0.5}, "scenario": {"ending": "never"}}
    with Functions(client) as driver:
        (run,) = runs(driver, never)
    assert "deadline-not-failed" not in str(problems(run))


PROGRAM = """
import json, os, subprocess, sys, time
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        name = f"client {os.getpid()}" if %r else "client"
        print(json.dumps({"type": "hello", "client": name, "features": {"resume": True}}), flush=True)
        continue
    sys.path.insert(0, %r)
    from with_urllib import OPENER, Sent
    if message["restart"]:
        text = open(message["state_dir"] + "/child").read()
        time.sleep(0.2)
        stat = f"/proc/{text}/stat"
        # A zombie has ended; its parent, if there is one, has not asked for its status.
        alive = os.path.exists(stat) and open(stat).read().split()[2] != "Z"
        error = {"type": "child", "message": f"alive: {alive}"}
        print(json.dumps({"type": "result", "id": message["id"], "outcome": "error", "error": error}), flush=True)
        continue
    child = subprocess.Popen(["sleep", "60"])
    open(message["state_dir"] + "/child", "w").write(str(child.pid))
    headers = {"Authorization": "Bearer " + message["api_key"]}
    OPENER.open(Sent(message["base_url"] + "/models", headers=headers))
"""
MODELS = {"scenario": {"faults": [{"operation": "models", "nth": 1, "kill": "before"}]}}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for a process in /proc")
def test_kill_ends_the_children_of_a_program_too() -> None:
    with Programs([sys.executable, "-c", PROGRAM % (False, os.fspath(CONTRACT))]) as driver:
        (run,) = runs(driver, MODELS)
    assert run.outcome is not None
    assert run.outcome["error"] == {"type": "child", "message": "alive: False"}


def test_another_hello_after_a_kill_is_an_adapter_error() -> None:
    with Programs([sys.executable, "-c", PROGRAM % (True, os.fspath(CONTRACT))]) as driver:
        (run,) = runs(driver, MODELS)
    assert "its hello differs from the first one" in run.adapter_error
