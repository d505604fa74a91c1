"""The power of `verify`: what is broken in one way is found, by the rule of that way, and what is not is left alone."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from broken_servers import FAILING, MUTANTS, OTHER, OURS, Small, application
from mockveo_contracts.servers.verify import VerifyPlan, verify

SEEDS = range(8)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, dict[str, Small]]]:
    """The root of them all, and what each has in memory."""
    app, found = application()
    # Named as TCP, without which asyncio leaves Nagle's algorithm on: 40 ms for each answer.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", found
        server.should_exit = True
        thread.join()


def plan(server: Small, seed: int = 0, *, ends: bool = True) -> VerifyPlan:
    return VerifyPlan(
        key=OURS,
        other_key=OTHER,
        seed=seed,
        poll_interval=0.0,
        job_seconds=30.0 if ends else 0.1,
        failing_prompt=FAILING,
        images_of=lambda job: server.jobs[job].images,
    )


@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_broken_is_found_under_its_rule(servers: tuple[str, dict[str, Small]], name: str) -> None:
    root, found = servers
    data = verify(f"{root}/{name}", plan(found[name], ends="job-ends" not in MUTANTS[name].breaks))
    rules = {one["rule"]: one["verdict"] for one in reversed(data["findings"])}
    assert rules == MUTANTS[name].breaks, [(one["rule"], one["case"], one["message"]) for one in data["findings"]]
    violations = "violation" in rules.values()
    assert data["exit_status"] == (1 if violations else 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_correct_one_is_clean(servers: tuple[str, dict[str, Small]], seed: int) -> None:
    root, found = servers
    data = verify(f"{root}/correct/v1", plan(found["correct"], seed))
    assert (data["findings"], data["exit_status"], data["stopped"]) == ([], 0, None)


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 32
