"""The clock of a world: every duration and every date of its answers comes from here.

It has two hands. `now()` is the world's time in seconds since it began, which jobs unfold by: it runs `speed` times
as fast as ours, and not at all at speed 0, when only `advance` moves it. `date()` is what answers show, in Unix
seconds: it keeps to our calendar whatever the speed, so that a server that has run all day does not date its jobs
into next week, and stands still with a frozen clock, so that a run can be repeated to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Where the date of a frozen clock begins: the `created_at` of the page's own example, 2026-03-12 06:33:49 UTC.
FROZEN_DATE = 1773297229.0


class Clock:
    """A clock at `speed` (0 = frozen). `tick` gives our own seconds and is only for tests to replace."""

    def __init__(
        self, speed: float = 1.0, *, date: float | None = None, tick: Callable[[], float] = time.monotonic
    ) -> None:
        self._tick = tick
        self._speed = speed
        self._now = 0.0
        self._date = date if date is not None else time.time() if speed else FROZEN_DATE
        self._since = tick()

    @property
    def speed(self) -> float:
        """Seconds of the world in one of ours."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._settle()
        self._speed = speed

    @property
    def pace(self) -> float:
        """Seconds of the world's time in one second of its date: the speed, or 1 when frozen."""
        return self._speed or 1.0

    def now(self) -> float:
        """Seconds of the world's time since it began."""
        return self._now + (self._tick() - self._since) * self._speed

    def date(self) -> float:
        """Unix seconds, as answers show them."""
        return self._date + (self._tick() - self._since if self._speed else 0.0)

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass at once, in the world's time and in its dates."""
        self._settle()
        self._now += seconds
        self._date += seconds

    def _settle(self) -> None:
        self._now, self._date, self._since = self.now(), self.date(), self._tick()
