"""How a run waits, in real time or by advancing the clock of a mockveo, and what the journal of a mockveo says."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from mockveo.control_client import PATIENCE_S, Remote, RemoteError
from mockveo.errors import SettingsError
from mockveo.http.hosts import is_loopback
from mockveo.rules.live import VERIFICATION
from mockveo.traffic.exchange import Exchange

#: Pause between two polls. Source: the pages advise 10 to 20 s.
POLITE_S: Final = 10.0
#: The same on this machine, and if time can be advanced. Arbitrary.
NEAR_S: Final = 1.0
CONTROLLED_S: Final = 5.0
#: Most exchanges that are read from a journal at once, well above those of a probe. Arbitrary.
MAX_EXCHANGES: Final = 10_000


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
        self._world = f"{VERIFICATION}{secrets.token_hex(4)}"
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


class Upstream:
    """The journal of the mockveo behind a gateway.

    A create through the gateway is known by its place among the requests of the run, as ids may differ upstream.
    """

    def __init__(self, url: str) -> None:
        """Connect to a mockveo on this machine. Raises SettingsError for any other server."""
        if _ready(url, PATIENCE_S) is None:
            raise SettingsError(
                f"--upstream is {url}, where no mockveo on this machine answers; expected the one behind the gateway,"
                " e.g. --upstream http://127.0.0.1:8360"
            )
        self._remote = Remote(url)

    def latest(self) -> int:
        """Return the number of the latest exchange."""
        exchanges = self._remote.ask("GET", "/journal?limit=1")["exchanges"]
        return int(exchanges[-1]["number"]) if exchanges else 0

    def since(self, number: int) -> list[Exchange]:
        """Return the exchanges after the one of that number, in order."""
        data = self._remote.ask("GET", f"/journal?since={number}&limit={MAX_EXCHANGES}")
        return [Exchange.from_json(exchange) for exchange in data["exchanges"]]


def control(
    url: str, *, profile: str | None, seed: int, keys: Sequence[str], patience: float = PATIENCE_S
) -> ControlledPace | None:
    """Return the control of a mockveo at a URL on this machine; None for any other server."""
    ready = _ready(url, patience)
    if ready is None:
        return None
    return ControlledPace(url, profile=profile or ready["profile"], seed=seed, keys=keys)


def _ready(url: str, patience: float) -> dict[str, Any] | None:
    """Return what a mockveo at a URL on this machine says of itself; None for any other server."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        return None
    try:
        ready = Remote(url, patience=patience).ask("GET", "/ready")
    except RemoteError:
        return None
    return ready if isinstance(ready, dict) and ready.get("base_url") else None
