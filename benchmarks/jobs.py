"""The cost of many jobs: `python benchmarks/jobs.py [COUNT]` creates them and retrieves some, in process."""

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


if __name__ == "__main__":
    main()
