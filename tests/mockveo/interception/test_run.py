"""Programs with the URL written in, run by the command in a namespace."""

from __future__ import annotations

import json
from pathlib import Path

from installed_clients import tool
from paths import ROOT
from serve_process import run

PROGRAMS = ROOT / "tests" / "clients" / "written_in"


def test_run_of_a_written_in_url_shows_the_job_that_was_paid_for_in_vain(tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    command = ["run", "--speed", "1000", "--scenario", "accepted-then-dropped", "--report", f"json={report}", "--"]
    done = run(*command, tool("node"), str(PROGRAMS / "bot_fetch.mjs"), COMETAPI_KEY="sk-0123456789abcdef0123")
    assert done.returncode == 0, done.stderr
    assert "completed" in done.stdout
    assert "2 made, 1 delivered, 1 wasted (1 doubled by the retry of a lost answer)" in done.stderr
    assert "by the kernel: the program's network has lo alone, and no route leads out" in done.stderr
    assert "nothing left the machine" in done.stderr
    assert "a fake key replaced COMETAPI_KEY" in done.stderr
    proof = json.loads(report.read_text())["proof"]
    assert (proof["level"], proof["interfaces"], proof["attempts"]) == ("kernel", ["lo"], 0)


def test_run_keeps_streams_status_and_refuses_strangers() -> None:
    script = 'read line; echo "got $line"; curl -sS https://example.com; curl -sS -m 5 http://192.0.2.1; exit 7'
    done = run("run", "--", "sh", "-c", f"echo hello | (trap '' PIPE; {script})")
    assert done.returncode == 7, done.stderr
    assert done.stdout == "got hello\n"
    assert "refused example.com" in done.stderr
    assert "1 connection or packet without a route" in done.stderr


def test_run_of_a_missing_program_says_so() -> None:
    done = run("run", "--", "no-such-program")
    assert done.returncode == 2
    assert "the command is 'no-such-program', which cannot be run: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
