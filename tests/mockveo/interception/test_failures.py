"""What goes wrong with a run: each says what to do, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from commands import CLEAN
from installed_clients import tool
from run_program import RUN, as_ordinary_user, processes_with, run_program, wait_for

from mockveo.interception.sandbox import kernel

#: A client that trusts nothing, as one does that pins a certificate.
PINNING = (
    "import ssl, urllib.request as r\n"
    "r.urlopen('https://api.cometapi.com/', context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))"
)


def test_pinned_certificate_is_recognised_with_the_variable_of_the_runtime() -> None:
    done = run_program("--", sys.executable, "-c", PINNING)
    assert done.returncode == 1
    assert "the program refused 1 TLS handshake, because it does not trust our certificate" in done.stderr
    assert "The variable of its runtime is SSL_CERT_FILE" in done.stderr


@pytest.mark.slow
def test_client_that_leaves_without_an_alert_is_recognised() -> None:
    script = "require('https').get({host: 'api.cometapi.com', ca: []}).on('error', () => process.exit(4))"
    done = run_program("--", tool("node"), "-e", script)
    assert done.returncode == 4
    assert "the program closed 1 TLS connection without a request" in done.stderr
    assert "NODE_OPTIONS=--use-openssl-ca" in done.stderr


@pytest.mark.slow
def test_client_of_http_2_only_is_recognised() -> None:
    done = run_program("--", tool("curl"), "-sS", "--http2-prior-knowledge", "http://api.cometapi.com/v1/models")
    assert done.returncode != 0
    assert "a client speaks HTTP/2 without asking; expected HTTP/1.1" in done.stderr


@pytest.mark.slow
def test_port_that_is_taken_is_explained_if_it_was_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_program("--port", port, "--", "true")
    assert (done.returncode, f"port {port} of 127.0.0.1 is taken" in done.stderr) == (2, True)


def refuse_user_namespaces(user: int = 1000) -> None:
    """Enter a user namespace as a user, in which no further ones are allowed."""
    outside_user, outside_group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {outside_user} 1")
    Path("/proc/self/gid_map").write_text(f"{user} {outside_group} 1")
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    kernel.bring_loopback_up()


def test_refused_namespaces_are_explained_and_landlock_takes_over() -> None:
    done = run_program("--", tool("curl"), "-sS", "https://api.cometapi.com/v1/models", preexec=refuse_user_namespaces)
    assert done.returncode == 0, done.stderr
    assert "isolated by landlock, in part" in done.stderr
    assert "no namespace: user namespaces are switched off; `sudo sysctl user.max_user_namespaces=10000`" in done.stderr


@pytest.mark.slow
def test_required_proof_that_cannot_be_had_stops_the_program() -> None:
    done = run_program("--require-proof", "--", "echo", "ran", preexec=refuse_user_namespaces)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the program was not run, because it cannot be isolated as asked: namespace: user namespaces" in done.stderr


@pytest.mark.slow
def test_root_does_without_user_namespaces_and_drops_the_means_to_leave() -> None:
    script = "curl -sS https://api.cometapi.com/v1/models; grep CapEff /proc/self/status; cat /proc/net/dev"
    done = run_program("--", "sh", "-c", script, preexec=lambda: refuse_user_namespaces(user=0))
    assert done.returncode == 0, done.stderr
    assert "invalid token" in done.stdout
    effective = int(done.stdout.partition("CapEff:")[2].split()[0], 16)
    assert not effective & (1 << 21), "CAP_SYS_ADMIN is left"
    assert "no route leads out" in done.stderr


def test_ordinary_user_keeps_its_id_and_needs_no_rights() -> None:
    script = "id -u; curl -sS https://api.cometapi.com/v1/models; grep CapEff /proc/self/status"
    done = run_program("--", "sh", "-c", script, prefix=as_ordinary_user())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert lines[0] == (str(os.geteuid()) if os.geteuid() else "54321")
    assert int(lines[-1], 16) == 0
    assert "by the kernel" in done.stderr


def started(tmp_path: Path, script: str, *options: str) -> subprocess.Popen[str]:
    """Start a shell script that makes the file `ready` once it runs."""
    command = [*RUN, *options, "--", "sh", "-c", script]
    process = subprocess.Popen(command, cwd=tmp_path, env=CLEAN, stdout=subprocess.PIPE, text=True)
    wait_for((tmp_path / "ready").exists)
    return process


def leftovers(marker: str) -> list[str]:
    names = [path.name for path in Path(tempfile.gettempdir()).glob("mockveo-run-*") if marker in path.name]
    return [*names, *processes_with(marker)]


@pytest.mark.parametrize("isolation", ["namespace", pytest.param("landlock", marks=pytest.mark.slow)])
def test_killed_run_leaves_no_process_and_no_file(isolation: str, tmp_path: Path) -> None:
    marker = f"sleep 61.{os.getpid()}"
    script = f"(setsid {marker} &) ; echo $SSL_CERT_FILE; touch ready; {marker}"
    process = started(tmp_path, script, "--isolate", isolation)
    assert process.stdout is not None
    certificate = Path(process.stdout.readline().strip())
    assert certificate.exists()
    assert len(processes_with(marker)) >= 2
    process.kill()
    process.wait()
    process.stdout.close()
    wait_for(lambda: not processes_with(marker))
    wait_for(lambda: not certificate.parents[1].exists())


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_signal_reaches_the_program_once_which_decides(number: signal.Signals, tmp_path: Path) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo caught; exit 9' {name}; touch ready; while :; do sleep 0.05; done"
    process = started(tmp_path, script)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert (process.returncode, output) == (9, "caught\n")


@pytest.mark.slow
def test_signal_to_the_whole_group_reaches_the_program_once(tmp_path: Path) -> None:
    code = (
        "import pathlib, signal, time\ncount = []\n"
        "signal.signal(signal.SIGINT, lambda *_: count.append(1))\npathlib.Path('ready').touch()\n"
        "while not count: time.sleep(0.02)\ntime.sleep(1)\nraise SystemExit(40 + len(count))"
    )
    command = [*RUN, "--", sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=tmp_path, env=CLEAN, start_new_session=True)
    wait_for((tmp_path / "ready").exists)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) == 41


@pytest.mark.slow
def test_killed_supervisor_ends_the_program_and_is_explained(tmp_path: Path) -> None:
    marker = f"sleep 62.{os.getpid()}"
    process = started(tmp_path, f"touch ready; {marker}; true")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == 2
    wait_for(lambda: not processes_with(marker))


@pytest.mark.slow
def test_run_is_watched_from_outside(tmp_path: Path) -> None:
    script = "curl -sS https://api.cometapi.com/v1/models; touch ready; while [ ! -e over ]; do sleep 0.05; done"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    process = started(tmp_path, script, "--port", port)
    command = [sys.executable, "-m", "mockveo", "logs", "--url", f"http://127.0.0.1:{port}"]
    logs = subprocess.run(command, env=CLEAN, capture_output=True, text=True, timeout=60, check=False)
    (tmp_path / "over").touch()
    process.communicate(timeout=20)
    assert (process.returncode, logs.returncode) == (0, 0), logs.stderr
    assert "GET /v1/models 401" in logs.stdout


@pytest.mark.slow
def test_program_that_is_killed_ends_the_run_as_in_a_shell() -> None:
    assert run_program("--", "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


@pytest.mark.slow
def test_closed_pipe_ends_the_program_as_without_us() -> None:
    command = " ".join([*RUN, "--quiet", "--", "yes"])
    script = f"set -o pipefail; {command} | head -1"
    done = subprocess.run(["bash", "-c", script], env=CLEAN, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (128 + signal.SIGPIPE, "y\n")
    assert "Traceback" not in done.stderr
