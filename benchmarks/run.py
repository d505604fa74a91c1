"""What `mockveo run` costs a program: `python benchmarks/run.py [ROUNDS]` runs `true` alone and by it, in pairs.

Seconds on the clock, and CPU seconds of all processes; the median of the rounds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

COMMAND = ["true"]
RUN = [sys.executable, "-m", "mockveo", "run", "--isolate", "namespace", "--port", "0", "--", *COMMAND]


def measured(command: list[str]) -> tuple[float, float]:
    """Return the seconds and the CPU seconds that a command takes."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, cpu


def main() -> None:
    """Print the overhead."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    pairs = [(measured(COMMAND), measured(RUN)) for _ in range(rounds)]
    for place, name in enumerate(("seconds", "CPU seconds")):
        overhead = [run[place] - alone[place] for alone, run in pairs]
        print(f"{name}: median {statistics.median(overhead):.2f}, least {min(overhead):.2f}")


if __name__ == "__main__":
    main()
