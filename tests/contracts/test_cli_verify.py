"""`mockveo verify`, as a user runs it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from commands import CLEAN

import mockveo
from mockveo.server.run import ServerThread

QUICK = ("--examples", "0", "--histories", "0")


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mockveo", "verify", *arguments],
        capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        env={name: value for name, value in CLEAN.items() if not name.startswith("COMETAPI_")} | env,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with mockveo.serve(render=False) as running:
        yield running


def test_verify_finds_nothing_in_mockveo(server: ServerThread) -> None:
    before = len(server.app.worlds)
    done = run(server.url, "--examples", "3", "--histories", "2", "--quiet")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"mockveo [\d.]+: \d+ cases \(\+\d+ generated\) in [\d.]+ s: nothing is broken.*", last), last
    assert len(server.app.worlds) <= before + 1
    assert len(server.app.world.journal) == 0


def test_verify_of_a_broken_server_writes_every_report(tmp_path: Path) -> None:
    kinds = ("json", "junit", "html", "sarif", "github", "har")
    reports = [part for kind in kinds for part in ("--report", f"{kind}={tmp_path / kind}")]
    with mockveo.serve(render=False, scenario="stuck-at-99") as broken:
        done = run(broken.url, *QUICK, "--only", "job/text-only", "--quiet", *reports)
        assert (done.returncode, done.stderr) == (1, "")
        assert "VIOLATION  job-ends (MUST)" in done.stdout
        (again,) = {line.split("again")[-1].strip() for line in done.stdout.splitlines() if "mockveo verify" in line}
        assert run(*again.split()[2:], *QUICK).returncode == 1
        (curl,) = [line.strip() for line in done.stdout.splitlines() if "curl" in line and "POST" in line][:1] or [""]
        assert "$COMETAPI_KEY" in done.stdout or curl
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kinds)
    report = json.loads((tmp_path / "json").read_text())
    assert {finding["rule"] for finding in report["findings"]} == {"job-ends"}
    assert report["exit_status"] == 1


def test_verify_shows_the_key_nowhere(tmp_path: Path) -> None:
    key = "sk-must-stay-hidden"
    reports = [part for kind in ("json", "html", "har") for part in ("--report", f"{kind}={tmp_path / kind}")]
    with mockveo.serve(render=False, scenario="stuck-at-99", key=key) as broken:
        done = run(broken.url, *QUICK, *reports, COMETAPI_KEY=key)
    assert done.returncode == 1
    shown = [done.stdout, done.stderr, *(path.read_text() for path in tmp_path.iterdir())]
    assert not any(key in text for text in shown)


def test_verify_with_known_failures_passes_until_they_are_stale(tmp_path: Path) -> None:
    known_failures = tmp_path / "known.txt"
    known_failures.write_text("job-ends job/*  # as we know\n")
    with mockveo.serve(render=False, scenario="stuck-at-99") as broken:
        arguments = (*QUICK, "--only", "job/text-only", "--known", str(known_failures))
        assert run(broken.url, *arguments).returncode == 0
    known_failures.write_text("id-unique job/text-only\n")
    with mockveo.serve(render=False) as right:
        assert run(right.url, *arguments).returncode == 3


def test_list_and_dry_run_send_nothing(server: ServerThread) -> None:
    for arguments in (("--dry-run",), ("--list",)):
        before = len(server.app.worlds)
        done = run(server.url, *QUICK, *arguments)
        assert done.returncode == 0, done.stderr
        assert "job/text-only" in done.stdout
        assert len(server.app.worlds) == before
    assert "POST" in run("https://api.example.com", *QUICK, "--dry-run").stdout
    listed = run(server.url, *QUICK, "--list").stdout.splitlines()
    assert all(re.fullmatch(r"\S+  +\S.*\.", line) for line in listed)


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (("https://api.example.com",), {}, "COMETAPI_KEY is missing; expected a key of https://api.example.com"),
        (("https://api.example.com",), {"COMETAPI_KEY": "sk-x"}, "creates up to 5 jobs at .*; expected --yes"),
        (("https://api.example.com", "--max-jobs", "2"), {"COMETAPI_KEY": "sk-x"}, "up to 2 jobs"),
        (("http://127.0.0.1:9",), {}, "no server answers at http://127.0.0.1:9"),
        (("http://127.0.0.1:9", "--only", "job/txt"), {}, "no check is named 'job/txt'; did you mean 'job/text-only'?"),
        (("http://127.0.0.1:9", "--profile", "docs"), {}, "docs-2026-03"),
        (("ftp://127.0.0.1:9",), {}, "ftp"),
        (("http://127.0.0.1:9", "--report", "jason=x"), {}, "did you mean 'json'"),
    ],
)  # fmt: skip
def test_mistake_of_verify_is_explained_in_one_line(
    arguments: tuple[str, ...], env: dict[str, str], message: str
) -> None:
    done = run(*arguments, *QUICK, "--quiet", **env)
    assert done.returncode == 2
    assert re.search(message, done.stderr + done.stdout)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("typed", [b"n\n", b"\x04"], ids=["no", "end"])
def test_verify_asks_before_it_creates_jobs_that_cost_money(typed: bytes) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mockveo", "verify", "https://api.example.com", *QUICK, "--quiet"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN | {"COMETAPI_KEY": "sk-x"},
    )  # fmt: skip
    os.write(ours, typed)
    out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 2
    assert "this creates up to 5 jobs at https://api.example.com, and each may cost money. Continue? [y/N]" in err
    assert "nothing was sent" in err
    assert out == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_verify_reports_what_it_has(number: int, tmp_path: Path) -> None:
    report, hangs, released = tmp_path / "report.json", threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/v1/models":
                hangs.set()
                released.wait(60)
            body = b'{"code": "task_not_exist", "message": "no such task"}'
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(BrokenPipeError):
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        options = (*QUICK, "--quiet", "--only", "auth/bad-key", "--report", f"json={report}")
        process = subprocess.Popen(
            [sys.executable, "-m", "mockveo", "verify", f"http://127.0.0.1:{server.server_port}", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN | {"COMETAPI_KEY": "sk-ours"},
        )  # fmt: skip
        assert hangs.wait(30)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        released.set()
        server.shutdown()
    assert (process.returncode, err) == (2, "")
    data = json.loads(report.read_text())
    assert data["aborted"] == "it was interrupted after 2 requests; 0 jobs made"
    assert [finding["rule"] for finding in data["findings"]]


@pytest.mark.parametrize("url", ["https://api.example.com", "http://127.0.0.1:9", "http://user@127.0.0.1:9"])
def test_upstream_that_is_no_mockveo_here_is_refused_before_the_first_request(url: str) -> None:
    result = run("http://127.0.0.1:9", *QUICK, "--upstream", url)
    assert (result.returncode, result.stdout) == (2, "")
    assert "; expected " in result.stderr
    assert ", e.g. " in result.stderr
