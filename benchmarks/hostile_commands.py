"""The rows of `benchmarks/hostile.py` about commands: hostile files, clients under check, servers under verify."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from hostile_server import ROOT, form, request, row, served

MOCKVEO: Final = [sys.executable, "-m", "mockveo"]
CANARY: Final = "sk-Canary0123456789abcdef"
_ENVIRONMENT: Final = {**os.environ, "COMETAPI_KEY": CANARY, "PYTHONPATH": str(ROOT)}
FORMATS: Final = ("json", "junit", "html", "sarif", "github", "har")

#: Client programs that misbehave, each as a program of Python.
HOSTILE_CLIENTS: Final = (
    "import sys\nwhile True: sys.stdout.write('x' * 65536)",
    "import sys\nwhile True: sys.stderr.write('x' * 65536)",
    "import sys\nwhile True: print('{}', flush=True)",
    "import time; time.sleep(60)",
    "import os; os.close(0); os.close(1); os.close(2)",
    "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
    "print('[' * 100000)",
    "print('x' * 100_000_000)",
    "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000)",
    'print(\'{"type": "hello", "protocol": 1, "name": "\' + \'n\' * 15_000_000 + \'"}\')',
    'print(\'{"type": "hello", "protocol": 1, "name": "\\\\ud800\\x1b[2J"}\')',
    'print(\'{"type": "result", "id": "gone", "outcome": "completed"}\' * 1)',
    "import subprocess\nfor _ in range(20): subprocess.Popen(['sleep', '60'])",
    "raise SystemExit('failed \\x1b]0;pwned\\x07')",
)


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command."""
    return subprocess.run(
        [*MOCKVEO, *arguments], capture_output=True, check=False, cwd=ROOT, env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL, timeout=300, **options,
    )  # fmt: skip


def _faults(done: subprocess.CompletedProcess[bytes]) -> int:
    text = done.stdout + done.stderr
    return (b"Traceback" in text) + (b"bug of mockveo" in text)


@row("1h", "tracebacks of judge for 150 HAR files of wrong types", 0, "", "14 of 552")
def hostile_har() -> float:
    """Return the number."""
    with served("--no-render", "--quiet", "--clock", "poll") as server:
        server.ask(request("POST", "/v1/videos", form(prompt="p")))
        server.ask(*[request("GET", "/v1/videos/x")] * 2)
        har = json.loads(server.ask(request("GET", "/_mockveo/journal.har"))[0].partition(b"\r\n\r\n")[2])
    chance, odd = random.Random(1), ("null", "[]", "{}", "-1", "1e300", '"x"', "true", "[[]]", '{"a": {}}')
    from click.testing import CliRunner

    from mockveo.cli.main import main

    count = 0
    with tempfile.TemporaryDirectory() as directory:
        for number in range(150):
            path = Path(directory) / f"{number}.har"
            path.write_text(json.dumps(_mutated(har, chance, odd)), encoding="utf-8")
            done = CliRunner().invoke(main, ["judge", str(path)])
            count += "bug of mockveo" in done.output or not isinstance(done.exception, SystemExit | None)
    return count


def _mutated(tree: Any, chance: random.Random, odd: tuple[str, ...]) -> Any:
    """Return JSON with some of its values replaced by odd ones, written as JSON."""
    tree = json.loads(json.dumps(tree))
    for _ in range(chance.choice((1, 1, 2, 5))):
        holder: Any = [tree]
        key: Any = 0
        while isinstance(holder[key], dict | list) and holder[key] and chance.random() < 0.85:
            holder = holder[key]
            key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        holder[key] = json.loads(chance.choice(odd))
    return tree


@row("1i", f"tracebacks of check for {len(HOSTILE_CLIENTS)} hostile programs, and statuses but 1 and 2", 0, "", "0")
def hostile_clients() -> float:
    """Return the number."""
    options = ["check", "--case", "poll/503", "--quiet", "--"]
    done = [run(*options, sys.executable, "-c", program) for program in HOSTILE_CLIENTS]
    return sum(_faults(end) + (end.returncode not in (1, 2)) for end in done)


@row("1i", "most bytes that check prints of one of them", 100_000, "bytes", "15,000,000")
def hostile_client_output() -> float:
    """Return the number, of a client with a name of 15 MB."""
    done = run("check", "--case", "poll/503", "--quiet", "--", sys.executable, "-c", HOSTILE_CLIENTS[11])
    return len(done.stdout + done.stderr)


@contextmanager
def hostile_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Start a server that reads a head and then does as it likes; yield its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(2**16)
            answer(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10000000000\r\n\r\n")
    while True:
        connection.sendall(b"x" * 2**16)


def _dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        time.sleep(0.5)
        connection.sendall(b"x")


def _verified(answer: Callable[[socket.socket], None], *options: str) -> tuple[float, float]:
    """Return the peak of memory in MB and the seconds of a verification."""
    with hostile_server(answer) as url:
        begun = time.perf_counter()
        command = [*MOCKVEO, "verify", url, "--examples", "0", "--histories", "0", "--quiet", *options]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, env=_ENVIRONMENT
        )
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        return usage.ru_maxrss / 1024, time.perf_counter() - begun


@row("1j", "peak of verify of a server whose bodies do not end; a clip may have 128 MB", 350, "MB", "771 and growing")
def endless_bodies() -> float:
    """Return MB."""
    return _verified(_endless)[0]


@row("1j", "verify of a server that drips its bodies, with --max-seconds 20, and 10 more", 35, "s", "hours")
def dripped_bodies() -> float:
    """Return seconds."""
    return _verified(_dripping, "--max-seconds", "20")[1]


def _take_interrupts() -> None:
    """Undo what a shell does for programs in the background: they ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@row("1j", "ways to interrupt verify that leave no report, or end with another status than 2", 0, "", "2 of 2")
def interrupted_verify() -> float:
    """Return the number, of SIGINT and SIGTERM."""
    wrong = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        with tempfile.TemporaryDirectory() as directory, served("--quiet", "--speed", "1") as server:
            report = Path(directory) / "report.json"
            command = [*MOCKVEO, "verify", f"http://127.0.0.1:{server.port}", "--report", f"json={report}"]
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_ENVIRONMENT,
                preexec_fn=_take_interrupts,  # noqa: PLW1509
            )  # fmt: skip
            time.sleep(4)
            process.send_signal(number)
            wrong += process.wait(60) != 2 or not report.exists()
    return wrong


def _outputs(directory: Path, *arguments: str) -> list[bytes]:
    reports = [part for kind in FORMATS for part in ("--report", f"{kind}={directory / kind}")]
    done = run(arguments[0], *reports, *arguments[1:])
    assert done.returncode == 1, done.stderr
    return [done.stdout, done.stderr, *((directory / kind).read_bytes() for kind in FORMATS)]


@row("5d", "outputs of a server that show a key that a request has in 6 places", 0, "", "6 places")
def keys_of_requests() -> float:
    """Return the number, of log, journal, HAR, findings, jobs, cases, metrics and pages."""
    with tempfile.TemporaryFile() as log, served("--no-render", "--metrics", stdout=log) as server:
        create = form(prompt=f"my {CANARY}", api_key=CANARY, model=CANARY)
        headers = (f"X-Foo: {CANARY}", f"User-Agent: x {CANARY}", f"Referer: http://a/?k={CANARY}")
        server.ask(
            request("POST", f"/v1/videos?x={CANARY}", create, *headers, key=CANARY),
            request("GET", f"/v1/videos/{CANARY}", b"", *headers, key=CANARY),
        )
        paths = ("jobs", "journal", "journal.har", "findings", "bill", "journal/1/case", "metrics", "", "scenario")
        outputs = [server.ask(request("GET", f"/_mockveo/{path}", key="sk-another"))[0] for path in paths]
        time.sleep(0.5)
        log.seek(0)
        return sum(CANARY.encode() in output for output in [*outputs, log.read()])


@row("5e", "outputs of check and verify that show a key, printed by the client, echoed by the server", 0, "", "0")
def keys_of_commands() -> float:
    """Return the number, of 16 outputs."""
    client = "import os, sys; print({k: v for k, v in os.environ.items() if 'KEY' in k}, file=sys.stderr); sys.exit(1)"
    body = json.dumps({"id": CANARY, "error": {"code": CANARY, "message": f"no {CANARY}"}}).encode()
    answer = b"HTTP/1.1 400 x\r\nX-Echo: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"

    def echo(connection: socket.socket) -> None:
        connection.sendall(answer % (CANARY.encode(), len(body), body))

    with (
        tempfile.TemporaryDirectory() as checked,
        tempfile.TemporaryDirectory() as verified,
        hostile_server(echo) as url,
    ):
        check = ["check", "--mode", "run", "--case", "poll/503", "--", sys.executable, "-c", client]
        verify = ["verify", url, "--examples", "0", "--histories", "0", "--max-seconds", "20"]
        outputs = _outputs(Path(checked), *check) + _outputs(Path(verified), *verify)
    return sum(CANARY.encode() in output for output in outputs)


@row("5j", "files of others that --ready-file and save replace or leave readable", 0, "", "1")
def files_of_others() -> float:
    """Return the number."""
    with tempfile.TemporaryDirectory() as directory, served("--quiet") as server:
        precious = Path(directory) / "precious.txt"
        precious.write_text("precious", encoding="utf-8")
        run("serve", "--port", "0", "--ready-file", str(precious))
        world = Path(directory) / "world.json"
        world.touch(mode=0o644)
        run("save", str(world), "--url", f"http://127.0.0.1:{server.port}")
        return (precious.read_text(encoding="utf-8") != "precious") + (world.stat().st_mode & 0o077 != 0)


@row(
    "6", "what kill -9 of a server and of a check leaves after the next start", 0, "", "a file, a directory, processes"
)
def left_by_kill() -> float:
    """Return the number of ready files that name a dead process, and of directories."""
    with tempfile.TemporaryDirectory() as directory:
        ready, place = Path(directory) / "ready.json", {**_ENVIRONMENT, "TMPDIR": directory}
        commands = (
            ["serve", "--quiet", "--port", "0", "--ready-file", str(ready)],
            ["check", "--case", "poll/503", "--", sys.executable, "-c", "import time; time.sleep(100)"],
        )
        for kill in (True, False):
            processes = [
                subprocess.Popen([*MOCKVEO, *command], stdout=-3, stderr=-3, env=place) for command in commands
            ]
            time.sleep(4)
            for process in processes:
                process.kill() if kill else process.terminate()
                process.wait(30)
        return len(list(Path(directory).iterdir()))
