"""What a program may reach besides the fake, and what it is given."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from installed_clients import tool
from run_program import run_program

#: A key in the form of the real service, but made up.
REAL_KEY = "sk-" + "a1B2c3D4" * 4


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server on this machine's loopback that says what it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"echo " + connection.recv(100))

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def say(host: str, port: int) -> list[str]:
    """Return a program that says hello to a port and prints the answer."""
    code = (
        f"const s = require('net').connect({port}, '{host}', () => s.write('hello'));"
        "s.on('data', (data) => console.log(String(data))); s.on('error', (e) => console.log(e.code))"
    )
    return [tool("node"), "-e", code]


def report_of(tmp_path: Path, *arguments: str, **env: str) -> tuple[str, dict[str, Any]]:
    path = tmp_path / "run.json"
    done = run_program("--report", f"json={path}", *arguments, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text())


def test_local_port_is_carried_in_and_counted(echo_port: int, tmp_path: Path) -> None:
    output, report = report_of(tmp_path, "--local", str(echo_port), "--", *say("127.0.0.1", echo_port))
    assert output == "echo hello\n"
    traffic = {"connections": 1, "sent": 5, "received": 10, "failed": 0}
    assert report["proof"]["holes"] == {f"--local {echo_port}": traffic}
    assert report["proof"]["level"] == "kernel"


@pytest.mark.slow
def test_local_port_without_the_flag_is_closed(echo_port: int, tmp_path: Path) -> None:
    output, _ = report_of(tmp_path, "--", *say("127.0.0.1", echo_port))
    assert output == "ECONNREFUSED\n"


def test_keys_and_proxies_are_replaced_and_named(tmp_path: Path) -> None:
    names = {"OPENAI_API_KEY": REAL_KEY, "COMETAPI_KEY": REAL_KEY, "OTHER": REAL_KEY, "SOME_API_KEY": "x" * 20}
    output, report = report_of(tmp_path, "--", "env", **names, HTTPS_PROXY="http://proxy.corp:3128", NO_PROXY="corp")
    variables = dict(line.partition("=")[::2] for line in output.splitlines())
    assert REAL_KEY not in output
    assert {variables[name] for name in names} == {"sk-mockveo"}
    assert not {"HTTPS_PROXY", "NO_PROXY"} & set(variables)
    assert report["replaced_proxies"] == ["HTTPS_PROXY", "NO_PROXY"]
    assert set(report["replaced_keys"]) == set(names)


@pytest.mark.slow
def test_keys_are_kept_if_that_is_asked_for(tmp_path: Path) -> None:
    output, _ = report_of(tmp_path, "--keep-key", "--", "env", COMETAPI_KEY=REAL_KEY)
    assert f"COMETAPI_KEY={REAL_KEY}\n" in output


def test_real_key_that_arrives_is_a_finding_without_the_key(tmp_path: Path) -> None:
    command = [tool("curl"), "-sS", "-H", f"Authorization: Bearer {REAL_KEY}", "https://api.cometapi.com/v1/models"]
    _, report = report_of(tmp_path, "--", *command)
    findings = [finding for finding in report["findings"] if finding["rule"] == "real-key"]
    assert len(findings) == 1
    assert "a key arrived that is not the fake one (key " in findings[0]["message"]
    assert REAL_KEY not in json.dumps(report)


#: Makes a job, and prints where its video is and how that begins.
FETCHING = """
import json, time, urllib.parse, urllib.request
def ask(url, data=None):
    request = urllib.request.Request(url, data, {"Authorization": "Bearer sk-x"})
    return urllib.request.urlopen(request).read()
form = urllib.parse.urlencode({"prompt": "kite", "model": "m1"}).encode()
video = json.loads(ask("http://api.cometapi.com/v1/videos", form))
while video["status"] != "completed":
    time.sleep(0.05)
    video = json.loads(ask(f"https://api.cometapi.com/v1/videos/{video['id']}"))
print(video["video_url"], urllib.request.urlopen(video["video_url"]).read()[4:8])
print(json.loads(ask("https://api.openai.com/v1/models"))["object"])
"""


@pytest.mark.slow
def test_further_hosts_are_played_and_videos_come_from_another_origin() -> None:
    options = ["--host", "api.openai.com", "--speed", "300", "--profile", "docs-2026-10", "--model", "m1"]
    done = run_program(*options, "--", sys.executable, "-c", FETCHING)
    assert done.returncode == 0, done.stderr
    url, beginning, last = done.stdout.split()
    assert url.startswith("https://videos.mockveo.test/videos/")
    assert (beginning, last) == ("b'ftyp'", "list")
    assert "api.openai.com models 1" in done.stderr
    assert "videos.mockveo.test delivery 1" in done.stderr
