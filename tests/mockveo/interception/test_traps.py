"""A saboteur against traps: nothing of it may arrive, and without isolation all of it does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import CLEAN
from own_network import STRANGER
from paths import CLIENTS, TESTS
from run_program import RUN

SABOTEUR = [sys.executable, str(CLIENTS / "written_in" / "saboteur.py"), "{tcp}", "{udp}"]


def among_traps(*command: str) -> dict[str, Any]:
    traps = [sys.executable, str(TESTS / "support" / "traps.py")]
    done = subprocess.run(
        [*traps, *command], capture_output=True, text=True, timeout=60, check=False,
        env=CLEAN | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report | {"stderr": done.stderr}


def run_command(*options: str) -> Sequence[str]:
    return [*RUN, *options, "--", *SABOTEUR]


def test_saboteur_without_isolation_springs_every_trap() -> None:
    caught = among_traps(*SABOTEUR)["caught"]
    assert all(caught.values()), caught


def test_saboteur_in_a_namespace_springs_no_trap_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    report = among_traps(*run_command("--isolate", "namespace", "--require-proof", "--report", f"json={path}"))
    assert set(report["caught"].values()) == {0}, report
    assert report["exit_status"] == 3, report["stderr"]
    proof = json.loads(path.read_text())["proof"]
    assert (proof["level"], proof["interfaces"], proof["routes"]) == ("kernel", ["lo"], ["lo"])
    assert proof["no_route"] >= 6
    assert list(proof["refused_names"]) == ["stranger.example"]
    assert proof["left"] == 1
    assert "1 process outlived it and had to be ended" in report["stderr"]


@pytest.mark.slow
def test_saboteur_under_landlock_springs_no_trap_of_tcp() -> None:
    report = among_traps(*run_command("--isolate", "landlock"))
    caught = report["caught"]
    assert (caught["tcp"], caught["tcp6"]) == (0, 0), report
    assert caught["udp"], "the report says that UDP is not covered; correct that"
    assert "UDP is not covered" in report["stderr"]


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["namespace", "landlock"])
def test_allowed_stranger_is_the_only_one_that_is_reached(isolation: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    options = ("--isolate", isolation, "--allow", f"{STRANGER}:{{tcp}}", "--report", f"json={path}")
    command = ("curl", "-sS", f"http://{STRANGER}:{{tcp}}/", "--next", "-sS", f"http://{STRANGER}:{{udp}}/")
    report = among_traps(*RUN, *options, "--", *command)
    assert report["caught"] == {"tcp": 1, "udp": 0, "tcp6": 0, "udp6": 0, "abstract": 0}
    (traffic,) = json.loads(path.read_text())["proof"]["holes"].values()
    assert traffic["connections"] == 1
    assert traffic["sent"] > 0
    assert f"--allow {STRANGER}:" in report["stderr"]


@pytest.mark.slow
def test_environment_lists_the_strangers_that_a_program_reached(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    code = f"import socket, time; s = socket.create_connection(('{STRANGER}', {{tcp}})); time.sleep(1)"
    options = ("--isolate", "environment", "--report", f"json={path}")
    report = among_traps(*RUN, *options, "--", sys.executable, "-c", code)
    assert report["caught"]["tcp"] == 1
    proof = json.loads(path.read_text())["proof"]
    assert (proof["level"], proof["sampled"]) == ("none", True)
    assert [stranger.partition(":")[0] for stranger in proof["strangers"]] == [STRANGER]
    assert "not proven: variables alone lead the program to us" in report["stderr"]
