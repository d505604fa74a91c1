"""The clock of a world: every duration of its jobs and every date of its responses comes from here.

It has two hands. `now()` is the world's time in seconds since it began, by which jobs unfold. `date()` is what
responses show, in Unix seconds. There are three modes:

- `wall`: `now` runs `speed` times as fast as real time; `date` is real time whatever the speed, so a server that has
  run all day does not date its jobs into next week;
- `manual`: both stand still until `advance` moves them;
- `poll`: the same, and each poll of a job moves them by `step` seconds.

In the last two modes a run can be repeated to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from mockveo.realtime import LAST_DATE_S, unix_time
from mockveo.settings import BOUNDS, DURATION, check_clock_mode
from mockveo.simulator.stores.memory_parts import MemoryCell
from mockveo.simulator.stores.store import Cell, Store

#: The first date of a clock that stands still: the `created_at` of the page's example, 2026-03-12 06:33:49 UTC.
STILL_DATE_S: Final = 1773297229.0


class ClockState(NamedTuple):
    """The settings of a clock, and both hands as they were at `since`, in Unix seconds of real time."""

    mode: str
    speed: float
    step: float
    now: float
    date: float
    since: float


#: A ClockState as it is stored. A bare tuple, because Python unpacks that far faster than a named one.
StoredState: TypeAlias = tuple[str, float, float, float, float, float]


class Clock:
    """A clock of a world. `tick` returns Unix seconds of real time; tests replace it.

    To set a value out of its bounds raises SettingsError.
    """

    def __init__(
        self,
        mode: str = "wall",
        *,
        speed: float = 1.0,
        step: float = 10.0,
        date: float | None = None,
        tick: Callable[[], float] = unix_time,
        store: Store | None = None,
    ) -> None:
        self._tick = tick
        if date is None:
            date = time.time() if mode == "wall" else STILL_DATE_S
        initial: StoredState = (mode, speed, step, 0.0, date, tick())
        self._state: Cell[StoredState] = MemoryCell(initial) if store is None else store.cell("clock", initial)

    @property
    def mode(self) -> str:
        """One of `settings.CLOCK_MODES`."""
        return self._state.value[0]

    @mode.setter
    def mode(self, mode: str) -> None:
        check_clock_mode("mode", mode)
        self._move(0.0, mode=mode)

    @property
    def speed(self) -> float:
        """Seconds of the world in one real second, in mode `wall`."""
        return self._state.value[1]

    @speed.setter
    def speed(self, speed: float) -> None:
        BOUNDS["speed"].check("speed", speed)
        self._move(0.0, speed=speed)

    @property
    def step(self) -> float:
        """Seconds that pass with a poll, in mode `poll`."""
        return self._state.value[2]

    @step.setter
    def step(self, step: float) -> None:
        BOUNDS["step"].check("step", step)
        self._move(0.0, step=step)

    @property
    def pace(self) -> float:
        """Seconds of the world's time in one second of its dates: the speed in mode `wall`, else 1."""
        state = self._state.value
        return state[1] if state[0] == "wall" else 1.0

    @property
    def setting(self) -> ClockState:
        """How it was set last: it goes on by itself from there, so it changes only if somebody moves or sets it."""
        return ClockState(*self._state.value)

    def now(self) -> float:
        """Return the seconds of the world's time since it began."""
        mode, speed, _, now, _, since = self._state.value
        return now + (self._tick() - since) * speed if mode == "wall" else now

    def date(self) -> float:
        """Return the date that responses show, in Unix seconds."""
        mode, _, _, _, date, since = self._state.value
        return date + (self._tick() - since) if mode == "wall" else date

    def read(self) -> tuple[float, float]:
        """Return both hands at once."""
        mode, speed, _, now, date, since = self._state.value
        if mode != "wall":
            return now, date
        passed = self._tick() - since
        return now + passed * speed, date + passed

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once, in the world's time and in its dates. Raises SettingsError."""
        DURATION.check("seconds", seconds)
        self._move(seconds)

    def resume(self, now: float, date: float) -> None:
        """Go on from a time of the world and from a date, or in mode `wall` from the real date.

        Raises SettingsError, or TypeError for what is no number, if the store has other settings than a clock can have.
        """
        mode, speed, step, *_ = self._state.value
        check_clock_mode("mode", mode)
        BOUNDS["speed"].check("speed", speed)
        BOUNDS["step"].check("step", step)
        tick = self._tick()
        self._state.value = (mode, speed, step, now, tick if mode == "wall" else date, tick)

    def poll(self) -> None:
        """Let the time of one poll pass."""
        state = self._state.value
        if state[0] == "poll":
            self._move(state[2])

    def _move(self, seconds: float, **changes: Any) -> None:
        def moved(stored: StoredState) -> StoredState:
            state, tick = ClockState(*stored), self._tick()
            passed = tick - state.since if state.mode == "wall" else 0.0
            now = state.now + passed * state.speed + seconds
            date = min(state.date + passed + seconds, LAST_DATE_S)
            state = state._replace(**changes)
            return state.mode, state.speed, state.step, now, date, tick

        self._state.update(moved)
