"""The budget of `verify`: jobs, seconds, and requests a second."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from mockveo_contracts.servers.budget import Budget, OutOfBudget
from mockveo_contracts.servers.plan import VerifyPlan
from mockveo_contracts.servers.verify import Verification, rehearse, verify
from verification import broken_rules, plan

from mockveo.errors import SettingsError


def test_max_jobs_is_kept(servers: Any) -> None:
    root, memory = servers
    before = len(memory["accepts-anything"].jobs)
    limited = VerifyPlan(**{**vars(plan(memory["accepts-anything"])), "max_jobs": 2})
    data = verify(f"{root}/accepts-anything", limited)
    assert len(memory["accepts-anything"].jobs) - before == 2 == data["summary"]["jobs"]
    assert any("--max-jobs 2" in skipped["reason"] for skipped in data["skipped"])


def test_remote_server_gets_five_jobs_by_default() -> None:
    remote = Verification("https://video.example/v1", VerifyPlan(key="sk-x"))
    assert (remote.budget.jobs, remote.client.pace.interval, remote.control) == (5, 10.0, None)
    assert Verification("https://video.example/v1", VerifyPlan(key="sk-x", max_jobs=9)).budget.jobs == 9


def test_remote_server_needs_a_key() -> None:
    with pytest.raises(SettingsError, match="COMETAPI_KEY"):
        verify("https://video.example/v1", VerifyPlan())


def test_end_of_max_seconds_is_no_finding(servers: Any) -> None:
    root, memory = servers
    short = VerifyPlan(**{**vars(plan(memory["never-starts"])), "max_seconds": 0.3})
    data = verify(f"{root}/never-starts", short)
    assert "job-ends" not in broken_rules(data)
    assert data["rules"]["job-ends"]["not exercised"] == len(data["cases"])
    assert any("--max-seconds 0.3 are over" in skipped["reason"] for skipped in data["skipped"])


def test_rate_is_kept() -> None:
    now, slept = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    budget = Budget(rate=4, clock=lambda: now, sleep=sleep)
    for _ in range(3):
        budget.take(creates=False)
    assert slept == [0.25, 0.25]


@pytest.mark.parametrize(
    ("status", "made"), [(200, 1), (0, 1), (500, 1), (504, 1), (400, 0), (401, 0), (429, 0), (503, 0)]
)
def test_job_counts_if_it_may_have_been_made(status: int, made: int) -> None:
    budget = Budget(jobs=1)
    budget.take(creates=True)
    budget.note(status)
    assert budget.made == made
    if made:
        with pytest.raises(OutOfBudget):
            budget.take(creates=True)


def test_rehearsal_lists_all_requests_and_sends_none() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        lines = rehearse(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", VerifyPlan())
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert "job/text-only: POST /v1/videos" in lines
    assert "job/images: POST /v1/videos, 2 images" in lines
    assert "job/images: GET /v1/videos/{id}, until it ends" in lines
    assert sum("POST /v1/videos" in line for line in lines) < 25
