"""What stores and workers cost, and how that grows: `python benchmarks/scale.py`. Linux only; needs redis-server.

CPU time is that of all processes of the server, without the Redis, whose own is a column. A conflict is a commit that
has to be made again because another process was first. `--jobs` says how many jobs a store holds in the second table.
Compare rows of one run, not the figures of different machines.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import redis
from serve import form, free_port, hammer, once, request

import mockveo
from mockveo.console.foreground import GC_THRESHOLDS
from mockveo.server.app import Application
from mockveo.server.run import Server
from mockveo.settings import of
from mockveo.simulator.world import World

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
#: Jobs that are written to a store at once.
CHUNK = 5000
#: Requests before those that are measured.
WARM_UP = 200


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process and its children so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(map(cpu, map(int, children)))


@dataclass
class Redis:
    """A redis-server of the benchmark's own."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def client(self) -> redis.Redis:
        """A connection to it."""
        return redis.Redis(port=self.port)

    def moved(self) -> int:
        """Return the bytes that went in and out so far."""
        stats = self.client.info("stats")
        return int(stats["total_net_input_bytes"]) + int(stats["total_net_output_bytes"])

    def calls(self, command: str) -> int:
        """Return how often a command was called so far, by scripts too."""
        return int(self.client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])

    def used(self) -> int:
        """Return the bytes of memory that it uses."""
        return int(self.client.info("memory")["used_memory"])


@contextmanager
def running_redis() -> Iterator[Redis]:
    """Run a Redis that keeps nothing on disk."""
    port = free_port()
    command = [str(shutil.which("redis-server")), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield Redis(process, port)
    finally:
        process.terminate()
        process.wait()


class Serving(NamedTuple):
    """A server: its process id, its port, and the seconds until its first answer."""

    pid: int
    port: int
    start: float


@contextmanager
def serving(*arguments: str, filled: int = 0) -> Iterator[Serving]:
    """Run a server; one that is filled keeps so many jobs in memory."""
    port, begun = free_port(), time.perf_counter()
    command = [sys.executable, "-m", "mockveo", "serve", "--port", str(port), "--no-render", "--quiet", *arguments]
    if filled:
        command = [sys.executable, __file__, "--serve", str(filled), str(port)]
    process = subprocess.Popen(command)
    try:
        while True:
            try:
                once(port, request("GET", "/v1/models"))
            except OSError:
                if process.poll() is not None:
                    raise SystemExit("the server did not start") from None
                time.sleep(0.002)
            else:
                break
        yield Serving(process.pid, port, time.perf_counter() - begun)
    finally:
        process.terminate()
        process.wait()


def load(servers: Sequence[Serving], data: Sequence[bytes], count: int) -> tuple[float, float]:
    """Return requests per second, and CPU microseconds of a request; the servers share the connections."""
    (port, first), *more = [(server.port, each) for server, each in zip(servers, data, strict=True)]
    hammer(port, first, WARM_UP, *more)
    before, begun = sum(cpu(server.pid) for server in servers), time.perf_counter()
    hammer(port, first, count, *more)
    passed = time.perf_counter() - begun
    return count / passed, (sum(cpu(server.pid) for server in servers) - before) / count * 1e6


def compare(count: int, directory: Path) -> None:
    """Print what each store costs, and what more servers bring, of one world and of a world each."""
    head = f"{'store':<28}{'GET/s':>9}{'us':>7}{'POST/s':>9}{'us':>7}{'Redis us':>10}{'bytes':>8}"
    print(f"{head}{'commits/POST':>14}{'conflicts/POST':>16}")
    rows: list[tuple[str, int, bool]] = [
        *(("memory", 1, False), ("SQLite", 1, False), ("Redis", 1, False)),
        *(("Redis, 2 servers", 2, False), ("Redis, 4 servers", 4, False)),
        *(("Redis, 2 servers, 2 worlds", 2, True), ("Redis, 4 servers, 4 worlds", 4, True)),
    ]
    with running_redis() as server:
        for number, (name, servers, has_worlds) in enumerate(rows):
            stores = {"memory": [], "SQLite": ["--store", str(directory / "compare.db")]}
            arguments = stores.get(name, ["--store", f"redis://127.0.0.1:{server.port}/{number}"])
            with ExitStack() as stack:
                running = [stack.enter_context(serving(*arguments)) for _ in range(servers)]
                prefixes = [f"/@{index}" if has_worlds else "" for index in range(servers)]
                shown = measure(server, running, prefixes, count)
            print(f"{name:<28}{shown if name.startswith('Redis') else shown[:32]}", flush=True)


def measure(redis_server: Redis, servers: Sequence[Serving], prefixes: Sequence[str], count: int) -> str:
    """Return the columns of servers, which are called at the worlds of the prefixes."""
    posts = [request("POST", f"{prefix}/v1/videos", form()) for prefix in prefixes]
    ids = [json.loads(once(server.port, post))["id"] for server, post in zip(servers, posts, strict=True)]
    gets = [request("GET", f"{prefix}/v1/videos/{ids[place]}") for place, prefix in enumerate(prefixes)]
    moved, used = redis_server.moved(), cpu(redis_server.process.pid)
    got, got_us = load(servers, gets, count)
    # What a stale commit looks up, and no other.
    commits, conflicts = redis_server.calls("evalsha"), redis_server.calls("lrange")
    posted, posted_us = load(servers, posts, count)
    all_posts = count + WARM_UP
    return (
        f"{got:>9.0f}{got_us:>7.0f}{posted:>9.0f}{posted_us:>7.0f}"
        f"{(cpu(redis_server.process.pid) - used) / (2 * all_posts) * 1e6:>10.0f}"
        f"{(redis_server.moved() - moved) / (2 * all_posts):>8.0f}"
        f"{(redis_server.calls('evalsha') - commits) / all_posts:>14.2f}"
        f"{(redis_server.calls('lrange') - conflicts) / all_posts:>16.2f}"
    )


def fill(world: World, count: int) -> None:
    """Give a world many jobs."""
    for begin in range(0, count, CHUNK):
        for number in range(begin, min(begin + CHUNK, count)):
            world.add("sk-test", "veo_3_1", {"prompt": f"A paper kite, take {number}.", "model": "veo3-fast"}, ())
        if not world.store.is_fleeting:
            world.store.submit()


def fill_store(store: str, count: int) -> None:
    """Give a store many jobs."""
    app = mockveo.app(store=store, max_jobs=room(count), seed=1, render=False)
    fill(app.world, count)
    app.close()


def serve_filled(count: int, port: int) -> None:
    """Serve many jobs in memory, until SIGTERM."""
    app = Application(of(port=port, max_jobs=room(count), render=False))
    fill(app.world, count)

    def ready() -> None:
        # As `mockveo serve` does.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    Server(app, on_ready=ready).run_here()


def room(count: int) -> int:
    """Return how many jobs a server may keep that begins with so many."""
    return count + 100_000


def resident(pid: int) -> int:
    """Return the bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grow(sizes: list[int], count: int, directory: Path) -> None:
    """Print how cost grows with the jobs of a store."""
    print(f"\n{'store':<10}{'jobs':>9}{'start s':>9}{'GET us':>8}{'POST us':>9}{'bytes a job':>13}")
    with serving() as server:
        empty_process = resident(server.pid)
    for size in sizes:
        with serving(filled=size) as server:
            row("memory", size, count, server, resident(server.pid) - empty_process)
        with running_redis() as redis_server:
            file = directory / f"{size}.db"
            for name, store in (("SQLite", str(file)), ("Redis", f"redis://127.0.0.1:{redis_server.port}/0")):
                empty = redis_server.used()
                fill_store(store, size)
                used = redis_server.used() - empty if name == "Redis" else file.stat().st_size
                with serving("--store", store, "--max-jobs", str(room(size))) as server:
                    row(name, size, count, server, used)


def row(name: str, size: int, count: int, server: Serving, used: int) -> None:
    """Measure a server with so many jobs, and print its row."""
    post = request("POST", "/v1/videos", form())
    job_id = json.loads(once(server.port, post))["id"]
    _, got_us = load([server], [request("GET", f"/v1/videos/{job_id}")], count)
    _, posted_us = load([server], [post], count)
    print(f"{name:<10}{size:>9}{server.start:>9.2f}{got_us:>8.0f}{posted_us:>9.0f}{used / size:>13.0f}", flush=True)


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--requests", type=int, default=3000, help="of each kind; default: 3000")
    options.add_argument("--jobs", type=int, nargs="*", default=[1000, 10_000, 100_000, 1_000_000])
    options.add_argument("--serve", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        serve_filled(*chosen.serve)
        return
    with tempfile.TemporaryDirectory() as directory:
        compare(chosen.requests, Path(directory))
        grow(chosen.jobs, chosen.requests, Path(directory))


if __name__ == "__main__":
    main()
