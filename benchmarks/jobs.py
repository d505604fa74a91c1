"""The cost of many jobs: `python benchmarks/jobs.py [COUNT]` creates, retrieves and lists them, in process."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import mockveo

KEY = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer sk-test")]


def resident() -> int:
    """Return the resident memory in bytes."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024


def fill(app: Any, count: int) -> list[str]:
    """Create jobs as the server does, each from different values."""
    world, ids = app.world, []
    owner = world.accounts.owner(b"Bearer sk-test")
    for number in range(count):
        values = {"prompt": f"A paper kite floats above field {number}", "size": b"16x9".decode()}
        ids.append(world.add(owner, "veo_3_1-4K", values, ()).id)
    return ids


async def retrieve(app: Any, paths: list[str]) -> float:
    """Return the seconds that retrieving the jobs at these paths takes."""

    async def nothing(_: Any = None) -> Any:
        return None

    begun = time.perf_counter()
    for path in paths:
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": KEY, "root_path": ""}
        await app(scope, nothing, nothing)
    return time.perf_counter() - begun


async def listed(app: Any, query: bytes) -> tuple[float, float]:
    """Return the seconds that a list of jobs takes, and those of CPU for which it holds the loop longest."""
    longest, last = 0.0, time.thread_time()

    async def watch() -> None:
        nonlocal longest, last
        while True:
            now = time.thread_time()
            longest, last = max(longest, now - last), now
            await asyncio.sleep(0)

    async def nothing(_: Any = None) -> Any:
        return {"type": "http.request", "body": b""}

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    scope = {"type": "http", "method": "GET", "path": "/_mockveo/jobs", "query_string": query, "root_path": ""}
    begun = time.perf_counter()
    await app({**scope, "headers": KEY[:1]}, nothing, nothing)
    seconds = time.perf_counter() - begun
    await asyncio.sleep(0)
    watcher.cancel()
    return seconds, longest


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    few = mockveo.app(seed=1, max_jobs=count, render=False)
    many = mockveo.app(seed=1, max_jobs=count, render=False)
    few_ids = fill(few, 1000)
    gc.collect()
    before = resident()
    many_ids = fill(many, count)
    gc.collect()
    size = (resident() - before - sys.getsizeof(many_ids)) / count
    dice, ratios = random.Random(1), []
    for _ in range(9):
        paths = [[f"/v1/videos/{dice.choice(ids)}" for _ in range(5000)] for ids in (few_ids, many_ids)]
        small, large = asyncio.run(retrieve(few, paths[0])), asyncio.run(retrieve(many, paths[1]))
        ratios.append(large / small)
    print(f"{count} jobs: {size:.0f} bytes each, retrieve {statistics.median(ratios):.2f} x that of 1000 jobs")
    for query in ("limit=1", "status=failed"):
        times = [asyncio.run(listed(many, query.encode())) for _ in range(3)]
        seconds, longest = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
        print(f"list with {query}: {seconds:.1f} ms, of which it holds the loop for at most {longest:.1f} ms of CPU")


if __name__ == "__main__":
    main()
