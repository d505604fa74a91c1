"""What a run may cost: jobs, seconds, and requests a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from mockveo.errors import MockveoError
from mockveo.http.statuses import REFUSED_FOR_NOW


class OutOfBudget(MockveoError):
    """The budget of the run does not allow another request."""


class Budget:
    """The budget of a run; None is no limit.

    A job counts once it was made, or may have been made. A refused create costs nothing, but one that should be refused
    is sent only while another job is affordable, in case the server accepts it.
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
        #: Jobs that were made, or may have been made.
        self.made = 0
        self._clock, self._sleep = clock, sleep
        self._begun = clock()
        self._pause = 1 / rate if rate else 0.0
        self._next = self._begun

    @property
    def left(self) -> float:
        """The remaining seconds; infinity without a limit."""
        return float("inf") if self.seconds is None else self.seconds - (self._clock() - self._begun)

    def take(self, *, creates: bool) -> None:
        """Wait until the rate allows a request. Raises OutOfBudget."""
        if self.left <= 0:
            raise OutOfBudget(f"--max-seconds {self.seconds:g} are over")
        if creates and self.jobs is not None and self.made >= self.jobs:
            raise OutOfBudget(f"--max-jobs {self.jobs} are made")
        now = self._clock()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + self._pause

    def note(self, status: int) -> None:
        """Count a create with this status, 0 for no response; after trouble it may have made a job."""
        self.made += status < 300 or (status >= 500 and status not in REFUSED_FOR_NOW)
