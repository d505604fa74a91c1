"""What a run may cost: jobs, seconds, and requests a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from mockveo.errors import MockveoError
from mockveo.http.statuses import REFUSED_FOR_NOW
from mockveo_contracts.interruption import Interrupted, Stop

#: Seconds that all requests of a run together may take without a complete response. Arbitrary.
MAX_LOST_S: Final = 90.0
#: Bytes that all responses of a run together may have. Arbitrary: some ten videos of 8 s in 4K.
MAX_RECEIVED_BYTES: Final = 2**30


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
        stop: Stop | None = None,
    ) -> None:
        self.jobs = jobs
        self.seconds = seconds
        self.stop = stop or Stop()
        #: Seconds that may still pass without a complete response, and bytes that may still arrive.
        self.patience_s = MAX_LOST_S
        self._bytes_left = MAX_RECEIVED_BYTES
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
        problem = self.problem(creates=creates)
        if problem:
            raise OutOfBudget(problem)
        now = self._clock()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + self._pause

    def problem(self, *, creates: bool) -> str:
        """Return what does not allow another request; empty if it is allowed."""
        if self.stop.asked:
            return str(Interrupted())
        if self.patience_s <= 0:
            return f"requests took {MAX_LOST_S:g} s in total without a complete response"
        if self._bytes_left <= 0:
            return f"the responses had {MAX_RECEIVED_BYTES} bytes in total"
        if self.left <= 0:
            return f"--max-seconds {self.seconds:g} are over"
        if creates and self.jobs is not None and self.made >= self.jobs:
            return f"--max-jobs {self.jobs} are made"
        return ""

    def receive(self, size: int, lost_s: float) -> None:
        """Count the bytes of a response, and the seconds without a complete one."""
        self._bytes_left -= size
        self.patience_s -= lost_s

    def note(self, status: int) -> None:
        """Count a create with this status, 0 for no response; after trouble it may have made a job."""
        self.made += status < 300 or (status >= 500 and status not in REFUSED_FOR_NOW)
