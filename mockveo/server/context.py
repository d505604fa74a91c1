"""One exchange as a handler sees it, and what a handler may raise instead of returning a response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final, TypeVar

from starlette.types import Receive, Scope

from mockveo.http import urlencoded
from mockveo.http.forms import media_type_fits
from mockveo.http.origins import Origins
from mockveo.http.parts import Part
from mockveo.http.responses import Response
from mockveo.server.recording import MAX_KEPT_BODY_BYTES, record_faults, record_request_body
from mockveo.simulator.fault import Fault
from mockveo.simulator.jobs import Job
from mockveo.simulator.scenarios import Scenario
from mockveo.simulator.stores.store import WorldReplacedError
from mockveo.simulator.world import World
from mockveo.spec.spec import Operation
from mockveo.text import whole_number
from mockveo.traffic.record import ExchangeRecord

#: Key in a scope: the client sends no more although its body is not complete. Set by the protocol.
BODY_CUT: Final = "mockveo.body_cut"
#: Key in a scope: the client has closed its sending side after the request. Set by the protocol.
CLOSED: Final = "mockveo.closed"
#: Key in the state of a scope: the connection, on sockets of our server. Set by the protocol.
CONNECTION: Final = "mockveo.connection"
#: Keys in every scope: the world that is called, and the prefix of its paths, e.g. "/@mine". Set by the application.
WORLD: Final = "mockveo.world"
PREFIX: Final = "mockveo.prefix"

_NO_VALUES: Final[Mapping[str, str]] = {}
_T = TypeVar("_T")
#: What a decision sets, and has to find as it was if it is made again.
_DECIDED: Final = ("owner", "job", "files", "faults", "error_values", "later")


class ApiError(Exception):
    """An error of the document as response. `values` fill the {braces} of its message.

    `hint` is what the service would not say; the log shows it, and a header of the response.
    """

    def __init__(self, name: str, *, hint: str = "", **values: str) -> None:
        super().__init__(name)
        self.name = name
        self.hint = hint
        self.values = values


class ControlError(Exception):
    """An invalid request to mockveo itself; the message says how to correct it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class FaultBeforeEffect(Exception):
    """A fault that replaces the response before the request has an effect."""


class ClientGone(Exception):
    """The client has closed the connection, so no response can reach it."""


class IncompleteBody(Exception):
    """The body ended or stalled after `received` bytes, before its promised length."""

    def __init__(self, received: int) -> None:
        super().__init__(received)
        self.received = received


@cache
def _turns() -> Any:
    """Return the variable with the limiter of each loop."""
    from anyio.lowlevel import RunVar  # slow to import, and not needed by most servers

    return RunVar("mockveo.turns")


async def in_thread(work: Callable[[], _T]) -> _T:
    """Return the result of work that takes up to seconds, while other requests are served.

    One thread does all such work of a loop: more would wait for the same core, and each keeps the memory it has freed.
    """
    import anyio.to_thread

    turns = _turns()
    limiter = turns.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(1)
        turns.set(limiter)
    return await anyio.to_thread.run_sync(work, limiter=limiter)


class RequestContext:
    """One exchange as a handler sees it."""

    __slots__ = (
        "_operation",
        "body",
        "error_values",
        "exchange",
        "faults",
        "files",
        "headers",
        "job",
        "later",
        "owner",
        "problem",
        "receive",
        "scope",
        "touches_state",
        "world",
    )

    def __init__(self, operation: Operation | None, scope: Scope, receive: Receive) -> None:
        self.world: World = scope[WORLD]
        self.scope = scope
        self.receive = receive
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.exchange = ExchangeRecord(scope["method"], scope["path"], scope["query_string"], scope["headers"])
        self.owner = ""
        #: The job that it is about, once the handler has it.
        self.job: Job | None = None
        #: The files of a create.
        self.files: Sequence[Part] = ()
        #: The faults that apply to it.
        self.faults: tuple[Fault, ...] = ()
        #: What fills the {braces} of an error of a fault, as far as the handler knows it.
        self.error_values: Mapping[str, str] = _NO_VALUES
        #: The body as the route has read it, or the error of that.
        self.body: Any = None
        self.problem: Exception | None = None
        #: Makes the response if that takes time, as a clip that has to be rendered does.
        self.later: Callable[[], Awaitable[Response]] | None = None
        #: Whether the world's state is needed for it.
        self.touches_state = True
        self._operation = operation

    async def decide(self, decision: Callable[[], _T]) -> _T:
        """Return what a decision returns, once the world's store has kept what it changed.

        A decision reads and writes the world's state and does not wait.
        """
        store = self.world.store
        if store.is_fleeting or not self.touches_state:
            return decision()
        if not store.repeats_decisions:
            return await store.transact(decision)
        before = (dict(self.exchange.__dict__), *(getattr(self, name) for name in _DECIDED))

        def decide_anew() -> _T:
            self.exchange.__dict__.clear()
            self.exchange.__dict__.update(before[0])
            for name, value in zip(_DECIDED, before[1:], strict=True):
                setattr(self, name, value)
            return decision()

        while True:
            try:
                return await self.world.store.transact(decide_anew)
            except WorldReplacedError:
                self.world = await reopened(self.world)

    @property
    def operation(self) -> Operation:
        """The operation of the document; only for requests that have one."""
        assert self._operation is not None
        return self._operation

    @property
    def operation_or_none(self) -> Operation | None:
        """The operation of the document; None for a path outside it."""
        return self._operation

    @property
    def path_value(self) -> str:
        """The value of the path's parameter."""
        return next(iter(self.scope["path_params"].values()))  # type: ignore[no-any-return]

    @property
    def origins(self) -> Origins:
        """The origins of the server as its client knows them."""
        return self.world.origins.seen_by(self.headers.get(b"host"), at_other=self.exchange.other_origin)

    @property
    def base_url(self) -> str:
        """The base URL of clients of its world."""
        return f"{self.origins.own}{self.world.prefix}/v1"

    def select_faults(self, scenario: Scenario, operation: str, *, scope: str, subject: str, label: str = "") -> None:
        """Select the faults of a scenario that apply to this exchange; see FaultSelector.select."""
        if not scenario.faults:
            return
        selected = self.world.faults.select(scenario, operation, scope=scope, subject=subject, label=label)
        faults = [fault for fault in selected if self._has_error_of(fault) and self._has_file_of(fault)]
        if b"ticket=" in self.scope["query_string"] and self.ticket_holder is not None:
            # A request with a ticket has been redirected already.
            faults = [fault for fault in faults if fault.redirect is None or fault.endless]
        kills = self.world.kills
        faults = [fault for fault in faults if fault.kill is None or (kills is not None and kills.take())]
        self.faults = tuple(faults)
        if faults:
            record_faults(self.exchange, scenario.name, faults)

    def _has_file_of(self, fault: Fault) -> bool:
        """Return whether a file of the request has the media type that a fault waits for."""
        if fault.file_type is None:
            return True
        return any(media_type_fits(part.content_type or "none", (fault.file_type,)) for part in self.files)

    def _has_error_of(self, fault: Fault) -> bool:
        """Return whether the operation has a fault's error; a fault for `any` skips operations without it."""
        return (
            fault.operation != "any"
            or fault.error is None
            or self._operation is None
            or fault.error in self._operation.errors
        )

    @property
    def promised_bytes(self) -> int:
        """The length of the body by its header; 0 without one."""
        length = self.headers.get(b"content-length", b"")
        return whole_number(length.decode()) if length.isdigit() else 0

    async def read(self, feed: Callable[[bytes], None], limit: int) -> None:
        """Pass the body to `feed` as it comes. Raises ApiError("body_too_large"), IncompleteBody or ClientGone."""
        promised = self.promised_bytes
        if promised > limit:
            raise ApiError("body_too_large", hint=f"--max-body is {limit}, the body has {promised} bytes")
        receive, size, body, digest = self.receive, 0, None, None
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise ApiError("body_too_large", hint=f"--max-body is {limit}")
                feed(chunk)
                more = message.get("more_body", False)
                if digest is None and not more and len(chunk) <= MAX_KEPT_BODY_BYTES:
                    body = chunk
                    return
                digest = digest or sha256()
                digest.update(chunk)
                if not more:
                    return
                if BODY_CUT in self.scope:
                    raise IncompleteBody(size)
        finally:
            record_request_body(self.exchange, size, body, digest.digest() if digest else b"")

    @property
    def ticket_holder(self) -> str | None:
        """The key that the ticket of the request stands for; None without a valid ticket."""
        return self.world.tickets.holder(self.query("ticket") or "", self.scope["path"])

    def query(self, name: str) -> str | None:
        """Return the value of a query parameter; of several the first."""
        return urlencoded.values(self.scope["query_string"]).get(name)


async def reopened(world: World) -> World:
    """Return the world that has replaced one in a shared store. Raises StoreError."""
    import anyio.to_thread

    return await anyio.to_thread.run_sync(world.reopened)


async def refreshed(world: World) -> World:
    """Return a world with what other processes have changed in it. Raises StoreError."""
    while True:
        try:
            await world.store.refresh()
        except WorldReplacedError:
            world = await reopened(world)
        else:
            return world
