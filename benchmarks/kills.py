"""Kill servers and their store at random moments: `python benchmarks/kills.py --kills 1000`. Linux only.

Clients create and poll all the time. After each kill every job whose create was answered has to be there, once, and the
store has to be whole. Kills are of the only process with a file, of a worker, of the supervisor's workers with a Redis,
and of a Redis that writes each change (appendfsync always).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

BOUNDARY = "b"
FORM = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="prompt"\r\n\r\np\r\n--{BOUNDARY}--\r\n'.encode()
HEADERS = {"Authorization": "Bearer sk-test", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
CLIENTS = 3
#: Longest time between two kills.
MAX_LIFE_S = 0.3
#: Time after which a server is taken for dead. Arbitrary: far longer than a start on a busy machine.
LONGEST_START_S = 60.0


def free_port() -> int:
    """Return an unused port, none of those that clients get: one would connect to itself while the server is away."""
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return the status and the body of an answer. Raises OSError or HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body, HEADERS)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait(port: int) -> float:
    """Return the seconds until a server answers a poll. Raises SystemExit if it never does."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < LONGEST_START_S:
        with suppress(OSError, http.client.HTTPException):
            if ask(port, "GET", "/v1/models")[0] == 200:
                return time.perf_counter() - begun
        time.sleep(0.002)
    raise SystemExit(f"no answer within {LONGEST_START_S} s after a kill")


class Creators:
    """Clients that create jobs, and note those that were acknowledged."""

    def __init__(self, port: int) -> None:
        self.ids: list[str] = []
        self._port, self._stopped = port, threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                status, body = ask(self._port, "POST", "/v1/videos", FORM)
                if status == 200:
                    self.ids.append(json.loads(body)["id"])
            except (OSError, http.client.HTTPException):
                time.sleep(0.005)

    def stop(self) -> None:
        """End the clients."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()


@dataclass
class Result:
    """What a row of the table counts."""

    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    broken: int = 0
    restarts: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        """Return the row."""
        median = statistics.median(self.restarts) if self.restarts else 0.0
        longest = max(self.restarts, default=0.0)
        counts = f"{self.kills:>6}{self.acknowledged:>14}{self.lost:>6}{self.twice:>7}{self.broken:>8}"
        return f"{name:<34}{counts}{median:>12.2f}{longest:>12.2f}"


def serve(port: int, *more: str) -> subprocess.Popen[bytes]:
    """Start a server."""
    command = [sys.executable, "-m", "mockveo", "serve", "--port", str(port), "--no-render", "--quiet", *more]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def check(port: int, ids: list[str], result: Result) -> None:
    """Compare what is there with what was acknowledged, and print the answers that are not what was expected."""
    result.acknowledged = len(ids)
    for job_id in ids:
        # One of the workers may still be in its pause after the last failure.
        while (answer := ask(port, "GET", f"/v1/videos/{job_id}"))[0] == 503:
            time.sleep(0.01)
        if answer[0] != 200:
            result.lost += 1
            print(f"lost: {job_id}: {answer[0]} {answer[1][:300]!r}", file=sys.stderr, flush=True)
    result.twice = len(ids) - len(set(ids))


def kill_often(port: int, kills: int, kill: Callable[[random.Random], float], dice: random.Random) -> Result:
    """Kill under load, and check at the end."""
    result, creators = Result(), Creators(port)
    for _ in range(kills):
        time.sleep(dice.random() * MAX_LIFE_S)
        result.restarts.append(kill(dice))
        result.kills += 1
    creators.stop()
    wait(port)
    check(port, creators.ids, result)
    return result


def only_process(directory: Path, kills: int, dice: random.Random) -> Result:
    """Kill the only process, which keeps its worlds in a file."""
    port, file = free_port(), directory / "mockveo.db"
    server = [serve(port, "--store", str(file))]
    wait(port)

    def kill(_: random.Random) -> float:
        server[0].kill()
        server[0].wait()
        server[0] = serve(port, "--store", str(file))
        return wait(port)

    result = kill_often(port, kills, kill, dice)
    server[0].terminate()
    server[0].wait()
    with sqlite3.connect(file) as connection:
        result.broken = int(connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)])
    return result


def wait_for_port(port: int) -> None:
    """Wait until a program listens."""
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def redis(directory: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a Redis that writes each change before it answers."""
    options = ["--dir", str(directory), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    command = [str(shutil.which("redis-server")), "--port", str(port), "--bind", "127.0.0.1", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def shared(directory: Path, kills: int, dice: random.Random, *, of_redis: bool) -> Result:
    """Kill workers that share a Redis, or the Redis."""
    port, store_port = free_port(), free_port()
    store = [redis(directory, store_port)]
    url = f"redis://127.0.0.1:{store_port}/0"
    wait_for_port(store_port)
    server = serve(port, "--store", url, "--workers", "2")
    wait(port)

    def kill_worker(dice: random.Random) -> float:
        workers = children(server.pid)
        if workers:
            with suppress(ProcessLookupError):
                os.kill(dice.choice(workers), signal.SIGKILL)
        return wait(port)

    def kill_redis(_: random.Random) -> float:
        store[0].kill()
        store[0].wait()
        store[0] = redis(directory, store_port)
        return wait(port)

    result = kill_often(port, kills, kill_redis if of_redis else kill_worker, dice)
    server.terminate()
    server.wait()
    store[0].terminate()
    store[0].wait()
    return result


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--kills", type=int, default=1000, help="in all; default: 1000")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", choices=("file", "worker", "redis"), help="one row of the table, with all kills")
    chosen = options.parse_args()
    dice, share = random.Random(chosen.seed), chosen.kills if chosen.only else chosen.kills // 4
    counts = f"{'kills':>6}{'acknowledged':>14}{'lost':>6}{'twice':>7}{'broken':>8}"
    print(f"{'killed':<34}{counts}{'median s':>12}{'longest s':>12}")
    rest = chosen.kills if chosen.only else chosen.kills - 2 * share
    rows: dict[str, tuple[str, Callable[[Path], Result]]] = {
        "file": ("the only process, SQLite", lambda place: only_process(place, rest, dice)),
        "worker": ("one of 2 workers, Redis", lambda place: shared(place, share, dice, of_redis=False)),
        "redis": ("the Redis of 2 workers", lambda place: shared(place, share, dice, of_redis=True)),
    }
    for name, run in [row for kind, row in rows.items() if chosen.only in (None, kind)]:
        with tempfile.TemporaryDirectory() as directory:
            print(run(Path(directory)).row(name), flush=True)


if __name__ == "__main__":
    main()
