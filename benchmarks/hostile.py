"""What hostile input costs: `python benchmarks/hostile.py [ROW...]` measures it and prints a table. Linux only.

Each row has the number of its goal, the figure that must hold and what was measured before. Servers run in processes of
their own. `python benchmarks/hostile.py fuzz --requests N` sends hostile requests.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

import hostile_input
from hostile_server import ROWS, NotMeasured, Row

for _module in ("clients", "commands", "connections", "input", "memory", "promises"):
    import_module(f"hostile_{_module}")  # adds its rows


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("rows", nargs="*", metavar="ROW", help=f"fuzz, or some of {', '.join(ROWS)}; default: all")
    options.add_argument("--requests", type=int, default=20_000, help="how many fuzz sends; default: 20,000")
    options.add_argument("--seed", type=int, default=0, help="of fuzz; default: 0")
    arguments = options.parse_args()
    if arguments.rows == ["fuzz"]:
        hostile_input.fuzz(arguments.requests, arguments.seed)
        return
    print(f"{'':<3} {'row':<22} {'at most':>13} {'is':>10}  what (before)", flush=True)
    os.environ.pop("MALLOC_ARENA_MAX", None)
    rows = [ROWS[name] for name in arguments.rows] or sorted(ROWS.values(), key=lambda entry: entry.goal)
    failed = [entry.name for entry in rows if not show(entry)]
    sys.exit(f"missed: {', '.join(failed)}" if failed else 0)


def show(entry: Row) -> bool:
    """Measure a row and print it; return whether what must hold does."""
    start = f"{entry.goal:<3} {entry.name:<22}"
    try:
        figure = entry.measure()
    except NotMeasured as reason:
        print(f"{start} not measured: {reason}", flush=True)
        return True
    verdict = "" if figure <= entry.limit else "MISSED "
    bound = f"{entry.limit:,.10g} {entry.unit}".rstrip()
    print(f"{start} {bound:>13} {figure:>10,.1f}  {verdict}{entry.subject} (was {entry.before})", flush=True)
    return not verdict


if __name__ == "__main__":
    main()
