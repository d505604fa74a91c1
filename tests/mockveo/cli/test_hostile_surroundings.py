"""Commands whose reader leaves, whose disk is full, whose locale is old, and which a signal ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from commands import CLEAN
from serve_process import run, running

MOCKVEO = [sys.executable, "-m", "mockveo"]
#: A key in a URL: a violation.
LEAK = Path(__file__).parents[2] / "data/har/x_key_in_url.har"


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "--help"], ["rules"], ["scenarios"]])
def test_reader_that_has_left_is_no_error(arguments: list[str], unread: int) -> None:
    done = subprocess.run(
        [*MOCKVEO, *arguments], stdout=unread, stderr=subprocess.PIPE, text=True, env=CLEAN, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_violation_counts_although_the_reader_has_left(unread: int) -> None:
    judged = [*MOCKVEO, "judge", str(LEAK)]
    done = subprocess.run(judged, stdout=unread, stderr=subprocess.PIPE, text=True, env=CLEAN, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_log_is_followed_until_its_reader_leaves(tmp_path: Path, unread: int) -> None:
    with running(tmp_path) as server:
        httpx.get(f"{server.url}/api/models")
        follow = [*MOCKVEO, "logs", "--follow", "--url", server.url]
        done = subprocess.run(
            follow, stdout=unread, stderr=subprocess.PIPE, text=True, env=CLEAN, timeout=30, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["rules"], ["--version"], ["check"], ["check", "--nope"], ["chec"]])
@pytest.mark.parametrize("full", [True, False])
def test_error_that_cannot_be_printed_is_an_exit_status_of_2(arguments: list[str], unread: int, *, full: bool) -> None:
    with Path("/dev/full").open("wb") as disk:
        streams = {"stdout": disk, "stderr": disk if full else unread}
        done = subprocess.run([*MOCKVEO, *arguments], **streams, env=CLEAN, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_interrupts_a_command_as_ctrl_c_does(number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [*MOCKVEO, "ready", "--url", f"http://127.0.0.1:{silent.getsockname()[1]}"]
        waiting = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=CLEAN)
        silent.accept()[0].close()  # so it runs
        waiting.send_signal(number)
        assert waiting.communicate(timeout=30) == (None, "mockveo: interrupted\n")
    assert waiting.returncode == 2


def test_terminal_that_is_closed_stops_the_server_cleanly(tmp_path: Path) -> None:
    with running(tmp_path, "--quiet") as server:
        assert server.stop(signal.SIGHUP) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_server_under_nohup_survives_its_terminal(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with running(tmp_path, "--quiet") as server:
            server.process.send_signal(signal.SIGHUP)
            assert httpx.get(f"{server.url}/api/models").status_code == 200
            assert server.stop() == (0, "", "")
    finally:
        signal.signal(signal.SIGHUP, before)


def test_directory_that_was_removed_is_explained(tmp_path: Path) -> None:
    gone = ["sh", "-c", 'cd "$1" && rmdir "$1" && shift && exec "$@"', "sh", str(tmp_path), *MOCKVEO]
    command = [*gone, "report", str(LEAK), "--as", "html=report.html"]
    done = subprocess.run(command, capture_output=True, text=True, env=CLEAN, check=False)
    assert done.returncode == 2
    assert done.stderr == "mockveo: the working directory does not exist; expected one that does, e.g. cd ..\n"


def test_file_name_beyond_the_locale_is_explained(tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text("def client(case):\n    raise SystemExit\nclient.features = {'images': 2}\n")
    old = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(tmp_path)}
    done = run("check", "--python", "client:client", "--case", "image/name-not-ascii", "--generated", "0", **old)
    assert done.returncode == 2
    assert "cannot be written in ascii, the encoding of this locale; expected UTF-8, e.g. PYTHONUTF8=1" in done.stderr
    assert "Traceback" not in done.stderr
