"""Seconds that pass, also where a test has frozen the clocks of `time`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

#: Where dates stop, in Unix seconds: 9999-12-31, the last day that HTTP can name.
LAST_DATE_S: Final = 253402214400


def _real_clock() -> Callable[[], float]:
    # freezegun replaces time.monotonic wherever it is, and may have done so before this import; this it leaves alone.
    if hasattr(time, "clock_gettime"):
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    return time.monotonic  # on Windows


#: A monotonic clock.
monotonic: Final = _real_clock()


def _real_date() -> float:
    if hasattr(time, "clock_gettime"):
        return time.clock_gettime(time.CLOCK_REALTIME)
    return time.time()  # on Windows


#: What the monotonic clock showed at the epoch of Unix, as far as this process knows.
_EPOCH: Final = monotonic() - _real_date()


def unix_time() -> float:
    """Return Unix seconds that never go back in this process, and mean the same in the next and in others."""
    return monotonic() - _EPOCH


class RealTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers run although the test's time stands still."""

    def time(self) -> float:
        """Return seconds of the real clock."""
        return monotonic()
