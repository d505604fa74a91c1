"""Plans and results of `verify` runs that several tests make."""

from __future__ import annotations

import re
from typing import Any

from broken_servers import FAILING, OTHER, OURS, Small
from mockveo_contracts.servers.plan import VerifyPlan

#: How a line begins that repeats a generated request; curl reads a body that no word can hold from a pipe.
REPEATS = re.compile(r"(ID=\$\()?(printf '.*' \| )?curl -sS ")
PROFILES = ("docs-2026-03", "docs-2026-10", "gateway")


def plan(server: Small, seed: int = 0, *, ends: bool = True) -> VerifyPlan:
    return VerifyPlan(
        key=OURS,
        other_key=OTHER,
        seed=seed,
        poll_interval=0.0,
        job_seconds=30.0 if ends else 0.1,
        failing_prompt=FAILING,
        images_of=lambda job: server.jobs[job].images,
    )


def broken_rules(data: dict[str, Any]) -> dict[str, str]:
    """Return the broken rules of a report, each with its worst verdict."""
    return {finding["rule"]: finding["verdict"] for finding in reversed(data["findings"])}
