"""How a run waits: at the real pace, or by turning the clock of a mockveo."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from mockveo.control_client import PATIENCE_S, Remote, RemoteError
from mockveo.http.hosts import is_loopback

#: Seconds between two polls of a job: as the pages advise, on this machine, and where time is turned.
POLITE: Final = 10.0
NEAR: Final = 1.0
TURNED: Final = 5.0


class Pace(Protocol):
    """The time of a run."""

    #: Seconds between two polls.
    interval: float

    def now(self) -> float:
        """Seconds, of the jobs' time."""

    def wait(self, seconds: float) -> None:
        """Lets so many seconds pass."""


class RealPace:
    """Time as it is."""

    def __init__(self, interval: float) -> None:
        self.interval = interval

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleeps."""
        if seconds > 0:
            time.sleep(seconds)


class ControlledPace:
    """A world of a mockveo that a run has for itself, with its clock in its hand: a Pace, and more.

    The world behaves as the one that the URL names, but for its clock and its keys. `close` leaves nothing in it.
    """

    def __init__(self, url: str, *, profile: str, seed: int, keys: Sequence[str]) -> None:
        self.interval = TURNED
        self.version: str = Remote(url).ask("GET", "/health")["version"]
        self.profile = profile
        self._world = f"verify-{secrets.token_hex(4)}"
        self._remote = Remote(url, self._world)
        self._settings = {"profile": self.profile, "clock": "manual", "seed": seed, "key": list(keys)}
        self._scenario = Remote(url).ask("GET", "/scenario")["scenario"]
        self._now = 0.0
        #: The root of the world.
        self.url: str = self.renew()

    def renew(self) -> str:
        """Makes the world as new: no jobs, the same ids again; its root."""
        root = self._remote.ask("POST", "/reset", self._settings)["url"]
        self._remote.ask("PUT", "/scenario", {"scenario": self._scenario})
        return str(root)

    def now(self) -> float:
        """Seconds of the world's clock, which only we turn."""
        return self._now

    def wait(self, seconds: float) -> None:
        """Turns the clock."""
        self._remote.ask("POST", "/clock/advance", {"seconds": seconds})
        self._now += seconds

    def next(self, scenario: str | dict[str, Any]) -> None:
        """Gives the next create a scenario."""
        self._remote.ask("POST", "/queue", {"scenario": scenario})

    def images_of(self, job: str) -> list[str]:
        """The SHA-256 of the images that came with a job, in order."""
        found = self._remote.ask("GET", f"/journal?job={job}&operation=create")["exchanges"]
        return [one["sha256"] for one in found[0]["request"]["files"]] if found else []

    def close(self) -> None:
        """Takes the jobs and the journal away."""
        self._remote.ask("POST", "/reset", {})


def control(
    url: str, *, profile: str | None, seed: int, keys: Sequence[str], patience: float = PATIENCE_S
) -> ControlledPace | None:
    """The control over a mockveo at a URL; None where there is another server. Only this machine's is asked."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        return None
    try:
        ready = Remote(url, patience=patience).ask("GET", "/ready")
    except RemoteError:
        return None
    if not isinstance(ready, dict) or not ready.get("base_url"):
        return None
    return ControlledPace(url, profile=profile or ready["profile"], seed=seed, keys=keys)
