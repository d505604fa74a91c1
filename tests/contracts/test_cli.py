"""The commands of the contract tests, as a user runs them."""

from __future__ import annotations

import json
import os
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
from commands import CLEAN
from mockveo_contracts.reports.formats import FORMATS
from paths import CLIENTS as PROGRAM_FILES
from paths import MUTANTS

#: A client of the zoo, and one with a defect.
CLIENTS = """
import os
import subprocess
import sys
import threading

from mockveo_contracts import Outcome
from zoo_client import CorrectClient

class Reversing(CorrectClient):
    def images(self):
        return self.input.images[::-1]

class Cutting(CorrectClient):
    def prompt(self):
        return self.input.prompt.partition("\\n")[0]

class Hurried(CorrectClient):
    def interval(self):
        return 0.01

def correct(case):
    return CorrectClient(case)()

def cutting(case):
    return Cutting(case)()

def hurried(case):
    return Hurried(case)()

def wandering(case):
    os.makedirs("elsewhere", exist_ok=True)
    os.chdir("elsewhere")
    return CorrectClient(case)()

def reversing(case):
    os.chdir("/")
    return Reversing(case)()

def waiting(case):
    print("begun", case.id, file=sys.__stderr__, flush=True)
    threading.Event().wait()

def forgetting_images(case):
    # It does nothing in a case with images, and takes a real moment.
    print("begun", case.id, file=sys.__stderr__, flush=True)
    subprocess.run(["sleep", "0.1"])
    return Outcome("completed") if case.input.images else CorrectClient(case)()

for client in (correct, cutting, hurried, wandering, reversing, waiting, forgetting_images):
    client.features = CorrectClient.features
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "clients.py").write_text(CLIENTS)
    return tmp_path


def run(place: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mockveo", *arguments],
        capture_output=True, text=True, timeout=120, cwd=place, check=False,
        env=CLEAN | {"PYTHONPATH": str(MUTANTS)} | env,
    )  # fmt: skip


def check(place: Path, client: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(place, "check", "--python", f"clients:{client}", "--generated", "0", *arguments)


def test_check_of_a_correct_client_reports_nothing(place: Path) -> None:
    done = check(place, "correct", "--case", "text/*")
    assert done.returncode == 0
    assert re.fullmatch(r"(\d+) of \1 cases, 0 findings", done.stderr.splitlines()[-1])
    assert re.fullmatch(
        r"clients:correct: \d+ cases in [\d.]+ s: nothing is broken . seed 0", done.stdout.splitlines()[-1]
    )


def test_check_of_a_broken_client_writes_every_report(place: Path) -> None:
    reports = [part for kind in FORMATS for part in ("--report", f"{kind}=out/{kind}")]
    done = check(place, "cutting", "--case", "text/newlines", "--quiet", *reports)
    assert (done.returncode, done.stderr) == (1, "")
    assert "VIOLATION  prompt-exact (MUST)" in done.stdout
    assert "mockveo check --case text/newlines --python clients:cutting" in done.stdout
    assert sorted(path.name for path in (place / "out").iterdir()) == sorted(FORMATS)
    assert json.loads((place / "out" / "json").read_text())["findings"][0]["rule"] == "prompt-exact"
    assert "::error" in (place / "out" / "github").read_text()
    judged = run(place, "judge", "out/har")
    assert judged.returncode == 0, judged.stderr


@pytest.mark.parametrize("command", ["check", "verify", "report"])
def test_help_of_a_command_names_every_format(place: Path, command: str) -> None:
    words = set(re.findall(r"\w+", run(place, command, "--help").stdout))
    assert set(FORMATS) <= words


def test_command_in_the_report_repeats_the_case(place: Path) -> None:
    done = check(place, "cutting", "--case", "text/*")
    (command,) = set(re.findall(r"mockveo (check .*)", done.stdout))
    again = run(place, *shlex.split(command))
    assert again.returncode == 1
    assert "prompt-exact" in again.stdout


def test_check_with_strict_fails_on_a_warning(place: Path) -> None:
    done = check(place, "hurried", "--case", "job/long")
    assert done.returncode == 0
    assert "WARNING  poll-interval (SHOULD)" in done.stdout
    assert check(place, "hurried", "--case", "job/long", "--strict").returncode == 1


def test_check_with_known_failures_passes_until_they_are_stale(place: Path) -> None:
    (place / "known.txt").write_text("prompt-exact text/*  # ticket 7\n")
    assert check(place, "cutting", "--case", "text/newlines", "--known", "known.txt").returncode == 0
    (place / "known.txt").write_text("prompt-exact text/at\n")
    done = check(place, "correct", "--case", "text/at", "--known", "known.txt")
    assert done.returncode == 3
    assert "known.txt:1" in done.stdout


def test_what_is_newer_than_the_requirements_is_shown_and_does_not_count(place: Path) -> None:
    text = 'since: "2027-01"\nsays: New.\ncall: {prompt: "A\\nkite."}\n'
    (place / "new.yaml").write_text(text)
    assert check(place, "cutting", "--case", "new.yaml").returncode == 1
    reports = ("--report", "json=r.json", "--report", "junit=r.xml")
    done = check(place, "cutting", "--case", "new.yaml", "--requirements", "2026-11", *reports)
    assert done.returncode == 0, done.stdout
    assert "new since 2026-11, not counted  prompt-exact in new" in done.stdout
    assert "nothing is broken, 1 new, not counted" in done.stdout.splitlines()[-1]
    report = json.loads((place / "r.json").read_text())
    assert (report["requirements"], report["summary"]["newer"], report["summary"]["violations"]) == ("2026-11", 1, 0)
    assert [(finding["rule"], finding["newer"]) for finding in report["findings"]] == [("prompt-exact", "2027-01")]
    assert "prompt-exact: new since 2027-01, not counted" in (place / "r.xml").read_text()
    # What is old counts as before.
    assert check(place, "cutting", "--case", "text/newlines", "--requirements", "2026-11").returncode == 1


def test_requirements_of_an_unknown_month_are_refused(place: Path) -> None:
    done = check(place, "correct", "--requirements", "2026-10")
    assert done.returncode == 2
    assert "no requirements of '2026-10'" in done.stderr
    assert "e.g. --requirements 2026-11" in done.stderr


def test_check_with_strict_fails_on_rules_that_the_client_leaves_unjudged(place: Path) -> None:
    features = {"images": 2, "content": True, "deadline": True}
    (place / "silent.py").write_text(
        f"from clients import correct\ndef client(case): return correct(case)\nclient.features = {features}\n"
    )
    reports = ("--generated", "0", "--quiet", "--strict", "--report", "json=r.json", "--report", "github=g.txt")
    silent = run(place, "check", "--python", "silent:client", *reports)
    assert silent.returncode == 1, silent.stdout
    assert "undeclared feature  --strict could not judge resume-own-job," in silent.stdout
    assert 'declare it, e.g. "features": {"resume": true}, or false if the client cannot' in silent.stdout.replace(
        "\n  ", " "
    )
    assert "4 rules not judged" in silent.stdout.splitlines()[-1]
    assert {*json.loads((place / "r.json").read_text())["undeclared"].values()} == {"resume"}
    assert "undeclared feature" in (place / "g.txt").read_text()
    with (place / "silent.py").open("a") as file:
        file.write("client.features['resume'] = False\n")
    assert run(place, "check", "--python", "silent:client", *reports).returncode == 0
    with (place / "silent.py").open("a") as file:
        file.write("del client.features['resume']\n")
    assert run(place, "check", "--python", "silent:client", *reports, "--requirements", "2026-11").returncode == 1


def test_generated_case_of_a_rule_broken_before_is_not_saved(place: Path) -> None:
    reports = ("--report", "json=r.json", "--quiet", "--generated", "30")
    done = run(place, "check", "--python", "clients:cutting", "--corpus", "mine", *reports)
    assert done.returncode == 1
    report = json.loads((place / "r.json").read_text())
    assert report["summary"]["generated"] == 30
    assert not (place / "mine").exists()


def test_check_runs_a_program(place: Path) -> None:
    command = [sys.executable, str(PROGRAM_FILES / "programs" / "client.py"), "session"]
    done = run(place, "check", "--case", "call/*", "--", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(place, "check", "--case", "call/*", "--", "no-such-program").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the client is missing; expected a program after --, e.g. mockveo check -- python my_client.py"),
        (("--python", "clients:corect"), "clients has no 'corect'; did you mean 'correct'?"),
        (("--python", "clients:correct", "--case", "text/atx"), "no case is named 'text/atx'; did you mean 'text/at'?"),
        (("--python", "clients:correct", "--report", "jnuit=x"), "did you mean 'junit'"),
        (("--python", "clients:correct", "--known", "nothing.txt"), "nothing.txt"),
        (("--python", "clients:correct", "--profile", "docs"), "docs"),
        (("--python", "clients:correct", "--features", "image=1"), "'image' is not a feature; did you mean 'images'?"),
        (
            ("--python", "clients:correct", "--", "a"),
            "both a function, clients:correct, and a program, a; expected one",
        ),
    ],
)
def test_mistake_is_explained_in_one_line(place: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(place, "check", "--quiet", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_cases_are_listed_and_shown(place: Path) -> None:
    listed = run(place, "cases").stdout.splitlines()
    assert len(listed) > 60
    assert any(line.startswith("image/two-ordered ") and line.endswith(".") for line in listed)
    shown = run(place, "cases", "--show", "create/429-retry-after").stdout
    assert yaml.safe_load(shown)["scenario"]["faults"][0]["retry_after"] == 1
    (place / "mine.yaml").write_text(shown)
    done = check(place, "correct", "--case", "mine.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_report_converts_json_reports(place: Path) -> None:
    for client in ("correct", "cutting"):
        check(place, client, "--case", "text/newlines", "--report", f"json={client}.json")
    done = run(place, "report", "correct.json", "cutting.json", "--as", "html=both.html")
    assert (done.returncode, done.stderr) == (0, "")
    page = (place / "both.html").read_text()
    assert "clients:correct" in page
    assert "clients:cutting" in page
    assert run(place, "report", "clients.py", "--as", "html=both.html").returncode == 2


def test_shards_are_joined_into_one_report(place: Path) -> None:
    for shard in ("1/2", "2/2"):
        part = check(place, "cutting", "--case", "text/*", "--shard", shard, "--report", f"json={shard[0]}.json")
        assert f"cases of shard {shard} in" in part.stdout
    whole = run(place, "report", "2.json", "1.json", "--merge", "--as", "junit=whole.xml")
    assert (whole.returncode, whole.stderr) == (1, "")
    assert "VIOLATION  prompt-exact (MUST)" in whole.stdout
    assert "prompt-exact" in (place / "whole.xml").read_text()
    missing = run(place, "report", "1.json", "--merge")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "the shards 1/2; expected one report of each shard" in missing.stderr
    assert run(place, "report", "1.json").returncode == 2


def test_joined_report_is_written_although_its_reader_has_left(place: Path) -> None:
    for shard in ("1/2", "2/2"):
        check(place, "cutting", "--case", "text/*", "--shard", shard, "--report", f"json={shard[0]}.json")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "mockveo", "report", "1.json", "2.json", "--merge",
         "--as", "json=-", "--as", "html=whole.html"],
        stdout=writing, stderr=subprocess.PIPE, text=True, cwd=place, env=CLEAN, check=False, timeout=60,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
    assert (place / "whole.html").exists()


def replayed(place: Path, case: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mockveo", "replay", case, "--port", "0"],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN,
    )  # fmt: skip
    replay: dict[str, str] = {}
    assert process.stdout is not None
    for line in process.stdout:
        if "export" in line:
            name, _, value = line.strip().removeprefix("export ").partition("=")
            replay[name] = value
        if "curl" in line:
            replay["curl"] = line.strip()
        if "phases:" in line:
            return process, replay
    raise AssertionError(process.communicate())


def test_replay_serves_a_case_to_be_called_by_hand(place: Path) -> None:
    process, replay = replayed(place, "create/503")
    try:
        env = {name: value for name, value in replay.items() if name != "curl"}
        answers = [
            json.loads(
                subprocess.run(
                    ["sh", "-c", replay["curl"]], env=CLEAN | env, capture_output=True, text=True, check=True
                ).stdout
            )
            for _ in range(2)
        ]
        assert "error" in answers[0]
        assert answers[1]["status"] == "queued"
        time.sleep(0.3)
        url = f"{replay['COMETAPI_BASE_URL']}/videos/{answers[1]['id']}"
        polled = httpx.get(url, headers={"Authorization": f"Bearer {replay['COMETAPI_KEY']}"}, trust_env=False)
        assert polled.json()["status"] == "completed"
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, ""), out


def test_replay_gives_the_ids_of_the_check(place: Path) -> None:
    report = place / "r.json"
    check(place, "correct", "--case", "image/name-with-quotes", "--report", f"json={report}")
    (case,) = json.loads(report.read_text())["cases"]
    job: Any = case["outcome"]["video"]["id"]
    process, replay = replayed(place, "image/name-with-quotes")
    try:
        env = {name: value for name, value in replay.items() if name != "curl"}
        made = subprocess.run(["sh", "-c", replay["curl"]], env=CLEAN | env, capture_output=True, text=True, check=True)
        assert json.loads(made.stdout)["id"] == job
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def test_reports_are_where_they_were_asked_for_wherever_a_client_goes(place: Path) -> None:
    done = check(place, "wandering", "--case", "text/at", "--report", "json=r.json", "--report", "html=out/r.html")
    assert (done.returncode, done.stderr.count("mockveo:")) == (0, 0)
    assert json.loads((place / "r.json").read_text())["summary"]["cases"] == 1
    assert (place / "out" / "r.html").exists()
    assert list((place / "elsewhere").iterdir()) == []


def test_report_that_cannot_be_written_ends_the_check_before_it_begins(place: Path) -> None:
    (place / "r.json").write_text("older")
    (place / "file").write_text("")
    reports = ("--report", "json=r.json", "--report", "html=new.html", "--report", "sarif=file/r.sarif")
    done = check(place, "waiting", "--case", "text/at", *reports)
    assert (done.returncode, done.stdout) == (2, "")
    assert "file/r.sarif: the report cannot be written: " in done.stderr
    assert "begun" not in done.stderr
    assert (place / "r.json").read_text() == "older"
    assert not (place / "new.html").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_report_that_fails_at_the_end_does_not_stop_the_others(place: Path) -> None:
    reports = ("--report", "json=/dev/full", "--report", "json=r.json")
    done = check(place, "cutting", "--case", "text/newlines", "--quiet", *reports)
    assert done.returncode == 2
    assert done.stderr == "mockveo: /dev/full: the report cannot be written: No space left on device\n"
    assert "VIOLATION  prompt-exact" in done.stdout
    assert json.loads((place / "r.json").read_text())["exit_status"] == 1
    with Path("/dev/full").open("w") as full:
        (place / "r.json").unlink()
        done = subprocess.run(
            [sys.executable, "-m", "mockveo", "check", "--python", "clients:cutting", "--case", "text/newlines",
             "--report", "json=r.json"],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=place, check=False, timeout=60,
            env=CLEAN | {"PYTHONPATH": str(MUTANTS)},
        )  # fmt: skip
    assert done.returncode == 2
    assert "standard output cannot be written: No space left on device" in done.stderr
    assert (place / "r.json").exists()


def test_report_is_written_although_standard_output_is_closed(place: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "mockveo", "check", "--python", "clients:cutting", "--case", "text/newlines",
         "--report", "json=r.json", "--quiet"],
        stdout=writing, stderr=subprocess.PIPE, text=True, cwd=place, check=False, timeout=60,
        env=CLEAN | {"PYTHONPATH": str(MUTANTS)},
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
    assert (place / "r.json").exists()


def test_check_goes_on_although_its_progress_cannot_be_shown(place: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mockveo", "check", "--python", "clients:cutting", "--case", "text/newlines"],
            stdout=subprocess.PIPE, stderr=full, text=True, cwd=place, check=False, timeout=60,
            env=CLEAN | {"PYTHONPATH": str(MUTANTS)},
        )  # fmt: skip
    assert done.returncode == 1
    assert "VIOLATION  prompt-exact (MUST)" in done.stdout


def test_report_that_does_not_fit_on_the_disk_leaves_the_old_one(place: Path) -> None:
    (place / "page.html").write_text("old")
    before = sorted(path.name for path in place.iterdir())
    # At most 16 blocks, of 512 or 1024 bytes, for a file: a page has more.
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 16; exec "$@"', "sh", sys.executable, "-B", "-m", "mockveo", "check", "--quiet",
         "--python", "clients:correct", "--case", "text/newlines", "--generated", "0",
         "--report", "html=page.html", "--report", "html=new.html", "--report", "junit=short.xml"],
        capture_output=True, text=True, cwd=place, check=False, timeout=60, env=CLEAN | {"PYTHONPATH": str(MUTANTS)},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.endswith("new.html: the report cannot be written: File too large\n")
    assert (place / "page.html").read_text() == "old"
    assert sorted(path.name for path in place.iterdir()) == sorted([*before, "short.xml"])


#: What finds a failure that the catalogue has not shown.
SEARCHED = ("--case", "text/at", "--generated", "40", "--quiet", "--report", "json=r.json")


def test_generated_case_is_saved_although_the_client_changes_directory(place: Path) -> None:
    done = run(place, "check", "--python", "clients:reversing", *SEARCHED, "--corpus", "mine")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "mockveo: --corpus mine does not exist yet; it is created when a case is saved",
        "mockveo: 1 generated case saved in mine; commit the directory, and each check runs what is in it",
    ]
    (path,) = (place / "mine").iterdir()
    (finding,) = json.loads((place / "r.json").read_text())["findings"]
    assert finding["file"] == f"mine/{path.name}"
    assert finding["reproduce"][0] == f"mockveo check --case mine/{path.name} --python clients:reversing"
    again = run(place, *shlex.split(finding["reproduce"][0])[1:], "--corpus", "mine")
    assert (again.returncode, "mockveo:" in again.stderr) == (1, False)


def test_corpus_that_cannot_be_written_loses_no_finding(place: Path) -> None:
    (place / "file").write_text("")
    done = run(place, "check", "--python", "clients:reversing", *SEARCHED, "--corpus", "file/mine")
    assert done.returncode == 1
    assert "VIOLATION  refs-order" in done.stdout
    assert re.search(r"mockveo: file/mine/generated\.\w+\.yaml: the case cannot be written: ", done.stderr)
    report = json.loads((place / "r.json").read_text())
    assert [(finding["rule"], finding["file"], finding["reproduce"]) for finding in report["findings"]] == [
        ("refs-order", None, [])
    ]
    assert len(report["notes"]) == 1
    done = run(place, "check", "--python", "clients:correct", "--corpus", "file")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--corpus is 'file', a file; expected a directory" in done.stderr


#: A program that plays two cases as it should, and then no more; it is not easily ended.
STOPPING = """
import json, os, signal, subprocess, sys, time
from client import main, play, say

def stop():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "60"])
    with open("pids", "a") as pids:
        pids.write(f"{os.getpid()} {child.pid}\\n")
    time.sleep(60)

def once(case):
    return stop() if case["id"] == "3" else play(case, store=False)

if sys.argv[1] == "run":
    once(json.loads(os.environ["MOCKVEO_CASE"]))
else:
    for line in sys.stdin:
        message = json.loads(line)
        say(once(message) if message["type"] == "case" else {"type": "hello"})
"""


def started(place: Path, *client: str) -> subprocess.Popen[str]:
    """Start a check, with a directory of its own for files that must be gone afterwards."""
    (place / "tmp").mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "mockveo", "check", "--generated", "0", "--quiet", "--report", "json=r.json", *client],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=CLEAN | {"PYTHONPATH": str(MUTANTS), "TMPDIR": str(place / "tmp")},
    )  # fmt: skip


def gone(pid: int) -> bool:
    until = time.monotonic() + 3
    while time.monotonic() < until:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("kind", ["session", "run", "function"])
def test_interrupted_check_reports_what_it_has(place: Path, kind: str, name: str) -> None:
    pids = place / "pids"
    if kind == "function":
        client = ["--case", "text/at", "--python", "clients:waiting"]
    else:
        (place / "stopping.py").write_text(
            f"import sys\nsys.path.insert(0, {str(PROGRAM_FILES / 'programs')!r})\n{STOPPING}"
        )
        cases = ["--case", "call/prompt-only", "--case", "call/size", "--case", "call/model"]
        # One after the other, so that two are done when the third stops.
        client = [*cases, "--parallel", "1", "--mode", kind, "--", sys.executable, "stopping.py", kind]
    process = started(place, *client)
    try:
        assert process.stderr is not None
        if kind == "function":
            assert process.stderr.readline() == "begun 1\n"
        else:
            until = time.monotonic() + 30
            while not (pids.exists() and pids.read_text().endswith("\n")) and time.monotonic() < until:
                time.sleep(0.02)
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 2, err
    assert "Aborted: it was interrupted" in out
    report = json.loads((place / "r.json").read_text())
    assert (report["aborted"], report["exit_status"]) == ("it was interrupted", 2)
    assert list((place / "tmp").iterdir()) == []
    if kind != "function":
        numbers = pids.read_text().split()
        assert len(numbers) >= 2
        assert all(gone(int(pid)) for pid in numbers)
        assert report["summary"]["cases"] >= 1
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_check_interrupted_while_it_shrinks_ends_at_once_and_reports_what_it_has(place: Path, name: str) -> None:
    cases = 1 + 10
    options = ["--case", "text/at", "--generated", "10", "--shrink-seconds", "1000"]
    process = started(place, *options, "--python", "clients:forgetting_images")
    try:
        assert process.stderr is not None
        while process.stderr.readline() != f"begun {cases + 2}\n":
            pass
        begun = time.monotonic()
        process.send_signal(getattr(signal, name))
        out, _ = process.communicate(timeout=60)
        assert time.monotonic() - begun < 10
    finally:
        process.kill()
    assert process.returncode == 2
    assert "Aborted: it was interrupted" in out
    report = json.loads((place / "r.json").read_text())
    assert (report["aborted"], report["summary"]["generated"]) == ("it was interrupted", 10)
    assert "did-create" in {finding["rule"] for finding in report["findings"]}


def test_check_interrupted_before_the_first_case_says_so(place: Path) -> None:
    (place / "silent.py").write_text("import time\nopen('up', 'w').close()\ntime.sleep(60)\n")
    process = started(place, "--", sys.executable, "silent.py")
    try:
        until = time.monotonic() + 30
        while not (place / "up").exists() and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, out) == (2, "")
    assert err == "mockveo: it was interrupted before the first case\n"
    assert list((place / "tmp").iterdir()) == []


def test_ignored_signal_stays_ignored(place: Path) -> None:
    (place / "tmp").mkdir()
    command = shlex.join([sys.executable, "-m", "mockveo", "check", "--python", "clients:sleepy", "--case", "text/at"])
    (place / "clients.py").write_text(
        f"{CLIENTS}\ndef sleepy(case):\n    os.kill(os.getpid(), 1)\n    return CorrectClient(case)()\n"
    )
    done = subprocess.run(
        ["sh", "-c", f"trap '' HUP; exec {command}"],
        cwd=place, capture_output=True, text=True, timeout=60, check=False, env=CLEAN | {"PYTHONPATH": str(MUTANTS)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
