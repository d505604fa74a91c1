"""The clock of a world: every duration of its jobs and every date of its answers comes from here.

It has two hands. `now()` is the world's time in seconds since it began, which jobs unfold by. `date()` is what
answers show, in Unix seconds. There are three modes:

- `wall`: `now` runs `speed` times as fast as ours; `date` keeps to our calendar whatever the speed, so that a server
  that has run all day does not date its jobs into next week;
- `manual`: both stand still until `advance` moves them;
- `poll`: the same, and each poll of a job moves them by `step` seconds.

In the last two a run can be repeated to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

MODES: Final = ("wall", "manual", "poll")
#: Where the date of a clock that does not run begins: the `created_at` of the page's example, 2026-03-12 06:33:49 UTC.
STILL_DATE: Final = 1773297229.0


class Clock:
    """A clock of a world. `tick` gives our own seconds and is only for tests to replace."""

    def __init__(
        self,
        mode: str = "wall",
        *,
        speed: float = 1.0,
        step: float = 10.0,
        date: float | None = None,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tick = tick
        self._mode = mode
        self._speed = speed
        #: Seconds that pass with a poll, in mode `poll`.
        self.step = step
        self._now = 0.0
        self._date = date if date is not None else time.time() if mode == "wall" else STILL_DATE
        self._since = tick()

    @property
    def mode(self) -> str:
        """One of MODES."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self._settle()
        self._mode = mode

    @property
    def speed(self) -> float:
        """Seconds of the world in one of ours, in mode `wall`."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._settle()
        self._speed = speed

    @property
    def pace(self) -> float:
        """Seconds of the world's time in one second of its dates: the speed while it runs, else 1."""
        return self._speed if self._mode == "wall" else 1.0

    def now(self) -> float:
        """Seconds of the world's time since it began."""
        return self._now + (self._tick() - self._since) * self._speed if self._mode == "wall" else self._now

    def date(self) -> float:
        """Unix seconds, as answers show them."""
        return self._date + (self._tick() - self._since) if self._mode == "wall" else self._date

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass at once, in the world's time and in its dates."""
        self._settle()
        self._now += seconds
        self._date += seconds

    def poll(self) -> None:
        """A job is polled."""
        if self._mode == "poll":
            self.advance(self.step)

    def _settle(self) -> None:
        self._now, self._date, self._since = self.now(), self.date(), self._tick()
