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

import threading
import time
from collections.abc import Callable
from typing import Final

#: Where the date of a clock that does not run begins: the `created_at` of the page's example, 2026-03-12 06:33:49 UTC.
STILL_DATE: Final = 1773297229.0
#: Where dates stop: 9999-12-31, the last day that HTTP can name.
LAST_DATE: Final = 253402214400.0


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
        date = date if date is not None else time.time() if mode == "wall" else STILL_DATE
        #: Both hands, and our own seconds when they stood there. In one piece, as a test may turn the clock while a
        #: server in another thread reads it.
        self._at = (0.0, date, tick())
        self._lock = threading.Lock()

    @property
    def mode(self) -> str:
        """One of `settings.CLOCK_MODES`."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        with self._lock:
            self._move(0.0)
            self._mode = mode

    @property
    def speed(self) -> float:
        """Seconds of the world in one of ours, in mode `wall`."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        with self._lock:
            self._move(0.0)
            self._speed = speed

    @property
    def pace(self) -> float:
        """Seconds of the world's time in one second of its dates: the speed while it runs, else 1."""
        return self._speed if self._mode == "wall" else 1.0

    def now(self) -> float:
        """Seconds of the world's time since it began."""
        now, _, since = self._at
        return now + (self._tick() - since) * self._speed if self._mode == "wall" else now

    def date(self) -> float:
        """Unix seconds, as answers show them."""
        _, date, since = self._at
        return date + (self._tick() - since) if self._mode == "wall" else date

    def read(self) -> tuple[float, float]:
        """Both hands at once."""
        now, date, since = self._at
        if self._mode != "wall":
            return now, date
        passed = self._tick() - since
        return now + passed * self._speed, date + passed

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass at once, in the world's time and in its dates."""
        with self._lock:
            self._move(seconds)

    def poll(self) -> None:
        """A job is polled."""
        if self._mode == "poll":
            self.advance(self.step)

    def _move(self, seconds: float) -> None:
        now, date = self.read()
        self._at = (now + seconds, min(date + seconds, LAST_DATE), self._tick())
