"""How a run ends before its time: a signal sets a flag, and interrupts a wait for the client or the server."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupted(BaseException):
    """A signal asked for the end of a check."""

    def __str__(self) -> str:
        return "it was interrupted"


class Stop:
    """Whether a check should end before its time.

    Code that must finish what it has begun looks at `asked` between its steps; code that waits for a client waits
    within `soon`, or gives `cutting` what ends the wait of another thread.
    """

    def __init__(self) -> None:
        self.asked = False
        self._soon = self._raised = False
        self._cut: Callable[[], object] = _nothing

    @contextmanager
    def soon(self) -> Iterator[None]:
        """Raise Interrupted within the block when the check should end; only once, so that cleaning up can finish."""
        self._soon = True
        try:
            if self.asked:
                self._raise()
            yield
        finally:
            self._soon = False

    @contextmanager
    def cutting(self, cut: Callable[[], object]) -> Iterator[None]:
        """Call a function when the check should end within the block, from the handler of the signal."""
        self._cut = cut
        try:
            if self.asked:
                cut()
            yield
        finally:
            self._cut = _nothing

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Let SIGINT, SIGTERM and SIGHUP end the check, except those that the process ignores."""
        before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            numbers = [number for name in _SIGNALS if (number := getattr(signal, name, None)) is not None]
            handlers = {number: signal.getsignal(number) for number in numbers}
            # SIG_IGN is what `nohup` sets, and must last; None is a handler from C, which Python cannot restore.
            before = {number: old for number, old in handlers.items() if old not in (signal.SIG_IGN, None)}
        for number in before:
            signal.signal(number, self._ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.asked = True
        self._cut()
        if self._soon:
            self._raise()

    def _raise(self) -> None:
        if not self._raised:
            self._raised = True
            raise Interrupted


def _nothing() -> None:
    """Cut nothing off."""
