"""Virtual time: for the threads of a client under test, sleeping costs nothing and the clock shows what was slept.

`installed()` puts a layer over the functions of `time`, over waits with a timeout, over `asyncio`'s loops and over what
is logged. It looks, for each call, whether the calling thread has a time of its own; all others - the server, the
checker - go on as before. A thread that a client starts has its client's time. What `datetime` shows is our own.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import queue
import select
import selectors
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ClassVar, Final

from mockveo.simulator.clock import Clock

#: Seconds that an answer costs, so that a loop without a pause comes to an end.
COST: Final = 0.001
#: Answers after which a client counts as one that will not end by itself.
MOST_ANSWERS: Final = 1500
#: Our own seconds that the events of other threads get to arrive.
GRACE: Final = 0.0005
#: Characters of what a client writes that are kept.
KEPT: Final = 64 * 1024
#: Our own seconds, and how many times them, that a thread gets to notify one that waits.
SLICE: Final = 0.01
SLICES: Final = 25
_FUNCTIONS: Final = ("sleep", "monotonic", "monotonic_ns", "time", "time_ns", "perf_counter", "perf_counter_ns")
_REAL: Final[dict[str, Callable[..., Any]]] = {name: getattr(time, name) for name in _FUNCTIONS}
_OWN: Final = threading.local()


class Ended(BaseException):
    """Ends a client that does not end by itself. Not an Exception, so that a client's own handlers let it pass."""


class CapturedOutput:
    """What a client writes: looked through for its key as it comes, and the end of it kept."""

    def __init__(self, key: str = "") -> None:
        self._key = key
        #: Whether the key was in it.
        self.leaked = False
        #: The last of it.
        self.text = ""

    def write(self, text: str) -> int:
        """Takes a text."""
        seen = self.text[-len(self._key) :] + text if self._key else text
        self.leaked = self.leaked or (bool(self._key) and self._key in seen)
        self.text = (self.text + text)[-KEPT:]
        return len(text)


class VirtualTime:
    """The time of one case, in seconds since it began; `limit` is when its client is ended. Safe for threads.

    `settle` lets the server take what was sent, and says whether it is at work on an answer; `output` takes what the
    client writes.
    """

    _latest: ClassVar[VirtualTime | None] = None

    def __init__(
        self, *, limit: float, settle: Callable[[], bool] = lambda: False, output: CapturedOutput | None = None
    ) -> None:
        self.limit = limit
        self.settle = settle
        self.output = output or CapturedOutput()
        self.date: float = _REAL["time"]()
        #: What the clocks that never go back show when it begins: not less than at the end of the case before.
        self.begun: float = _REAL["monotonic"]()
        before = VirtualTime._latest
        if before is not None:
            self.begun = max(self.begun, before.begun + before.now())
        VirtualTime._latest = self
        self._now = 0.0
        self._lock = threading.Lock()
        self._answers = 0
        #: Threads of the client's that are alive.
        self.threads = 0
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

    def inside(self, call: Callable[[], object]) -> Callable[[], None]:
        """A call that has this time, in whatever thread it runs."""

        def run() -> None:
            _OWN.time = self
            with self._lock:
                self.threads += 1
            try:
                call()
            finally:
                with self._lock:
                    self.threads -= 1

        return run


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
    return threading.Thread(target=virtual.inside(call), name="mockveo-client", daemon=True)


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
        seconds = virtual.now() + (virtual.date if by_date else virtual.begun)
        return int(seconds * 1e9) if nanoseconds else seconds

    return wraps(real)(read)


def _waits(wait: Callable[..., bool]) -> Callable[..., bool]:
    """`Condition.wait`, behind events, queues and futures: some use them for a sleep that can be cut short."""

    def virtually(self: threading.Condition, timeout: float | None = None) -> bool:
        virtual = current()
        if virtual is None or timeout is None or timeout <= 0:
            return wait(self, timeout)
        # Somebody may be about to notify, in our own time: another thread of the client's, with what the server says.
        for _ in range(SLICES if virtual.threads > 1 else 1):
            if wait(self, min(timeout, SLICE)):
                return True
        virtual.sleep(timeout)
        return False

    return virtually


def _selects(select_: Callable[..., Any]) -> Callable[..., Any]:
    """`select.select`, which sleeps where it is given nothing to wait for."""

    def virtually(*lists_and_timeout: Any) -> Any:
        virtual = current()
        *lists, timeout = lists_and_timeout if len(lists_and_timeout) > 3 else (*lists_and_timeout, None)
        if virtual is None or timeout is None or any(lists):
            return select_(*lists_and_timeout)
        virtual.sleep(timeout)
        return [], [], []

    return wraps(select_)(virtually)


def _starts(start: Callable[..., None]) -> Callable[..., None]:
    """`Thread.start`, which hands the time on."""

    def handing_on(self: threading.Thread) -> None:
        virtual = current()
        if virtual is not None:
            self.run = virtual.inside(self.run)  # type: ignore[method-assign]
        start(self)

    return handing_on


def _emits(emit: Callable[..., None]) -> Callable[..., None]:
    """`StreamHandler.emit`: a handler may have got its stream long before."""

    def caught(self: logging.Handler, record: logging.LogRecord) -> None:
        virtual = current()
        if virtual is None:
            emit(self, record)
        else:
            virtual.output.write(f"{self.format(record)}\n")

    return caught


_LAYER: Final[dict[str, Callable[..., Any]]] = {
    "sleep": wraps(_REAL["sleep"])(_sleep),
    **{name: _reader(name) for name in _FUNCTIONS if name != "sleep"},
}
_LAID: Final[list[tuple[Any, str, Any]]] = []
_LAYING: Final = threading.Lock()
_holders = 0


@contextmanager
def installed() -> Iterator[None]:
    """Puts the layer on, where it is not on yet; the last that leaves takes it off."""
    global _holders  # noqa: PLW0603 - there is one `time` in a process, too
    with _LAYING:
        _holders += 1
        if _holders == 1:
            _lay_on_all()
        _lay_on_names()
    try:
        yield
    finally:
        with _LAYING:
            _holders -= 1
            while _LAID and not _holders:
                where, name, value = _LAID.pop()
                setattr(where, name, value)


def _put(where: Any, name: str, what: Any) -> None:
    _LAID.append((where, name, getattr(where, name)))
    setattr(where, name, what)


def _lay_on_all() -> None:
    for name, what in _LAYER.items():
        _put(time, name, what)
    # What a queue and a condition reckon the rest of their waiting by.
    _put(threading, "_time", _LAYER["monotonic"])
    _put(queue, "time", _LAYER["monotonic"])
    _put(threading.Condition, "wait", _waits(threading.Condition.wait))
    _put(threading.Thread, "start", _starts(threading.Thread.start))
    _put(select, "select", _selects(select.select))
    _put(logging.StreamHandler, "emit", _emits(logging.StreamHandler.emit))
    make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        virtual = current()
        return make() if virtual is None else JumpingLoop(virtual, virtual.settle)

    _put(asyncio.events, "new_event_loop", new_event_loop)
    _put(asyncio, "new_event_loop", new_event_loop)


def _lay_on_names() -> None:
    """`from time import sleep` in a client, say. The standard library's own waits are for its threads."""
    of_real = {id(_REAL[name]): what for name, what in _LAYER.items()}
    for module in list(sys.modules.values()):
        top = getattr(module, "__name__", "").partition(".")[0]
        if top in sys.stdlib_module_names or top in ("mockveo", "mockveo_contracts"):
            continue
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in of_real and value is not None:
                _put(module, name, of_real[id(value)])


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
