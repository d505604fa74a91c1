"""Runs of programs from Python and in pytest."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from installed_clients import tool
from paths import CLIENTS

import mockveo as package
from mockveo.errors import MockveoError, SettingsError
from mockveo.testing import worlds

BOT = [sys.executable, str(CLIENTS / "written_in" / "bot.py"), "urllib"]


def test_fixture_runs_a_program_with_its_own_scenario_and_clock(mockveo: worlds.Mockveo) -> None:
    mockveo.scenario(ending="failure", error={"code": "moderated", "message": "No."})
    result = mockveo.run(BOT)
    assert (result.exit_status, result.stdout) == (0, "failed\n"), result.stderr
    assert result.requests.of("create").summary == ["create 200 queued"]
    assert result.proof.level == "kernel"
    assert result.bill.made == 1
    assert "nothing left the machine" in str(result)
    assert mockveo.requests == [], "the run has a server of its own"


def test_run_in_python_takes_the_options_of_the_command() -> None:
    result = package.run(
        [tool("curl"), "-sS", "https://api.openai.com/v1/models", "https://telemetry.example"],
        hosts=["api.openai.com"], scenario={"ending": "never"}, env={"PATH": "/usr/bin:/bin"}, cwd="/",
    )  # fmt: skip
    assert result.exit_status == 6
    assert "invalid token" in result.stdout
    assert "telemetry.example" in result.stderr
    assert list(result.proof.refused_names) == ["telemetry.example"]
    assert result.proof.attempts


@pytest.mark.slow
def test_run_that_takes_too_long_is_ended() -> None:
    with pytest.raises(MockveoError, match=r"sleep was ended after its timeout of 1 s"):
        package.run(["sleep", "60"], timeout=1)


@pytest.mark.parametrize(
    ("command", "keywords", "message"),
    [
        ("node bot.mjs", {}, r"the command is 'node bot.mjs'; expected a list of texts"),
        ([], {}, "the command is missing"),
        (["true"], {"isolate": "jail"}, "--isolate is 'jail'; expected one of auto, namespace"),
        (["true"], {"hosts": ["127.0.0.1"]}, "--host is '127.0.0.1'; expected the name of a host"),
        (["true"], {"local": [0]}, "--local is 0; expected a port from 1 to 65535"),
        (
            ["true"],
            {"allow": ["db.example"]},
            "--allow is 'db.example'; expected a name or an IPv4 address",
        ),
        (["true"], {"allow": ["127.0.0.1:80"]}, "which is on this machine; expected e.g. --local 80"),
        (["true"], {"require_proof": True, "isolate": "landlock"}, "too little for --require-proof"),
        (["true"], {"require_proof": True, "allow": ["a.example:1"]}, "leaves the machine; expected no --allow"),
        (["true"], {"speed": 0}, "--speed is 0"),
        (["true"], {"nonsense": 1}, "'nonsense' is not a setting"),
    ],
)
def test_mistake_in_a_run_is_explained(command: Any, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        package.run(command, **keywords)


@pytest.mark.slow
def test_runs_side_by_side_do_not_meet() -> None:
    results = []
    threads = [threading.Thread(target=lambda: results.append(package.run(BOT, speed=1000))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(result.stdout, result.bill.made) for result in results] == [("completed\n", 1)] * 3
