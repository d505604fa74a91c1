"""How a run waits: in real time, or by advancing the clock of a mockveo."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from mockveo.control_client import PATIENCE_S, Remote, RemoteError
from mockveo.http.hosts import is_loopback

#: Pause between two polls. Source: the pages advise 10 to 20 s.
POLITE_S: Final = 10.0
#: The same on this machine, and if time can be advanced. Arbitrary.
NEAR_S: Final = 1.0
CONTROLLED_S: Final = 5.0


class Pace(Protocol):
    """The time of a run."""

    #: Seconds between two polls.
    interval: float

    def now(self) -> float:
        """Return the seconds of the jobs' time."""

    def wait(self, seconds: float) -> None:
        """Let seconds pass."""


class RealPace:
    """Real time."""

    def __init__(self, interval: float) -> None:
        self.interval = interval

    def now(self) -> float:
        """Return the seconds of a monotonic clock."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        if seconds > 0:
            time.sleep(seconds)


class ControlledPace:
    """An isolated world of a mockveo whose clock the run advances.

    It behaves like the world that the URL names, except for its clock and its keys. `close` leaves nothing in it.
    """

    def __init__(self, url: str, *, profile: str, seed: int, keys: Sequence[str]) -> None:
        self.interval = CONTROLLED_S
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
        """Reset the world, so that ids repeat; return its root."""
        root = self._remote.ask("POST", "/reset", self._settings)["url"]
        self._remote.ask("PUT", "/scenario", {"scenario": self._scenario})
        return str(root)

    def now(self) -> float:
        """Return the seconds of the world's clock, which only the run advances."""
        return self._now

    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self._remote.ask("POST", "/clock/advance", {"seconds": seconds})
        self._now += seconds

    def next(self, scenario: str | dict[str, Any]) -> None:
        """Queue a scenario for the next create."""
        self._remote.ask("POST", "/queue", {"scenario": scenario})

    def images_of(self, job: str) -> list[str]:
        """Return the SHA-256 of the images that arrived with a job, in order."""
        creates = self._remote.ask("GET", f"/journal?job={job}&operation=create")["exchanges"]
        return [file["sha256"] for file in creates[0]["request"]["files"]] if creates else []

    def close(self) -> None:
        """Delete the jobs and the journal, unless the server has stopped before."""
        with suppress(RemoteError):
            self._remote.ask("POST", "/reset", {})


def control(
    url: str, *, profile: str | None, seed: int, keys: Sequence[str], patience: float = PATIENCE_S
) -> ControlledPace | None:
    """Return the control of a mockveo at a URL on this machine; None for any other server."""
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
