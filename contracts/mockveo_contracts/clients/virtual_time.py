"""Virtual time: for the threads of a client under test, sleeping costs nothing and clocks show what was slept.

`installed()` patches the functions of `time`, waits with a timeout, `asyncio`'s loops and the handlers of `logging`.
Each patch looks whether the calling thread has its own time; the threads of the server and of the check go on as
before. A thread that a client starts inherits its client's time. `datetime` is written in C, and shows real time.
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
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, ClassVar, Final

from mockveo.simulator.clock import Clock
from mockveo.traffic.redaction import forms_of
from mockveo_contracts.case import Killed

#: Virtual seconds that an answer costs, so that a loop without a pause comes to an end; as fast as a good network.
ANSWER_S: Final = 0.001
#: Answers of a case after which one comes so many virtual seconds after the one before, so that the jobs of a client
#: that never pauses end soon; arbitrary: more than a create and its redirects, and less than any pause that a rule asks
#: for.
MANY_ANSWERS: Final = 5
LATE_GAP_S: Final = 0.01
#: Answers after which a client counts as one that does not end by itself; arbitrary, far above any case's need.
MAX_ANSWERS: Final = 1500
#: Our own seconds in which the events of other threads may arrive; measured, an event takes a tenth of it.
GRACE_S: Final = 0.0005
#: The same, as a multiple, before a loop that waits for nothing else is ended; arbitrary.
LAST_GRACE: Final = 20
#: The end of a client's output that is kept, in characters; arbitrary.
MAX_OUTPUT_CHARS: Final = 64 * 1024
#: Our own seconds, and how many times them, in which a thread may notify one that waits; arbitrary.
NOTIFY_SLICE_S: Final = 0.01
NOTIFY_SLICES: Final = 25
_FUNCTIONS: Final = ("sleep", "monotonic", "monotonic_ns", "time", "time_ns", "perf_counter", "perf_counter_ns")
_REAL: Final[dict[str, Callable[..., Any]]] = {name: getattr(time, name) for name in _FUNCTIONS}
_OWN: Final = threading.local()


class Ended(BaseException):
    """The end of a client that does not end by itself; not an Exception, so that its own handlers let it pass."""


class CapturedOutput:
    """The end of a client's output, and whether the client's key was anywhere in it, in one of its `forms`."""

    def __init__(self, key: str = "") -> None:
        self.forms = forms_of(key) if key else ()
        self.leaked = False
        self.text = ""

    def write(self, text: str) -> int:
        """Add a text."""
        # With the text before it, as a key may be written in pieces.
        self.leaked = self.leaked or any(form in self.text[-len(form) :] + text for form in self.forms)
        self.text = (self.text + text)[-MAX_OUTPUT_CHARS:]
        return len(text)


class VirtualTime:
    """The time of one case, in seconds since it began. Safe for threads.

    The client is ended at `limit`. `settle` lets the server take what was sent, and returns whether it is at work on
    an answer; `output` captures what the client writes.
    """

    _latest: ClassVar[VirtualTime | None] = None

    def __init__(
        self, *, limit: float, settle: Callable[[], bool] = lambda: False, output: CapturedOutput | None = None
    ) -> None:
        self.limit = limit
        self.settle = settle
        self.output = output or CapturedOutput()
        self.date: float = _REAL["time"]()
        #: What monotonic clocks show at the beginning: not less than at the end of the case before.
        self.begun: float = _REAL["monotonic"]()
        before = VirtualTime._latest
        if before is not None:
            self.begun = max(self.begun, before.begun + before.now())
        VirtualTime._latest = self
        self._now = 0.0
        self._lock = threading.Lock()
        self._answers = 0
        self._answered_at = 0.0
        #: The threads of the client that are alive.
        self._alive = set[threading.Thread]()
        #: Set after too many answers.
        self.busy_loop = threading.Event()
        self._killed = False

    def restarted(self, down_s: float, seconds: float) -> VirtualTime:
        """Return the time of the next start of the same case, which gets some seconds after those it is down."""
        time = VirtualTime(limit=self._now + down_s + seconds, settle=self.settle, output=self.output)
        time.begun, time.date = self.begun, self.date
        time._now = self._now + down_s
        return time

    def kill(self) -> None:
        """Raise Killed in all threads of the client, now and whenever they look at the time again."""
        self._killed = True
        with self._lock:
            for thread in self._alive:
                interrupt(thread, Killed)

    @property
    def threads(self) -> int:
        """How many threads of the client are alive."""
        return len(self._alive)

    def now(self) -> float:
        """Return the seconds since the case began."""
        return self._now

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += max(seconds, 0.0)

    def sleep(self, seconds: float) -> None:
        """Sleep, as `time.sleep` does. Raises Ended beyond the limit."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.pass_(seconds)
        self.check()

    def check(self) -> None:
        """Raise Ended beyond the limit, and Killed after a kill."""
        if self._killed:
            raise Killed
        if self._now > self.limit or self.busy_loop.is_set():
            raise Ended

    def answered(self) -> None:
        """Count an answer of the server."""
        self._answers += 1
        gap = LATE_GAP_S if self._answers > MANY_ANSWERS else 0.0
        self.pass_(max(ANSWER_S, self._answered_at + gap - self._now))
        self._answered_at = self._now
        if self._answers > MAX_ANSWERS:
            self.busy_loop.set()

    def inside(self, call: Callable[[], object]) -> Callable[[], None]:
        """Return a call that has this time, in whatever thread it runs."""

        def run() -> None:
            _OWN.time = self
            with self._lock:
                self._alive.add(threading.current_thread())
            # A thread of the client may be killed while it ends.
            with suppress(Ended, Killed):
                try:
                    call()
                finally:
                    with self._lock:
                        self._alive.discard(threading.current_thread())

        return run


class CaseClock(Clock):
    """The clock of a world that follows virtual time: `speed` seconds in one of the client's."""

    def __init__(self, virtual: VirtualTime, speed: float) -> None:
        #: The time of the present start of the case.
        self.virtual = virtual
        super().__init__("wall", speed=speed, date=virtual.date, tick=self._now)

    def _now(self) -> float:
        return self.virtual.now()

    def read(self) -> tuple[float, float]:
        """Return both readings, and count the answer that they are read for."""
        self.virtual.answered()
        return super().read()


def current() -> VirtualTime | None:
    """Return the time of the calling thread, if it has its own."""
    return getattr(_OWN, "time", None)


def run(virtual: VirtualTime, call: Callable[[], None]) -> threading.Thread:
    """Return a thread, not started, in which a call has its own time."""
    return threading.Thread(target=virtual.inside(call), name="mockveo-client", daemon=True)


def interrupt(thread: threading.Thread, exception: type[BaseException] = Ended) -> None:
    """Raise an exception in a thread, as soon as it runs Python."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(exception))


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
    """Return `Condition.wait` for virtual time; events, queues and futures use it, often as a sleep."""

    def virtually(self: threading.Condition, timeout: float | None = None) -> bool:
        virtual = current()
        if virtual is None or timeout is None or timeout <= 0:
            return wait(self, timeout)
        # Another thread of the client may be about to notify, in our own time, with an answer of the server.
        for _ in range(NOTIFY_SLICES if virtual.threads > 1 else 1):
            if wait(self, min(timeout, NOTIFY_SLICE_S)):
                return True
        virtual.sleep(timeout)
        return False

    return virtually


def _selects(select_: Callable[..., Any]) -> Callable[..., Any]:
    """Return `select.select` for virtual time; given nothing to wait for, it sleeps."""

    def virtually(*lists_and_timeout: Any) -> Any:
        virtual = current()
        *lists, timeout = lists_and_timeout if len(lists_and_timeout) > 3 else (*lists_and_timeout, None)
        if virtual is None or timeout is None or any(lists):
            return select_(*lists_and_timeout)
        virtual.sleep(timeout)
        return [], [], []

    return wraps(select_)(virtually)


def _starts(start: Callable[..., None]) -> Callable[..., None]:
    """Return a `Thread.start` whose thread inherits the time."""

    def inheriting(self: threading.Thread) -> None:
        virtual = current()
        if virtual is not None:
            self.run = virtual.inside(self.run)  # type: ignore[method-assign]
        start(self)

    return inheriting


def _emits(emit: Callable[..., None]) -> Callable[..., None]:
    """Return a `StreamHandler.emit` that captures records: a handler may have taken its stream long before."""

    def captured(self: logging.Handler, record: logging.LogRecord) -> None:
        virtual = current()
        if virtual is None:
            emit(self, record)
        else:
            virtual.output.write(f"{self.format(record)}\n")

    return captured


#: Name of a function of `time` -> the one for virtual time.
_PATCHES: Final[dict[str, Callable[..., Any]]] = {
    "sleep": wraps(_REAL["sleep"])(_sleep),
    **{name: _reader(name) for name in _FUNCTIONS if name != "sleep"},
}
#: What was replaced: the object, the name of its attribute, and the value before.
_REPLACED: Final[list[tuple[Any, str, Any]]] = []
_PATCHING: Final = threading.Lock()
_holders = 0


@contextmanager
def installed() -> Iterator[None]:
    """Patch the process within the block; of several blocks, the last to end takes the patches back."""
    global _holders  # noqa: PLW0603 - there is one `time` in a process, too
    with _PATCHING:
        _holders += 1
        if _holders == 1:
            _patch_library()
        _patch_names()
    try:
        yield
    finally:
        with _PATCHING:
            _holders -= 1
            while _REPLACED and not _holders:
                owner, name, value = _REPLACED.pop()
                setattr(owner, name, value)


def _patch(owner: Any, name: str, value: Any) -> None:
    _REPLACED.append((owner, name, getattr(owner, name)))
    setattr(owner, name, value)


def _patch_library() -> None:
    for name, function in _PATCHES.items():
        _patch(time, name, function)
    # Queues and conditions compute the rest of their timeout with these.
    _patch(threading, "_time", _PATCHES["monotonic"])
    _patch(queue, "time", _PATCHES["monotonic"])
    _patch(threading.Condition, "wait", _waits(threading.Condition.wait))
    _patch(threading.Thread, "start", _starts(threading.Thread.start))
    _patch(select, "select", _selects(select.select))
    _patch(logging.StreamHandler, "emit", _emits(logging.StreamHandler.emit))
    make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        virtual = current()
        return make() if virtual is None else JumpingLoop(virtual, virtual.settle)

    _patch(asyncio.events, "new_event_loop", new_event_loop)
    _patch(asyncio, "new_event_loop", new_event_loop)


def _patch_names() -> None:
    """Patch names such as that of `from time import sleep` in a client, but not those of the standard library."""
    by_real = {id(_REAL[name]): function for name, function in _PATCHES.items()}
    for module in list(sys.modules.values()):
        top = getattr(module, "__name__", "").partition(".")[0]
        if top in sys.stdlib_module_names or top in ("mockveo", "mockveo_contracts"):
            continue
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in by_real and value is not None:
                _patch(module, name, by_real[id(value)])


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop that jumps to its next timer if nothing is under way, instead of waiting for it."""

    def __init__(self, virtual: VirtualTime, settle: Callable[[], bool]) -> None:
        self._at_work = 0
        super().__init__(_JumpingSelector(virtual, lambda: self._at_work > 0, settle))

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # as it is called
        """Run a call in a thread, which counts as under way."""
        self._at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self._done())
        return future

    def _done(self) -> None:
        self._at_work -= 1


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, virtual: VirtualTime, at_work: Callable[[], bool], settle: Callable[[], bool]) -> None:
        super().__init__()
        self._virtual = virtual
        self._at_work = at_work
        self._settle = settle
        self._ended = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        while not ready and (timeout is None or timeout > 0):
            working = self._settle() or self._at_work()
            ready = super().select(GRACE_S)
            if ready or working:
                continue
            if timeout is None:
                # Nothing is under way, and there is no timer: it waits for another thread, or forever.
                ready = super().select(LAST_GRACE * GRACE_S)
                self._end()
                continue
            self._virtual.pass_(timeout)
            self._end()
            break
        return ready

    def _end(self) -> None:
        """Raise Ended beyond the limit, once: what the client does to clean up may take its time."""
        if not self._ended:
            try:
                self._virtual.check()
            except (Ended, Killed):
                self._ended = True
                raise
