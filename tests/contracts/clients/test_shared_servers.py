"""`mockveo check --through`: cases that other servers play, which share a Redis with the check."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mockveo_contracts.check import Plan, check
from mockveo_contracts.clients.check import drive, kills_everywhere
from paths import CLIENTS
from redis_process import RedisProcess, redis_process

import mockveo
from mockveo.errors import SettingsError

CLIENT = [sys.executable, str(CLIENTS / "contract" / "with_httpx.py")]
CASES = ("call/prompt-only", "create/503-retry-after", "create/reset", "poll/503", "content/503", "restart/first-poll")
EXAMPLE = "e.g. --store redis://localhost --through http://127.0.0.1:8360"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with redis_process(tmp_path_factory.mktemp("redis")) as server:
        yield server


def test_cases_are_played_by_the_servers_and_judged_by_what_came_to_them(redis: RedisProcess) -> None:
    with mockveo.serve(store=redis.url, render=False) as server:
        with drive(CLIENT, store=redis.url, through=server.url) as driver:
            report = check(driver, Plan(cases=CASES, generated=0))
            names = {world.name for world in server.app.worlds} - {""}
        assert [finding.rule for finding in report.findings] == []
        assert sorted(name.partition("-")[2] for name in names) == sorted(
            name.replace("/", ".") for name in CASES if "restart" not in name
        )
        # The scenarios of the cases were those of the server, whose faults the client has met.
        keys = {world.plan.key for world in server.app.worlds}
        assert len(keys) == 1 + len(names)
        assert report.rules["survive-transient"].counts["pass"] == 2
        # The worlds are gone with the check.
        assert redis.client.smembers("mockveo:worlds") == {b""}
        assert not redis.client.keys("*poll.503}:state")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"through": "http://a"}, "--through is given, and --store is missing; expected the URL of servers and"),
        ({"store": "redis://a"}, "--through is missing, and --store is given; expected"),
        ({"through": "http://a", "store": "a.db"}, "--through is given, and --store is 'a.db'; expected"),
        ({"through": "localhost", "store": "redis://a"}, "--through is 'localhost'; expected a scheme and a host"),
        ({"through": "http://a", "store": "redis://a", "factor": 2.0}, "other servers do not know the time of --acc"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused_with_an_example(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        drive(CLIENT, **options)
    assert message in str(caught.value)
    assert EXAMPLE in str(caught.value)


def test_function_is_refused_as_other_servers_have_no_virtual_time() -> None:
    with pytest.raises(SettingsError, match="other servers do not know virtual time, as a function has; expected a pr"):
        drive(print, through="http://a", store="redis://a")


def test_kills_are_refused_as_other_servers_kill_no_program(redis: RedisProcess, tmp_path: Path) -> None:
    program = tmp_path / "resuming.py"
    program.write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    if json.loads(line)['type'] == 'hello':\n"
        "        print(json.dumps({'type': 'hello', 'client': 'c', 'features': {'resume': True}}), flush=True)\n"
    )
    with drive([sys.executable, str(program)], store=redis.url, through="http://127.0.0.1:1") as driver:
        with pytest.raises(SettingsError, match="and no --through"):
            kills_everywhere(driver, Plan(everywhere=True))
