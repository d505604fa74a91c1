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
from mockveo_contracts.case import Case, DeadlinePassed, JobFailed, places_of, result
from mockveo_contracts.case import features as known_features
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients import virtual_time
from mockveo_contracts.clients.driver import PATIENCE, Client, nobodys
from mockveo_contracts.clients.testbed import CaseRun, OpenCase, Testbed

#: Our own seconds that a case may take, for a client that waits for what virtual time does not move.
MOST_SECONDS: Final = 15.0


class Functions:
    """A driver of one function, which takes a Case and returns an Outcome, or a coroutine of one. A context manager."""

    def __init__(
        self,
        call: Callable[[Case], Any],
        *,
        name: str = "",
        features: Mapping[str, Any] | None = None,
        stage: Mapping[str, Any] | None = None,
    ) -> None:
        self._call = call
        self._stage = Testbed(**(stage or {}))
        self._exit = ExitStack()
        declared = getattr(call, "features", {}) if features is None else features
        #: Who it is, and what it can do.
        self.client = Client(name or _name(call), getattr(call, "version", ""), known_features(declared))

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            entered.enter_context(self._stage)
            entered.enter_context(_nobodys_environment())
            entered.enter_context(virtual_time.installed())
            self._exit = entered.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def spec(self) -> Spec:
        """The document that the client is held against."""
        return self._stage.spec

    def play(self, scripts: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Plays scripts, one after the other."""
        return map(self._play, scripts)

    def _play(self, script: TestCase) -> CaseRun:
        output = virtual_time.CapturedOutput(script.key)
        time = virtual_time.VirtualTime(limit=script.deadline + PATIENCE, settle=self._stage.settle, output=output)
        # One at a time in a process, whose streams are caught meanwhile.
        with _PLAYING:
            scene = self._stage.open(script, time)
            call = _Call(self._call, scene)
            thread = virtual_time.run(time, call)
            with _caught():
                thread.start()
                ended_by = _wait(thread, time)
            if thread.is_alive():
                call = _Call(self._call, scene)  # nothing it still does is to be taken for its result
            try:
                return scene.play(
                    call.outcome,
                    self.client.features,
                    leaks=places_of(scene.case.api_key, call.said()) + (["the output"] if output.leaked else []),
                    ended_by=ended_by if call.outcome is None else None,
                    adapter_error=call.adapter_error,
                    output=output.text + call.traceback,
                )
            finally:
                scene.close()


_PLAYING: Final = threading.Lock()


@contextmanager
def _nobodys_environment() -> Iterator[None]:
    """Gives this process the environment that programs get, for as long."""
    before = dict(os.environ)
    wanted = nobodys(before)
    for name in before.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _wait(thread: threading.Thread, time: virtual_time.VirtualTime) -> str | None:
    """Waits for a client; what ended it, where something had to."""
    left = MOST_SECONDS
    while thread.is_alive() and left > 0 and not time.busy_loop.is_set():
        thread.join(0.25)
        left -= 0.25
    if not thread.is_alive():
        return f"{PATIENCE:g} s" if time.now() > time.limit else None
    reason = f"{virtual_time.MOST_ANSWERS} requests" if time.busy_loop.is_set() else f"{MOST_SECONDS:g} s"
    for _ in range(20):
        time.busy_loop.set()
        virtual_time.interrupt(thread)
        thread.join(0.1)
        if not thread.is_alive():
            break
    return reason


class _Call:
    """One call of the function, and what came of it."""

    def __init__(self, call: Callable[[Case], Any], scene: OpenCase) -> None:
        self._function = call
        self._scene = scene
        self.outcome: dict[str, Any] | None = None
        self.adapter_error = ""
        #: Of what it raised, if that was none of ours.
        self.traceback = ""

    def __call__(self) -> None:
        try:
            told = self._function(self._scene.case)
            if inspect.isawaitable(told):
                told = asyncio.run(_awaited(told))
        except virtual_time.Ended:
            return
        except JobFailed as error:
            self._raised("failed", error)
        except DeadlinePassed as error:
            self._raised("timeout", error)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the client's answer
            self._raised("error", error)
        else:
            self._returned(told)

    def _returned(self, told: Any) -> None:
        try:
            self.outcome = result(told)
        except ValueError as error:
            self.adapter_error = str(error)
        except Exception as error:  # noqa: BLE001 - its own methods may raise what they like
            self.adapter_error = f"the result cannot be looked at: {type(error).__name__} {_text(error)}".rstrip()

    def _raised(self, outcome: str, error: BaseException) -> None:
        message = _text(error)
        if isinstance(error, ValueError) and message.startswith("signal only works in main thread"):
            self.adapter_error = "the client sets signal handlers, which a function cannot; check it as a program"
            return
        if outcome == "error":
            with suppress(Exception):  # an exception that cannot be shown
                self.traceback = "".join(traceback.format_exception(error))
        told = {"type": type(error).__name__, "message": message}
        self.outcome = {"outcome": outcome, "video": None, "content_path": None, "error": told}

    def said(self) -> list[tuple[str, str]]:
        """Places to look for the key in."""
        # A traceback shows lines of code and the message, never values; so only the message can have the key.
        return [("the result", json.dumps(self.outcome, ensure_ascii=False))]


async def _awaited(what: Any) -> Any:
    return await what


def load(what: str) -> Callable[[Case], Any]:
    """The function that `package.module:name` names. Raises SettingsError, which says what is missing."""
    module_name, colon, name = what.partition(":")
    if not colon or not module_name or not name:
        raise SettingsError(f"--python is {what!r}, wanted a module and a function in it, e.g. my_client:client")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise SettingsError(f"--python {what}: {module_name} needs {error.name!r}, which is missing") from None
        near = "" if module_name.isidentifier() else "; a module is named with dots and without .py"
        raise SettingsError(f"--python {what}: there is no module {module_name!r} here{near}") from None
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            near = did_you_mean(part, [one for one in vars(module) if not one.startswith("_")])
            raise SettingsError(f"--python {what}: {module_name} has no {part!r}; {near}wanted a function")
        found = getattr(found, part)
    if not callable(found):
        raise SettingsError(f"--python {what}: {name} is no function, wanted one that takes a case")
    return partial(found) if inspect.isclass(found) else found


def _name(call: Callable[..., Any]) -> str:
    name = getattr(call, "__qualname__", type(call).__qualname__)
    return f"{getattr(call, '__module__', '')}:{name}".lstrip(":")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot be shown
        return ""


@contextmanager
def _caught() -> Iterator[None]:
    """Catches what clients write, in whatever thread; the writing of others goes where it did."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Split(streams[0]), _Split(streams[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _Split(io.TextIOBase):
    """A stream of which the writing of clients is caught."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text to where the calling thread's goes."""
        time = virtual_time.current()
        return self._stream.write(text) if time is None else time.output.write(text)

    @property
    def buffer(self) -> Any:
        """The same for bytes."""
        return self._stream.buffer if virtual_time.current() is None else _Bytes()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether it is a terminal, which a client's is not."""
        return virtual_time.current() is None and self._stream.isatty()

    def fileno(self) -> int:
        """The stream's."""
        return self._stream.fileno()

    def flush(self) -> None:
        """Writes what waits."""
        self._stream.flush()


class _Bytes(io.RawIOBase):
    def write(self, data: Any) -> int:
        time = virtual_time.current()
        if time is not None:
            time.output.write(bytes(data).decode("utf-8", "replace"))
        return len(data)
