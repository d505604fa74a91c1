"""Seconds that pass, also where a test has frozen the clocks of `time`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final


def _real_clock() -> Callable[[], float]:
    # freezegun replaces time.monotonic wherever it is, and may have done so before this import; this it leaves alone.
    if hasattr(time, "clock_gettime"):
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    return time.monotonic  # on Windows


#: A monotonic clock.
monotonic: Final = _real_clock()


class RealTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers run although the test's time stands still."""

    def time(self) -> float:
        """Return seconds of the real clock."""
        return monotonic()
