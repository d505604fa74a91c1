"""The commands that control a running server, as a user runs them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from commands import CLEAN

import mockveo
from mockveo.console.output import print_table
from mockveo.control_client import Remote, RemoteError
from mockveo.errors import SettingsError
from mockveo.rules.client_rules import client_rules
from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import SCHEMA, built_in

KEY = {"Authorization": "Bearer sk-secret"}


def run(*arguments: str, status: int = 0, **env: str) -> str:
    """Return what a command prints, on standard error if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "mockveo", *arguments],
        capture_output=True, text=True, timeout=60, env=CLEAN | env, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert not (done.stdout if status else done.stderr)
    return done.stderr if status else done.stdout


def create(server: ServerThread, world: str, prompt: str = "a kite") -> httpx.Response:
    server_url = f"{server.url}/@{world}" if world else server.url
    return httpx.post(f"{server_url}/v1/videos", headers=KEY, files={"prompt": (None, prompt)})


def test_advance_and_jobs_show_a_finished_job(server: ServerThread) -> None:
    here = {"MOCKVEO_URL": server.url, "MOCKVEO_WORLD": "cli-jobs"}
    assert run("jobs", **here) == "there are no jobs; a create makes one, and --world names the world to look at\n"
    job = create(server, "cli-jobs", "a\nkite " * 20).json()["id"]
    assert run("advance", "5m", **here) == "advanced by 5m; the manual clock is at 300 s\n"
    head, line = run("jobs", **here).splitlines()
    assert head.split() == ["JOB", "STATUS", "PROGRESS", "SCENARIO", "PROMPT"]
    assert line == f"{job}  completed  100 %     normal    a kite a kite a kite a kite a kite a kit..."
    assert line.index("normal") == head.index("SCENARIO")
    assert json.loads(run("jobs", "--json", **here))["jobs"][0]["id"] == job


def test_ready_waits_for_a_server_and_names_its_base_url(server: ServerThread) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert "there is no mockveo at" in run("ready", "--wait", "0.3", "--url", url, status=1)
    assert run("ready", "--url", server.url) == f"ready: {server.base_url}\n"
    waiting = subprocess.Popen(
        [sys.executable, "-m", "mockveo", "ready", "--wait", "60", "--url", url], stdout=subprocess.PIPE, text=True
    )
    with mockveo.serve(port=int(url.rpartition(":")[2])) as late:
        assert waiting.communicate(timeout=60)[0] == f"ready: {late.base_url}\n"
    assert waiting.returncode == 0


def test_bill_shows_the_jobs_that_were_not_delivered(server: ServerThread) -> None:
    here = {"MOCKVEO_URL": server.url, "MOCKVEO_WORLD": "cli-bill"}
    assert run("bill", **here) == "0 made, 0 delivered, 0 wasted\n"
    job = create(server, "cli-bill").json()["id"]
    run("advance", "10m", **here)
    line, row = run("bill", **here).splitlines()
    assert line == "1 made, 0 delivered, 1 wasted (1 abandoned while running); the price of veo3-fast is unknown"
    reason = "abandoned while running: made 600 s ago, and not asked for since"
    assert row == f"wasted  {job}  veo3-fast  {reason} [1]"
    bill = json.loads(run("bill", "--json", **here))
    assert (bill["made"], bill["waste"]["abandoned"], bill["jobs"][0]["reason"]) == (1, 1, reason)


def test_fail_ends_a_job_by_its_id_or_the_newest(server: ServerThread) -> None:
    here = ("--url", server.base_url, "--world", "cli-fail")
    first, second = (create(server, "cli-fail").json()["id"] for _ in range(2))
    assert run("fail", *here, "--code", "moderated", "--message", "No.") == f"{second} has failed, at 0 %\n"
    assert run("fail", first, "--no-reason", *here) == f"{first} has failed, at 0 %\n"
    polled = [
        httpx.get(f"{server.url}/@cli-fail/v1/videos/{job}", headers=KEY).json().get("error") for job in (first, second)
    ]
    assert polled == [None, {"code": "moderated", "message": "No."}]
    assert run("fail", *here, status=2) == (
        "mockveo: there is no unfinished job; create one first, or see all jobs with `mockveo jobs`\n"
    )
    assert "has ended already" in run("fail", first, *here, status=1)
    assert "has no job 'nope'" in run("fail", "nope", *here, status=1)


def test_use_switches_the_scenario_by_name_or_file_for_all_or_once(server: ServerThread, tmp_path: Path) -> None:
    here = ("--url", server.url, "--world", "cli-use")
    (tmp_path / "teapot.yaml").write_text("faults: [{operation: create, status: 418}]")
    assert run("use", "no-credit", "--next", *here) == "the next create request gets the scenario no-credit\n"
    assert [create(server, "cli-use", prompt).status_code for prompt in "ab"] == [403, 200]
    assert run("use", str(tmp_path / "teapot.yaml"), *here) == "the scenario is teapot\n"
    assert create(server, "cli-use").status_code == 418
    assert run("use", "instant", *here).startswith("the scenario is instant: Jobs have already completed")
    assert "did you mean 'fails'?" in run("use", "fial", *here, status=1)
    assert "gone.yaml: cannot be read" in run("use", "./gone.yaml", *here, status=2)
    assert run("reset", *here) == "world reset\n"
    assert create(server, "cli-use").json()["status"] == "queued"


def test_logs_print_and_follow_exchanges(server: ServerThread) -> None:
    here = ("--url", server.url, "--world", "cli-logs")
    create(server, "cli-logs")
    (line,) = run("logs", *here).splitlines()
    assert "POST /@cli-logs/v1/videos 200 queued 0 % task_" in line
    assert json.loads(run("logs", "--json", *here))["line"] == line
    assert json.loads(run("har", *here))["log"]["version"] == "1.2"
    following = subprocess.Popen(
        [sys.executable, "-u", "-m", "mockveo", "logs", "-f", *here],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN,
    )  # fmt: skip
    assert following.stdout is not None
    assert following.stdout.readline() == f"{line}\n"
    httpx.get(f"{server.url}/@cli-logs/nope")
    assert "GET /@cli-logs/nope 404 unknown_path" in following.stdout.readline()
    assert "the paths are POST /v1/videos" in following.stdout.readline()
    run("reset", *here)
    assert following.stdout.readline() == "--- world reset ---\n"
    following.send_signal(signal.SIGINT)
    _, errors = following.communicate(timeout=20)
    assert (following.returncode, errors) == (0, "")


def test_worlds_are_listed_and_reset_with_another_seed(server: ServerThread) -> None:
    here = ("--url", server.url, "--world", "cli-worlds")
    first = create(server, "cli-worlds").json()["id"]
    head, *lines = run("worlds", "--url", server.url).splitlines()
    assert head.split() == ["WORLD", "JOBS", "EXCHANGES", "SCENARIO"]
    assert ["/@cli-worlds", "1", "1", "normal"] in [line.split() for line in lines]
    run("reset", *here)
    assert create(server, "cli-worlds").json()["id"] == first
    run("reset", "--seed", "9", *here)
    assert create(server, "cli-worlds").json()["id"] != first


def test_scenario_files_are_checked(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("{ending: never, faults: [{delay: 1}]}")
    (tmp_path / "bad.yaml").write_text("{ending: no, faults: [{staus: 1}]}")
    good = str(tmp_path / "good.yaml")
    assert run("scenarios", "check", good) == f"{good}: 1 fault, ends in never\n"
    problem = run("scenarios", "check", str(tmp_path / "bad.yaml"), status=2)
    assert "ending is" in problem
    assert "faults[0].staus is not a key; did you mean 'status'?" in problem


def test_rules_are_listed_and_explained_with_why_and_how_to_fix_them() -> None:
    listed = run("rules").splitlines()
    assert [line.split()[0] for line in listed] == list(client_rules().rules)
    rule = client_rules().find("no-blind-retry")
    shown = run("explain", "no-blind-retry")
    assert shown.startswith("no-blind-retry (SHOULD)\n\n  A create whose answer")
    for text in (rule.description, rule.why, rule.example, rule.advice, rule.source, rule.page):
        assert f"\n  {text}\n" in shown
    assert "How to fix it\n" in shown


@pytest.mark.parametrize("columns", [50, 20])
def test_last_column_is_wrapped_on_a_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("short", "A sentence that is longer than a row of a narrow terminal."), ("and-longer", "Short.")]
    print_table(rows)
    assert capsys.readouterr().out.splitlines() == [f"short       {rows[0][1]}", "and-longer  Short."]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table(rows, ("NAME", "SAYS"))
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1]) == ("NAME        SAYS", "and-longer  Short.")
    assert len(lines) > 3
    assert all(line.startswith(" " * 12) for line in lines[2:-1])
    assert max(map(len, lines)) <= max(columns, 12 + 20)


def test_scenarios_are_listed_and_shown() -> None:
    listed = run("scenarios").splitlines()
    assert [line.split()[0] for line in listed] == [scenario.name for scenario in built_in()]
    assert run("scenarios", "show", "fails").startswith("summary: Jobs fail after a while")
    assert json.loads(run("scenarios", "schema")) == json.loads(SCHEMA.read_text())
    assert "did you mean 'fails'?" in run("scenarios", "show", "fial", status=2)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("jobs", "--url", "http://127.0.0.1:1"), 1, "there is no mockveo at http://127.0.0.1:1 ("),
        (
            ("jobs", "--url", "https://127.0.0.1"),
            2,
            "--url is 'https://127.0.0.1'; expected the root URL of a mockveo server, e.g.",
        ),
        (
            ("jobs", "--url", "http://127.0.0.1:x"),
            2,
            "--url is 'http://127.0.0.1:x'; expected the root URL of a mockveo",
        ),
        (("jobs", "--url", "http://[::1"), 2, "--url is 'http://[::1'; expected the root URL of a mockveo"),
        (("advance", "soon"), 2, "'soon' is not a duration; expected seconds"),
        (("advance", "-1"), 2, "'-1' is not a duration; expected seconds"),
    ],
)
def test_mistake_is_explained_with_an_example(arguments: tuple[str, ...], status: int, message: str) -> None:
    assert message in run(*arguments, status=status)


def test_base_url_leads_to_its_world(server: ServerThread) -> None:
    assert Remote(f"{server.url}/@based/v1").ask("GET", "/ready")["world"] == "based"
    assert Remote(f"{server.url}/@based").ask("GET", "/ready")["world"] == "based"
    assert Remote(server.url.removeprefix("http://")).ask("GET", "/ready")["world"] == ""
    assert Remote(server.base_url, "other").ask("GET", "/ready")["world"] == "other"


def test_server_that_is_not_a_mockveo_is_recognised() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(RemoteError, match="is not a mockveo: it answers b'<html>'"):
            Remote(f"http://127.0.0.1:{other.server_port}").ask("GET", "/jobs")
        other.shutdown()


@pytest.mark.parametrize("url", ["", "ftp://x", "https://api.cometapi.com/v1"])
def test_url_that_cannot_be_a_mockveo_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="expected the root URL of a mockveo"):
        Remote(url)
