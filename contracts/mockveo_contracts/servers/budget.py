"""What a run may cost: jobs, seconds, and requests a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from mockveo.errors import MockveoError
from mockveo.http.statuses import REFUSED_FOR_NOW


class OutOfBudget(MockveoError):
    """A request would go beyond what the run may cost."""


class Budget:
    """The budget of a run. None is no limit.

    A job counts when it was made, or may have been: a create that is refused costs nothing. Still, one that ought to
    be refused is only sent while there is a job left to pay for, should the server accept it.
    """

    def __init__(
        self,
        *,
        jobs: int | None = None,
        seconds: float | None = None,
        rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.jobs = jobs
        self.seconds = seconds
        #: Jobs that were made, or may have been.
        self.made = 0
        self._clock, self._sleep = clock, sleep
        self._begun = clock()
        self._pause = 1 / rate if rate else 0.0
        self._next = self._begun

    @property
    def left(self) -> float:
        """Seconds that are left; infinity where there is no limit."""
        return float("inf") if self.seconds is None else self.seconds - (self._clock() - self._begun)

    def take(self, *, creates: bool) -> None:
        """Waits until a request may be sent. Raises OutOfBudget where it may not be."""
        if self.left <= 0:
            raise OutOfBudget(f"--max-seconds {self.seconds:g} are over")
        if creates and self.jobs is not None and self.made >= self.jobs:
            raise OutOfBudget(f"--max-jobs {self.jobs} are made")
        now = self._clock()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + self._pause

    def note(self, status: int) -> None:
        """A create was answered with this status, 0 for no answer. After trouble nobody knows; 503 is a refusal."""
        self.made += status < 300 or (status >= 500 and status not in REFUSED_FOR_NOW)
