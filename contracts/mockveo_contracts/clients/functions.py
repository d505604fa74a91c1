"""Drives a client that is a Python function, in this process and in virtual time: its sleeps cost nothing."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, Final, Self, TextIO

from mockveo.errors import SettingsError, did_you_mean
from mockveo.spec.spec import Spec
from mockveo_contracts.case import Case, DeadlinePassed, JobFailed, Killed, result
from mockveo_contracts.case import features as checked_features
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients import virtual_time
from mockveo_contracts.clients.driver import PATIENCE_S, ClientInfo, isolated
from mockveo_contracts.clients.testbed import CaseRun, OpenCase, Testbed

#: Our own seconds that a case may take: a client may wait for something that virtual time does not move; arbitrary.
MAX_CASE_S: Final = 15.0
#: Our own seconds between two looks at whether a client has ended.
_TICK_S: Final = 0.25
#: How often Ended is raised in a client that catches it, and the seconds between; arbitrary.
_MAX_INTERRUPTS: Final = 20
_INTERRUPT_TICK_S: Final = 0.1
#: What `signal.signal` says in a thread.
_SIGNAL_IN_THREAD: Final = "signal only works in main thread"


class Functions:
    """A driver of a function that takes a Case and returns an Outcome or a coroutine. A context manager.

    Raises SettingsError for a function that takes something else.
    """

    def __init__(
        self,
        function: Callable[[Case], Any],
        *,
        name: str = "",
        features: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        _check_parameters(function)
        self._function = function
        self._testbed = Testbed(**(settings or {}))
        self._exit = ExitStack()
        declared = getattr(function, "features", {}) if features is None else features
        #: The client, as its attributes describe it.
        self.client = ClientInfo(name or _name(function), getattr(function, "version", ""), checked_features(declared))

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            entered.enter_context(self._testbed)
            entered.enter_context(_isolated_environment())
            entered.enter_context(virtual_time.installed())
            self._exit = entered.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def spec(self) -> Spec:
        """The API description that the client is checked against."""
        return self._testbed.spec

    def play(self, test_cases: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Play cases, one after the other."""
        return map(self._play, test_cases)

    def _play(self, test_case: TestCase) -> CaseRun:
        output = virtual_time.CapturedOutput(test_case.key)
        time = virtual_time.VirtualTime(
            limit=test_case.deadline + PATIENCE_S, settle=self._testbed.settle, output=output
        )
        # One at a time in a process, since the streams of the process are redirected meanwhile.
        with _PLAYING:
            open_case = self._testbed.open(test_case, time)
            try:
                call, ended_by = self._start(open_case, time)
                while open_case.goes_on(call.outcome):
                    time = _next_time(open_case, time)
                    call, ended_by = self._start(open_case, time)
                leaks = [place for place, text in call.texts() if any(form in text for form in output.forms)]
                if output.leaked:
                    leaks.append("the output")
                return open_case.run(
                    call.outcome,
                    self.client.features,
                    leaks=leaks,
                    ended_by=ended_by if call.outcome is None else None,
                    adapter_error=call.adapter_error,
                    output=output.text + call.traceback,
                )
            finally:
                open_case.close()

    def _start(self, open_case: OpenCase, time: virtual_time.VirtualTime) -> tuple[_Call, str | None]:
        """Call the function; return the call, and what ended it if it did not end by itself."""
        test_case, call = open_case.test_case, _Call(self._function, open_case.case)
        if open_case.course is not None:
            open_case.course.on_kill = time.kill
        thread = virtual_time.run(time, call)
        with _redirected_streams():
            thread.start()
            ended_by = _wait(thread, time, MAX_CASE_S if test_case.patience is None else test_case.patience)
        if thread.is_alive() or open_case.killed:
            call = _Call(self._function, open_case.case)  # so that nothing it still does becomes its result
        return call, ended_by


def _next_time(open_case: OpenCase, time: virtual_time.VirtualTime) -> virtual_time.VirtualTime:
    """Return the time of the next start."""
    assert open_case.course is not None
    time = time.restarted(open_case.course.down_s, open_case.test_case.deadline + PATIENCE_S)
    clock = open_case.world.clock
    assert isinstance(clock, virtual_time.CaseClock)
    clock.virtual = time
    return time


_PLAYING: Final = threading.Lock()


@contextmanager
def _isolated_environment() -> Iterator[None]:
    """Give this process the environment that programs get, within the block."""
    before = dict(os.environ)
    variables = isolated(before)
    for name in before.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _wait(thread: threading.Thread, time: virtual_time.VirtualTime, seconds: float) -> str | None:
    """Wait for a client, for some of our seconds at most; return what ended it, if it did not end by itself."""
    left = seconds
    while thread.is_alive() and left > 0 and not time.busy_loop.is_set():
        thread.join(_TICK_S)
        left -= _TICK_S
    if not thread.is_alive():
        return f"{PATIENCE_S:g} s" if time.now() > time.limit else None
    reason = f"{virtual_time.MAX_ANSWERS} requests" if time.busy_loop.is_set() else f"{seconds:g} s"
    for _ in range(_MAX_INTERRUPTS):
        time.busy_loop.set()
        virtual_time.interrupt(thread)
        thread.join(_INTERRUPT_TICK_S)
        if not thread.is_alive():
            break
    return reason


class _Call:
    """One call of the function, with its outcome."""

    def __init__(self, function: Callable[[Case], Any], case: Case) -> None:
        self._function = function
        self._case = case
        self.outcome: dict[str, Any] | None = None
        self.adapter_error = ""
        #: Of the exception that it raised, if that was not one of ours.
        self.traceback = ""

    def __call__(self) -> None:
        try:
            returned = self._function(self._case)
            if inspect.isawaitable(returned):
                returned = asyncio.run(_awaited(returned))
        except (virtual_time.Ended, Killed):
            return
        except JobFailed as error:
            self._take_exception("failed", error)
        except DeadlinePassed as error:
            self._take_exception("timeout", error)
        except BaseException as error:  # noqa: BLE001 - any other exception is the client's outcome
            self._take_exception("error", error)
        else:
            self._take_result(returned)

    def _take_result(self, returned: Any) -> None:
        try:
            self.outcome = result(returned)
        except ValueError as error:
            self.adapter_error = str(error)
        except Exception as error:  # noqa: BLE001 - its own methods may raise anything
            self.adapter_error = f"the result cannot be read: {type(error).__name__} {_text(error)}".rstrip()

    def _take_exception(self, outcome: str, error: BaseException) -> None:
        message = _text(error)
        if isinstance(error, ValueError) and message.startswith(_SIGNAL_IN_THREAD):
            self.adapter_error = "the client sets signal handlers, which a function cannot; check it as a program"
            return
        if outcome == "error":
            with suppress(Exception):  # an exception that cannot be printed
                self.traceback = "".join(traceback.format_exception(error))
        reason = {"type": type(error).__name__, "message": message}
        video = error.video if isinstance(error, DeadlinePassed) else None
        self._take_result({"outcome": outcome, "video": video, "content_path": None, "error": reason})

    def texts(self) -> list[tuple[str, str]]:
        """Return the texts to look for the key in, each with its place."""
        # A traceback shows lines of code and the message, never values; so only the message can have the key.
        return [("the result", json.dumps(self.outcome, ensure_ascii=False))]


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def load(path: str) -> Callable[[Case], Any]:
    """Return the function at `package.module:name`. Raises SettingsError, with what is missing."""
    module_name, colon, name = path.partition(":")
    if not colon or not module_name or not name:
        raise SettingsError(f"--python is {path!r}; expected a module and a function in it, e.g. my_client:client")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise SettingsError(f"--python {path}: {module_name} needs {error.name!r}, which is missing") from None
        hint = "" if module_name.isidentifier() else "; a module is named with dots and without .py"
        raise SettingsError(f"--python {path}: there is no module {module_name!r} here{hint}") from None
    function: Any = module
    for part in name.split("."):
        if not hasattr(function, part):
            suggestion = did_you_mean(part, [public for public in vars(module) if not public.startswith("_")])
            raise SettingsError(f"--python {path}: {module_name} has no {part!r}; {suggestion}expected a function")
        function = getattr(function, part)
    if not callable(function):
        raise SettingsError(f"--python {path}: {name} is not a function; expected one that takes a case")
    return partial(function) if inspect.isclass(function) else function


def _check_parameters(function: Callable[..., Any]) -> None:
    """Raise SettingsError for a function that cannot be called with a case."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # one in C may have none
        return
    try:
        signature.bind(object())
    except TypeError:
        raise SettingsError(
            f"the function {_name(function)} takes {signature}; expected one that takes a case,"
            " e.g. def client(case: Case) -> Outcome"
        ) from None


def _name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}:{name}".lstrip(":")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot be printed
        return ""


@contextmanager
def _redirected_streams() -> Iterator[None]:
    """Capture what clients write, in any thread, within the block; other threads write as before."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _ClientStream(streams[0]), _ClientStream(streams[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _ClientStream(io.TextIOBase):
    """A stream that captures what the threads of clients write, and passes on the rest."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text to the output of the calling thread."""
        time = virtual_time.current()
        return self._stream.write(text) if time is None else time.output.write(text)

    @property
    def buffer(self) -> Any:
        """The same for bytes."""
        return self._stream.buffer if virtual_time.current() is None else _ClientBytes()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Return whether it is a terminal; for a client it is not."""
        return virtual_time.current() is None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return self._stream.fileno()

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()


class _ClientBytes(io.RawIOBase):
    def write(self, data: Any) -> int:
        time = virtual_time.current()
        if time is not None:
            time.output.write(bytes(data).decode("utf-8", "replace"))
        return len(data)
