"""A scenario: plain data that says how the jobs of a world unfold.

A phase says how long it lasts, in seconds of the world's clock, as the shortest and the longest; which of them a
job gets follows from its id. The statuses are the spec's own (`x-transitions`): phase by phase those on the way of
a job that succeeds, then the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from mockveo.errors import SettingsError


class Phase(NamedTuple):
    """How long a job stays in one status, and the progress it shows: from `start`, and always below `end`."""

    shortest: float
    longest: float
    start: int = 0
    end: int = 100


@dataclass(frozen=True, slots=True)
class Scenario:
    """How jobs unfold: the phases one after the other, then the ending."""

    name: str
    summary: str
    phases: tuple[Phase, ...]
    ending: Literal["success", "failure"] = "success"
    #: `code` and `message` of a job that failed.
    error: Mapping[str, str] | None = None


#: Seconds in the queue: "a few" is all that is known; between 5 and 15 is assumed.
QUEUED: Final = Phase(5, 15, 0, 1)
#: Seconds of work. Source: the public pages, "most jobs take 1-3 minutes".
WORKING: Final = Phase(60, 180)

BUILT_IN: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario("normal", "Jobs take as long as the pages say, and succeed.", (QUEUED, WORKING)),
        Scenario("instant", "Jobs have completed when the create is answered.", ()),
        Scenario("slow", "Jobs take ten times as long as usual.", (Phase(50, 150, 0, 1), Phase(600, 1800))),
        Scenario(
            "fails",
            "Jobs fail after a while, with a reason.",
            (QUEUED, Phase(20, 60, 0, 60)),
            "failure",
            {"code": "generation_failed", "message": "The video could not be generated."},
        ),
    )
}


def named(name: str) -> Scenario:
    """The built-in scenario of that name. Raises SettingsError, which names the ones there are."""
    if name not in BUILT_IN:
        raise SettingsError(f"the scenario {name!r} does not exist; wanted one of {', '.join(BUILT_IN)}")
    return BUILT_IN[name]
