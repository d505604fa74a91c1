"""The duration of a whole verification of mockveo itself: `python benchmarks/verify.py`. The aim is 60 s at most.

It runs the probes, 100 generated requests for each operation, sequences along the links, and histories of jobs.
`--examples N` and `--histories N` set other numbers, `--profile NAME` another profile.
"""

from __future__ import annotations

import argparse
import sys
import time

from mockveo_contracts.servers.plan import VerifyPlan
from mockveo_contracts.servers.verify import verify

import mockveo


def main() -> int:
    """Print a line for each kind of check and a total; 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--histories", type=int, default=50)
    parser.add_argument("--profile", default="docs-2026-03")
    asked = parser.parse_args()
    seconds: dict[str, float] = {}
    before = begun = time.perf_counter()

    def progress(_: int, __: int, name: str, ___: int) -> None:
        nonlocal before
        now = time.perf_counter()
        kind = name if name.startswith("generated/") else "probes"
        seconds[kind] = seconds.get(kind, 0.0) + now - before
        before = now

    with mockveo.serve(profile=asked.profile, seed=0, render=False) as server:
        plan = VerifyPlan(examples=asked.examples, histories=asked.histories, progress=progress)
        data = verify(server.url, plan)
    for kind, took in seconds.items():
        print(f"{kind:32} {took:6.1f} s")
    counts = data["summary"]
    print(
        f"{'all':32} {time.perf_counter() - begun:6.1f} s, {counts['cases']} checks, {counts['generated']} generated"
        f" requests, {counts['jobs']} jobs, {len(data['findings'])} findings"
    )
    return 1 if data["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
