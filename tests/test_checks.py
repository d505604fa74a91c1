"""The commands of the contract tests, as a user has them."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from test_cli import CLEAN

TESTS = Path(__file__).parent
#: A client of the zoo, and one with a defect.
CLIENTS = """
from zoo_client import Client

class Cutting(Client):
    def prompt(self):
        return self.given.prompt.partition("\\n")[0]

class Hurried(Client):
    def interval(self):
        return 0.01

def correct(case):
    return Client(case)()

def cutting(case):
    return Cutting(case)()

def hurried(case):
    return Hurried(case)()

for one in (correct, cutting, hurried):
    one.features = Client.features
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "clients.py").write_text(CLIENTS)
    return tmp_path


def run(place: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mockveo", *arguments],
        capture_output=True, text=True, timeout=120, cwd=place, check=False,
        env=CLEAN | {"PYTHONPATH": str(TESTS)} | env,
    )  # fmt: skip


def check(place: Path, client: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(place, "check", "--python", f"clients:{client}", "--generated", "0", *arguments)


def test_a_correct_client(place: Path) -> None:
    done = check(place, "correct", "--case", "text/*")
    assert done.returncode == 0
    assert re.fullmatch(r"(\d+) of \1 cases, 0 findings", done.stderr.splitlines()[-1])
    assert re.fullmatch(
        r"clients:correct: \d+ cases in [\d.]+ s: nothing is broken . seed 0", done.stdout.splitlines()[-1]
    )


def test_a_broken_client_and_all_its_reports(place: Path) -> None:
    kinds = ("json", "junit", "html", "sarif", "github", "har")
    reports = [part for kind in kinds for part in ("--report", f"{kind}=out/{kind}")]
    done = check(place, "cutting", "--case", "text/newlines", "--quiet", *reports)
    assert (done.returncode, done.stderr) == (1, "")
    assert "VIOLATION  prompt-exact (MUST)" in done.stdout
    assert "mockveo check --case text/newlines --python clients:cutting" in done.stdout
    assert sorted(path.name for path in (place / "out").iterdir()) == sorted(kinds)
    assert json.loads((place / "out" / "json").read_text())["findings"][0]["rule"] == "prompt-exact"
    assert "::error" in (place / "out" / "github").read_text()
    judged = run(place, "judge", "out/har")
    assert judged.returncode == 0, judged.stderr


def test_the_command_that_repeats_a_case_does(place: Path) -> None:
    done = check(place, "cutting", "--case", "text/*")
    (line,) = {one.strip().removeprefix("again").strip() for one in done.stdout.splitlines() if "mockveo check" in one}
    again = run(place, *shlex.split(line)[1:])
    assert again.returncode == 1
    assert "prompt-exact" in again.stdout


def test_a_warning_fails_where_it_is_strict(place: Path) -> None:
    done = check(place, "hurried", "--case", "job/long")
    assert done.returncode == 0
    assert "WARNING  poll-interval (SHOULD)" in done.stdout
    assert check(place, "hurried", "--case", "job/long", "--strict").returncode == 1


def test_known_failures_and_stale_ones(place: Path) -> None:
    (place / "known.txt").write_text("prompt-exact text/*  # ticket 7\n")
    assert check(place, "cutting", "--case", "text/newlines", "--known", "known.txt").returncode == 0
    (place / "known.txt").write_text("prompt-exact text/at\n")
    done = check(place, "correct", "--case", "text/at", "--known", "known.txt")
    assert done.returncode == 3
    assert "known.txt:1" in done.stdout


def test_what_the_catalogue_has_shown_is_not_kept_again(place: Path) -> None:
    reports = ("--report", "json=r.json", "--quiet", "--generated", "30")
    done = run(place, "check", "--python", "clients:cutting", "--corpus", "mine", *reports)
    assert done.returncode == 1
    found = json.loads((place / "r.json").read_text())
    assert found["summary"]["generated"] == 30
    assert not (place / "mine").exists()


def test_a_program_is_a_client(place: Path) -> None:
    command = [sys.executable, str(TESTS / "programs" / "client.py"), "session"]
    done = run(place, "check", "--case", "call/*", "--", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(place, "check", "--case", "call/*", "--", "no-such-program").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "wanted a client: a program after --, e.g. mockveo check -- python my_client.py"),
        (("--python", "clients:corect"), "clients has no 'corect'; did you mean 'correct'?"),
        (("--python", "clients:correct", "--case", "text/atx"), "no case is named 'text/atx'; did you mean 'text/at'?"),
        (("--python", "clients:correct", "--report", "jnuit=x"), "did you mean 'junit'"),
        (("--python", "clients:correct", "--known", "nothing.txt"), "nothing.txt"),
        (("--python", "clients:correct", "--profile", "docs"), "docs"),
        (("--python", "clients:correct", "--features", "image=1"), "'image' is no feature; did you mean 'images'?"),
        (("--python", "clients:correct", "--", "a"), "both a function, clients:correct, and a program, a; wanted one"),
    ],
)
def test_a_mistake_is_told_in_a_line(place: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(place, "check", "--quiet", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_cases_are_listed_and_shown(place: Path) -> None:
    listed = run(place, "cases").stdout.splitlines()
    assert len(listed) > 60
    assert any(line.startswith("image/two-ordered ") and line.endswith(".") for line in listed)
    shown = run(place, "cases", "--show", "create/429-retry-after").stdout
    assert yaml.safe_load(shown)["scenario"]["faults"][0]["retry_after"] == 1
    (place / "mine.yaml").write_text(shown)
    done = check(place, "correct", "--case", "mine.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_reports_are_made_of_others(place: Path) -> None:
    for client in ("correct", "cutting"):
        check(place, client, "--case", "text/newlines", "--report", f"json={client}.json")
    done = run(place, "report", "correct.json", "cutting.json", "--as", "html=both.html")
    assert (done.returncode, done.stderr) == (0, "")
    page = (place / "both.html").read_text()
    assert "clients:correct" in page
    assert "clients:cutting" in page
    assert run(place, "report", "clients.py", "--as", "html=both.html").returncode == 2


def replayed(place: Path, case: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mockveo", "replay", case, "--port", "0"],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN,
    )  # fmt: skip
    told: dict[str, str] = {}
    assert process.stdout is not None
    for line in process.stdout:
        if "export" in line:
            name, _, value = line.strip().removeprefix("export ").partition("=")
            told[name] = value
        if "curl" in line:
            told["curl"] = line.strip()
        if "phases:" in line:
            return process, told
    raise AssertionError(process.communicate())


def test_a_case_is_served_to_be_called_by_hand(place: Path) -> None:
    process, told = replayed(place, "create/503")
    try:
        env = {name: value for name, value in told.items() if name != "curl"}
        answers = [
            json.loads(
                subprocess.run(
                    ["sh", "-c", told["curl"]], env=CLEAN | env, capture_output=True, text=True, check=True
                ).stdout
            )
            for _ in range(2)
        ]
        assert "error" in answers[0]
        assert answers[1]["status"] == "queued"
        time.sleep(0.3)
        url = f"{told['COMETAPI_BASE_URL']}/videos/{answers[1]['id']}"
        polled = httpx.get(url, headers={"Authorization": f"Bearer {told['COMETAPI_KEY']}"}, trust_env=False)
        assert polled.json()["status"] == "completed"
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, ""), out


def test_a_replay_is_exactly_what_the_check_had(place: Path) -> None:
    report = place / "r.json"
    check(place, "correct", "--case", "image/name-with-quotes", "--report", f"json={report}")
    (case,) = json.loads(report.read_text())["cases"]
    known: Any = case["outcome"]["video"]["id"]
    process, told = replayed(place, "image/name-with-quotes")
    try:
        env = {name: value for name, value in told.items() if name != "curl"}
        made = subprocess.run(["sh", "-c", told["curl"]], env=CLEAN | env, capture_output=True, text=True, check=True)
        assert json.loads(made.stdout)["id"] == known
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
