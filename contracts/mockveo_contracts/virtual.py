"""Virtual time: for the threads of a client under test, sleeping costs nothing and the clock shows what was slept.

`installed()` puts a layer over the functions of `time` and over `asyncio`'s loops. It looks, for each call, whether the
calling thread has a time of its own; all others - the server, the checker - go on as before. A thread that a client
starts has its client's time.
"""

from __future__ import annotations

import asyncio
import ctypes
import selectors
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

from mockveo.clock import Clock

#: Seconds that an answer costs, so that a loop without a pause comes to an end.
COST: Final = 0.001
#: Answers after which a client counts as one that will not end by itself.
MOST_ANSWERS: Final = 1500
#: Our own seconds that the events of other threads get to arrive.
GRACE: Final = 0.0005
_FUNCTIONS: Final = ("sleep", "monotonic", "monotonic_ns", "time", "time_ns", "perf_counter", "perf_counter_ns")
_REAL: Final[dict[str, Callable[..., Any]]] = {name: getattr(time, name) for name in _FUNCTIONS}
_OWN: Final = threading.local()


class Ended(BaseException):
    """Ends a client that does not end by itself. Not an Exception, so that a client's own handlers let it pass."""


class VirtualTime:
    """The time of one case, in seconds since it began; `limit` is when its client is ended. Safe for threads."""

    def __init__(self, *, limit: float) -> None:
        self.limit = limit
        self.date: float = _REAL["time"]()
        self._now = 0.0
        self._lock = threading.Lock()
        self._answers = 0
        #: Set once there are too many answers.
        self.busy_loop = threading.Event()

    def now(self) -> float:
        """Seconds since the case began."""
        return self._now

    def pass_(self, seconds: float) -> None:
        """Lets time pass."""
        with self._lock:
            self._now += max(seconds, 0.0)

    def sleep(self, seconds: float) -> None:
        """What `time.sleep` is. Raises Ended beyond the limit."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.pass_(seconds)
        self.check()

    def check(self) -> None:
        """Raises Ended beyond the limit."""
        if self._now > self.limit or self.busy_loop.is_set():
            raise Ended

    def answered(self) -> None:
        """An answer goes out."""
        self.pass_(COST)
        self._answers += 1
        if self._answers > MOST_ANSWERS:
            self.busy_loop.set()


class CaseClock(Clock):
    """The clock of a world that goes by the time of a case: `speed` seconds in one of the client's."""

    def __init__(self, virtual: VirtualTime, speed: float) -> None:
        super().__init__("wall", speed=speed, date=virtual.date, tick=virtual.now)
        self._virtual = virtual

    def read(self) -> tuple[float, float]:
        """Both hands at once, as an answer is made."""
        self._virtual.answered()
        return super().read()


def current() -> VirtualTime | None:
    """The time of the calling thread, where it has one of its own."""
    return getattr(_OWN, "time", None)


def run(virtual: VirtualTime, call: Callable[[], None]) -> threading.Thread:
    """A thread, not started, in which a call has a time of its own."""

    def inside() -> None:
        _OWN.time = virtual
        call()

    return threading.Thread(target=inside, name="mockveo-client", daemon=True)


def interrupt(thread: threading.Thread) -> None:
    """Raises Ended in a thread, as soon as it runs Python."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Ended))


def _sleep(seconds: float) -> None:
    virtual = current()
    if virtual is None:
        _REAL["sleep"](seconds)
    else:
        virtual.sleep(seconds)


def _reader(name: str) -> Callable[[], Any]:
    real, nanoseconds = _REAL[name], name.endswith("_ns")
    by_date = name.startswith("time")

    def read() -> Any:
        virtual = current()
        if virtual is None:
            return real()
        seconds = virtual.now() + (virtual.date if by_date else 0.0)
        return int(seconds * 1e9) if nanoseconds else seconds

    return wraps(real)(read)


def _waits(wait: Callable[..., bool]) -> Callable[..., bool]:
    """`Event.wait`, which some use for a sleep that can be cut short."""

    def virtually(self: threading.Event, timeout: float | None = None) -> bool:
        virtual = current()
        if virtual is None or timeout is None or self.is_set():
            return wait(self, timeout)
        # Somebody may be about to set it: another thread, in our own time.
        if wait(self, min(timeout, 20 * GRACE)):
            return True
        virtual.sleep(timeout)
        return self.is_set()

    return virtually


def _starts(start: Callable[..., None]) -> Callable[..., None]:
    """`Thread.start`, which hands the time on."""

    def handing_on(self: threading.Thread) -> None:
        virtual = current()
        if virtual is not None:
            call = self.run

            def inside() -> None:
                _OWN.time = virtual
                call()

            self.run = inside  # type: ignore[method-assign]
        start(self)

    return handing_on


_LAYER: Final[dict[str, Callable[..., Any]]] = {
    "sleep": wraps(_REAL["sleep"])(_sleep),
    **{name: _reader(name) for name in _FUNCTIONS if name != "sleep"},
}


@contextmanager
def installed(settle: Callable[[], bool]) -> Iterator[None]:
    """Puts the layer on. `settle` lets the server take what was sent, and says whether it is at work on an answer."""
    before: list[tuple[Any, str, Any]] = []

    def put(where: Any, name: str, what: Any) -> None:
        before.append((where, name, getattr(where, name)))
        setattr(where, name, what)

    of_real = {id(_REAL[name]): what for name, what in _LAYER.items()}
    for module in list(sys.modules.values()):
        # `from time import sleep` in a client, say. The standard library's own waits are for its threads.
        top = getattr(module, "__name__", "").partition(".")[0]
        if module is not time and (top in sys.stdlib_module_names or top in ("mockveo", "mockveo_contracts")):
            continue
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in of_real and value is not None:
                put(module, name, of_real[id(value)])
    put(threading.Event, "wait", _waits(threading.Event.wait))
    put(threading.Thread, "start", _starts(threading.Thread.start))
    make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        virtual = current()
        return make() if virtual is None else JumpingLoop(virtual, settle)

    put(asyncio.events, "new_event_loop", new_event_loop)
    put(asyncio, "new_event_loop", new_event_loop)
    try:
        yield
    finally:
        for where, name, value in reversed(before):
            setattr(where, name, value)


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop that, where nothing is under way, jumps to its next timer instead of waiting for it."""

    def __init__(self, virtual: VirtualTime, settle: Callable[[], bool]) -> None:
        self._at_work = 0
        super().__init__(_Jumping(virtual, lambda: self._at_work > 0, settle))

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # as it is called
        """As asyncio's; what a thread is at is waited for."""
        self._at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self._done())
        return future

    def _done(self) -> None:
        self._at_work -= 1


class _Jumping(selectors.DefaultSelector):
    def __init__(self, virtual: VirtualTime, at_work: Callable[[], bool], settle: Callable[[], bool]) -> None:
        super().__init__()
        self._virtual = virtual
        self._at_work = at_work
        self._settle = settle
        self._told = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        while not ready and (timeout is None or timeout > 0):
            working = self._settle() or self._at_work()
            ready = super().select(GRACE)
            if ready or working:
                continue
            if timeout is None:
                # Nothing is under way, and no timer: it waits for another thread, or for ever.
                ready = super().select(20 * GRACE)
                self._end()
                continue
            self._virtual.pass_(timeout)
            self._end()
            break
        return ready

    def _end(self) -> None:
        """Ends the client, once: what it does to come to its end may take its time."""
        if not self._told:
            try:
                self._virtual.check()
            except Ended:
                self._told = True
                raise
