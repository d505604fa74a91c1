"""Requirement sets: the rules and cases of a month, by which a build can be judged whatever newer versions add.

A rule or a case says with `since: YYYY-MM` when it was added; most are of the first set and say nothing. `sets/` has a
file for each month, written by `scripts/freeze.py` and compared by a test, so that what a set asks for does not change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mockveo.errors import RuleError, did_you_mean

#: The month of the first set, which everything is of that does not say otherwise.
FIRST: Final = "2026-11"
SETS: Final = Path(__file__).with_name("sets")


def months() -> list[str]:
    """Return the months of all sets, the oldest first."""
    return sorted(path.stem for path in SETS.glob("*.yaml"))


def month(text: str) -> str:
    """Return the month that names a set. Raises RuleError, which names all."""
    valid = months()
    if text not in valid:
        raise RuleError(
            f"there are no requirements of {text!r}; {did_you_mean(text, valid)}expected one of {', '.join(valid)},"
            f" e.g. --requirements {valid[-1]}"
        )
    return text


def newer(since: str, requirements: str) -> str:
    """Return `since` if it is after these requirements, which then do not ask for it; else an empty string.

    Empty requirements ask for everything.
    """
    return since if requirements and since > requirements else ""
